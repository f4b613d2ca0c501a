import type { PeerId } from '../spec/index.ts';
import { tryFetchBlocks } from './blockSync.ts';
import type { EpochContext } from './context.ts';
import type { LedgerSync } from './sync.ts';
import type { Timers } from './timers.ts';

/** Ms between two syncs with random peers: uniform in this range. */
const SYNC_MIN_MS = 1_000;
const SYNC_MAX_MS = 3_000;

/** An exchange with a peer, and the one that follows it. */
interface Running {
  now: Promise<void>;
  next?: Promise<void>;
}

/** Whom this node has asked for the ledger since they connected. */
export class Peering {
  readonly #ctx: EpochContext;
  readonly #sync: LedgerSync;
  readonly #timers: Timers;
  readonly #asked = new Set<PeerId>();
  readonly #running = new Map<PeerId, Running>();
  readonly #heard = Promise.withResolvers<void>();
  /** Answers that are enough now: those of all who are connected, until the time for the first sync is over. */
  #enough = Number.POSITIVE_INFINITY;

  constructor(ctx: EpochContext, sync: LedgerSync, timers: Timers) {
    this.#ctx = ctx;
    this.#sync = sync;
    this.#timers = timers;
    ctx.ports.streams.onPeer((peer, connected) => {
      if (!connected) this.#asked.delete(peer);
    });
  }

  /**
   * One exchange a peer at a time: a call while one runs waits for it and for one more, whatever number of calls came. Rejects
   * only with what must end the node (IDENTITY_IN_USE).
   */
  syncWith(peer: PeerId): Promise<void> {
    const running = this.#running.get(peer);
    if (running === undefined) return this.#begin(peer);
    running.next ??= running.now.catch(() => undefined).then(() => this.#begin(peer));
    return running.next;
  }

  #begin(peer: PeerId): Promise<void> {
    const running: Running = { now: Promise.resolve() };
    this.#running.set(peer, running);
    running.now = this.#exchange(peer).finally(() => {
      if (running.next === undefined) this.#running.delete(peer);
    });
    return running.now;
  }

  async #exchange(peer: PeerId): Promise<void> {
    const node = this.#ctx.directory.nodeOf(peer);
    // What differs from the final blocks is not learned from; it may still learn here.
    if (node !== undefined && this.#ctx.diverging.has(node)) return;
    // Blocks first: what is final says which entries matter.
    const hasBlocks = this.#ctx.pinned !== undefined || (await tryFetchBlocks(this.#ctx, peer));
    // What this node said long ago comes with the archive alone.
    if ((await this.#sync.with(peer)) && hasBlocks) this.#asked.add(peer);
    this.#look();
  }

  #look(): void {
    const { size } = this.#asked;
    if (size >= this.#enough || (size > 0 && this.#ctx.ports.streams.peers().every((p) => this.#asked.has(p)))) this.#heard.resolve();
  }

  /**
   * Resolves when every connected peer, and one at least, has told what it holds: each may hold something of this node
   * that it does not know itself (PROTOCOL section 1). After `timeoutMs` the answers of `least` peers are enough.
   */
  heard(timeoutMs: number, least: number): Promise<void> {
    this.#timers.once('first-sync', timeoutMs, () => {
      this.#enough = least;
      this.#look();
    });
    return this.#heard.promise;
  }

  /** Names a random peer now and then: what gossip lost comes back this way. */
  keepAsking(ask: (peer: PeerId) => void): void {
    this.#timers.every(
      'sync',
      () => SYNC_MIN_MS + this.#ctx.ports.entropy.uniform() * (SYNC_MAX_MS - SYNC_MIN_MS),
      // The next exchange does not wait for this one to end.
      async () => {
        for (const peer of this.some()) ask(peer);
      },
    );
  }

  /** A random peer, if there is one. */
  some(): readonly PeerId[] {
    const peers = this.#ctx.ports.streams.peers();
    return peers.slice(Math.floor(this.#ctx.ports.entropy.uniform() * peers.length)).slice(0, 1);
  }
}
