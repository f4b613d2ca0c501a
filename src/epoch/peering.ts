import type { PeerId } from '../spec/index.ts';
import { tryFetchBlocks } from './blockSync.ts';
import type { EpochContext } from './context.ts';
import type { LedgerSync } from './sync.ts';
import type { Timers } from './timers.ts';

/** Whom this node has asked for the ledger since they connected. */
export class Peering {
  readonly #ctx: EpochContext;
  readonly #sync: LedgerSync;
  readonly #timers: Timers;
  readonly #asked = new Set<PeerId>();
  readonly #heard = Promise.withResolvers<void>();

  constructor(ctx: EpochContext, sync: LedgerSync, timers: Timers) {
    this.#ctx = ctx;
    this.#sync = sync;
    this.#timers = timers;
    ctx.ports.streams.onPeer((peer, connected) => {
      if (!connected) this.#asked.delete(peer);
    });
  }

  /** Rejects only with what must end the node (IDENTITY_IN_USE). */
  async syncWith(peer: PeerId): Promise<void> {
    const node = this.#ctx.directory.nodeOf(peer);
    // What differs from the final blocks is not learned from; it may still learn here.
    if (node !== undefined && this.#ctx.diverging.has(node)) return;
    // Blocks first: what is final says which entries matter.
    if (this.#ctx.pinned === undefined) await tryFetchBlocks(this.#ctx, peer);
    if (await this.#sync.with(peer)) this.#asked.add(peer);
    if (this.#asked.size > 0 && this.#ctx.ports.streams.peers().every((p) => this.#asked.has(p))) this.#heard.resolve();
  }

  /**
   * Resolves when every connected peer, and one at least, has told what it holds: each may hold something of this node
   * that it does not know itself (PROTOCOL section 1). Waits at most `timeoutMs`: a node may be alone.
   */
  heard(timeoutMs: number): Promise<void> {
    this.#timers.once('first-sync', timeoutMs, () => this.#heard.resolve());
    return this.#heard.promise;
  }

  /** A random peer, if there is one. */
  some(): readonly PeerId[] {
    const peers = this.#ctx.ports.streams.peers();
    return peers.slice(Math.floor(this.#ctx.ports.entropy.uniform() * peers.length)).slice(0, 1);
  }
}
