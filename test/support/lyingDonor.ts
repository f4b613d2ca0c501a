import { bytesOf } from '../../src/aggregation/index.ts';
import { chunkAt, contentOf } from '../../src/crypto/index.ts';
import { encodeRequest } from '../../src/ledger/syncMessages.ts';
import { fetchGenesis } from '../../src/network/index.ts';
import { MIB, StarlingError } from '../../src/spec/index.ts';
import { decodeContentRequest, decodeSafetensors, encodeContentIndex, matchTensors } from '../../src/wire/index.ts';
import { Author, newSeeds } from './author.ts';
import type { Daemon } from './daemons.ts';
import { LISTEN, recordingJournal, servedFrom, startHost } from './networkHosts.ts';

/** Ms for one answer. */
const ANSWER_MS = 10_000;

export interface LyingDonor {
  readonly peerId: string;
  readonly address: string;
  /** Chunks that it gave, each of them false. */
  readonly lies: () => number;
}

/**
 * A member of a daemon's swarm, in this process and over real sockets, that has the daemon's model: it gives the true leaves
 * and changes one bit of every chunk. `stopAll` of networkHosts.ts ends it.
 */
export async function joinAsLyingDonor({ address, client, info }: Daemon): Promise<LyingDonor> {
  const fetched = await fetchGenesis(address, { timeoutMs: ANSWER_MS, journal: recordingJournal() });
  const { genesis, genesisBytes, initialModel, swarmId } = fetched;
  const { bytes, modelRoot } = await client.model('finalized');
  const content = bytesOf(matchTensors(genesis.tensors, decodeSafetensors(bytes, bytes.byteLength)));
  const index = contentOf(content);
  if (index.root !== modelRoot) throw new Error('the daemon gave another model');
  const seeds = newSeeds();
  const init = { swarmId, ed25519Seed: seeds.ed25519Seed, bootstrap: [address], listen: [LISTEN.tcp] };
  const host = await startHost('tcp', init, { genesis: { genesisBytes, blobs: servedFrom(initialModel) } });
  let lies = 0;
  host.streams.handle('content', async (_from, payload) => {
    const request = decodeContentRequest(payload);
    if (request.root !== modelRoot) throw new StarlingError('NOT_FOUND', 'another content');
    // It has all of it, so nobody asks which chunks.
    if (typeof request.index !== 'number') return encodeContentIndex(index);
    lies += 1;
    const chunk = chunkAt(content, request.index);
    return chunk.with(-1, (chunk.at(-1) as number) ^ 1);
  });
  await host.dial(address);
  const { join } = new Author(seeds, swarmId, genesis);
  const push = encodeRequest({ type: 'push', entries: [join] });
  await host.streams.request(info.peerId, 'sync', push, { timeoutMs: ANSWER_MS, maxResponseBytes: MIB });
  return { peerId: host.peerId, address: host.addresses()[0] as string, lies: () => lies };
}
