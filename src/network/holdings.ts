import type { PeerId } from '../spec/index.ts';

export interface HoldingLimits {
  /** Bytes held for one peer, over all its streams. */
  readonly peerBytes: number;
  /** Bytes held for all peers together. */
  readonly totalBytes: number;
}

/**
 * What this node holds for its peers: requests that are not answered yet, and answers that have not left. A peer is full at its own
 * bound, and, once all of them together are at theirs, with more than its share: whoever takes no answers stops itself, not others.
 */
export class Holdings {
  readonly #limits: HoldingLimits;
  readonly #bytes = new Map<PeerId, number>();
  readonly #waiting = new Set<() => void>();
  #total = 0;

  constructor(limits: HoldingLimits) {
    this.#limits = limits;
  }

  take(peer: PeerId, bytes: number): void {
    this.#total += bytes;
    this.#bytes.set(peer, this.of(peer) + bytes);
  }

  /** Gives back what was taken; those who wait for room look again. */
  give(peer: PeerId, bytes: number): void {
    this.#total -= bytes;
    const left = this.of(peer) - bytes;
    if (left > 0) this.#bytes.set(peer, left);
    else this.#bytes.delete(peer);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const look of waiting) look();
  }

  /** Bytes held for this peer. */
  of(peer: PeerId): number {
    return this.#bytes.get(peer) ?? 0;
  }

  isFull(peer: PeerId): boolean {
    const held = this.of(peer);
    if (held >= this.#limits.peerBytes) return true;
    return this.#total >= this.#limits.totalBytes && held * this.#bytes.size >= this.#limits.totalBytes;
  }

  /** `look` runs once, after something was given back. */
  whenRoom(look: () => void): void {
    this.#waiting.add(look);
  }

  forget(look: () => void): void {
    this.#waiting.delete(look);
  }
}
