/** Ledger sync over streams: on connect, on a missing parent, and now and then with a random peer. */
import { answerSync, SYNC_LIMITS, SyncClient, type SyncHead } from '../ledger/index.ts';
import { asStarlingError, FRAME_MAX_BYTES, type PeerId, type SignedEntry, StarlingError } from '../spec/index.ts';
import type { EpochContext } from './context.ts';
import { answerMs } from './ports.ts';

/** Ms and pages of one exchange: a newcomer takes half a million entries in it, and a peer that never ends is left. */
const EXCHANGE_MS = 120_000;
const EXCHANGE_PAGES = 2_000;

export class LedgerSync {
  readonly #ctx: EpochContext;
  readonly #running = new Map<PeerId, Promise<boolean>>();

  constructor(ctx: EpochContext) {
    this.#ctx = ctx;
  }

  /** Exchanges with one peer until both hold the union; one exchange a peer at a time. False when it failed. */
  with(peer: PeerId): Promise<boolean> {
    const running = this.#running.get(peer);
    if (running !== undefined) return running;
    const exchange = this.#exchange(peer).finally(() => this.#running.delete(peer));
    this.#running.set(peer, exchange);
    return exchange;
  }

  /** Answers the sync protocol. What the peer pushed is on disk before the answer leaves. */
  serve(from: PeerId, payload: Uint8Array): Uint8Array {
    const { response, pushed } = answerSync(this.#ctx.replica.graph, this.#head(), payload);
    this.#take(pushed, from);
    return response;
  }

  async #exchange(peer: PeerId): Promise<boolean> {
    const { streams, journal, clock } = this.#ctx.ports;
    const client = new SyncClient(this.#ctx.replica.graph, this.#head());
    try {
      const untilMs = clock.nowMs() + EXCHANGE_MS;
      let pages = 0;
      for (let request = client.next(); request !== undefined; request = client.next()) {
        if (++pages > EXCHANGE_PAGES || clock.nowMs() > untilMs)
          throw new StarlingError('PROTOCOL_VIOLATION', `an exchange does not end after ${pages} pages`, { peer, phase: 'sync' });
        const answer = await streams.request(peer, 'sync', request, {
          timeoutMs: answerMs(SYNC_LIMITS.pageBytes),
          maxResponseBytes: FRAME_MAX_BYTES,
        });
        this.#take(client.receive(answer), peer);
      }
      return true;
    } catch (error) {
      const problem = asStarlingError(error, { peer, phase: 'sync' });
      if (problem.code === 'IDENTITY_IN_USE') throw problem;
      journal.log('debug', 'ledger', 'sync with a peer failed', { ...problem.toJSON(), peer });
      return false;
    }
  }

  #take(entries: readonly SignedEntry[], peer: PeerId): void {
    if (entries.length === 0) return;
    const { rejected } = this.#ctx.replica.offer(entries);
    for (const { entry, code, reason } of rejected) {
      this.#ctx.ports.journal.log('warn', 'ledger', 'a peer sent an entry that breaks a rule', { peer, entry: entry.id, code, reason });
      this.#ctx.ports.journal.count('entries_rejected', 1, { code });
    }
  }

  #head(): SyncHead {
    const { state } = this.#ctx.chain.head;
    return { epoch: state.epoch, size: state.treeSize, root: state.treeRoot };
  }
}
