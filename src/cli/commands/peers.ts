import type { Register } from '../context.ts';
import { short, table } from '../table.ts';

export const registerPeers: Register = (program, context) => {
  program
    .command('peers')
    .description('the peers connected now, and how each was found')
    .action(async () => {
      const client = await context.connect();
      const peers = await client.call('peers_list');
      context.output.result(peers, () =>
        table(
          ['node', 'peer', 'transport', 'latency', 'source', 'direction', 'differs', 'address'],
          peers.map((peer) => [
            short(peer.fingerprint),
            peer.peerId,
            peer.transport,
            peer.latencyMs === null ? '-' : `${peer.latencyMs.toFixed(1)} ms`,
            peer.source,
            peer.session.direction,
            peer.quarantine === null ? '-' : `since epoch ${peer.quarantine.sinceEpoch}: ${peer.quarantine.where}`,
            peer.addresses[0],
          ]),
        ),
      );
    });
};
