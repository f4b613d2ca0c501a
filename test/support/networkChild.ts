import { fromHex, toHex } from '../../src/crypto/index.ts';
import { LISTEN, makeHost, type TransportName } from './networkHosts.ts';

/** Run by networkChildren.ts: `transport bootstrap[,bootstrap] [seedHex listen]`. Lives until it is killed or its parent ends. */
const [transport, bootstrap, seedHex, listen] = process.argv.slice(2) as [TransportName, string, string | undefined, string | undefined];
const host = await makeHost({
  listen: [listen ?? LISTEN[transport]],
  bootstrap: bootstrap.split(','),
  ...(seedHex === undefined ? {} : { ed25519Seed: fromHex(seedHex) }),
});
host.streams.handle('head', async (_from, payload) => payload);
await host.start();
process.once('disconnect', () => process.exit());
process.send?.({ peerId: host.peerId, seedHex: toHex(host.seed), listen: (host.addresses()[0] as string).replace(/\/p2p\/.*/, '') });
