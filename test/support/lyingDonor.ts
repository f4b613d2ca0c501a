import { encodeRequest } from '../../src/ledger/syncMessages.ts';
import { fetchGenesis } from '../../src/network/index.ts';
import { decodeContentRequest } from '../../src/wire/index.ts';
import { Author, newSeeds } from './author.ts';
import type { Daemon } from './daemons.ts';
import { LISTEN, recordingJournal, servedFrom, startHost } from './networkHosts.ts';

/** Ms for one answer. */
const ANSWER_MS = 10_000;

export interface LyingDonor {
  readonly peerId: string;
  readonly address: string;
  /** Chunks that were asked of it. */
  readonly lies: () => number;
}

/**
 * A member of a daemon's swarm, in this process and over real sockets, that has every content: it hands on the true leaves
 * and changes one bit of every chunk. `stopAll` of networkHosts.ts ends it.
 */
export async function joinAsLyingDonor(daemon: Daemon): Promise<LyingDonor> {
  const { genesis, genesisBytes, initialModel, swarmId } = await fetchGenesis(daemon.address, {
    timeoutMs: ANSWER_MS,
    journal: recordingJournal(),
  });
  const seeds = newSeeds();
  const init = { swarmId, ed25519Seed: seeds.ed25519Seed, bootstrap: [daemon.address] };
  const host = await startHost('tcp', { ...init, listen: [LISTEN.tcp] }, { genesis: { genesisBytes, blobs: servedFrom(initialModel) } });
  let lies = 0;
  const { peerId } = daemon.info;
  host.streams.handle('content', async (_from, payload) => {
    const answer = await host.streams.request(peerId, 'content', payload, { timeoutMs: ANSWER_MS, maxResponseBytes: 1024 * 1024 });
    if (decodeContentRequest(payload).index === 'leaves') return answer;
    lies += 1;
    return answer.with(-1, (answer.at(-1) as number) ^ 1);
  });
  const { join } = new Author(seeds, swarmId, genesis);
  await host.dial(daemon.address);
  const push = encodeRequest({ type: 'push', entries: [join] });
  await host.streams.request(peerId, 'sync', push, { timeoutMs: ANSWER_MS, maxResponseBytes: 1024 });
  return { peerId: host.peerId, address: host.addresses()[0] as string, lies: () => lies };
}
