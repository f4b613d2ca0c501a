import type { PeerId } from '../spec/index.ts';
import { GOSSIP } from './limits.ts';

/** Peers remembered: a peer beyond this pushes out the oldest. */
const MAX_PEERS = 4_096;

/** Penalty points of peers, halving with time. gossipsub reads them as its application score (P5), so they ignore topics. */
export class Penalties {
  readonly #points = new Map<PeerId, { points: number; atMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  add(peer: PeerId, points: number): void {
    const next = { points: this.of(peer) + points, atMs: this.#nowMs() };
    this.#points.delete(peer);
    this.#points.set(peer, next);
    const oldest = this.#points.keys().next().value;
    if (this.#points.size > MAX_PEERS && oldest !== undefined) this.#points.delete(oldest);
  }

  of(peer: PeerId): number {
    const held = this.#points.get(peer);
    return held === undefined ? 0 : held.points * 0.5 ** ((this.#nowMs() - held.atMs) / GOSSIP.penaltyHalfLifeMs);
  }
}
