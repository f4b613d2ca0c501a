/**
 * Which neighbours to use, learned from their measured speed while others are still tried: discounted UCB (Garivier and Moulines,
 * "On upper-confidence bound policies for switching bandit problems", 2011). Discounting forgets what a link was like hours ago.
 * For choices that nobody has to agree on: whom to pull chunks from.
 */
import type { PeerId } from '../spec/index.ts';

/** Weight that a measurement keeps with each one after it: the last hundred count. */
const DISCOUNT = 0.99;
/** Weight of the bonus for what is little known; 0.5 explores enough for rewards in 0..1 (section 5 there). */
const EXPLORATION = 0.5;

interface Arm {
  count: number;
  total: number;
}

export class NeighbourBandit {
  readonly #arms = new Map<PeerId, Arm>();

  /** `from` sent that many bytes in that time. */
  measured(from: PeerId, bytes: number, ms: number): void {
    for (const arm of this.#arms.values()) {
      arm.count *= DISCOUNT;
      arm.total *= DISCOUNT;
    }
    const arm = this.#arms.get(from) ?? { count: 0, total: 0 };
    arm.count++;
    arm.total += bytes / Math.max(1, ms);
    this.#arms.set(from, arm);
  }

  /** Forgets who is gone. */
  forget(peer: PeerId): void {
    this.#arms.delete(peer);
  }

  /**
   * At most `count` of the candidates, the best first: those never tried, in an order that `uniform` (in [0, 1)) draws, then by speed
   * relative to the fastest plus the bonus.
   */
  pick(candidates: readonly PeerId[], count: number, uniform: () => number): PeerId[] {
    const speeds = candidates.map((peer) => this.#speed(peer));
    const fastest = Math.max(...speeds, Number.MIN_VALUE);
    const all = candidates.reduce((sum, peer) => sum + (this.#arms.get(peer)?.count ?? 0), 0);
    const score = (peer: PeerId, i: number): number => {
      const arm = this.#arms.get(peer);
      if (arm === undefined) return Number.POSITIVE_INFINITY;
      return (speeds[i] as number) / fastest + Math.sqrt((EXPLORATION * logarithm(1 + all)) / arm.count);
    };
    return candidates
      .map((peer, i) => ({ peer, score: score(peer, i), draw: uniform() }))
      .sort((a, b) => (a.score === b.score ? a.draw - b.draw : b.score - a.score))
      .slice(0, count)
      .map(({ peer }) => peer);
  }

  #speed(peer: PeerId): number {
    const arm = this.#arms.get(peer);
    return arm === undefined ? 0 : arm.total / arm.count;
  }
}

/** ln x for x >= 1, straight between powers of two (at most 0.06 low): this room has no operation that engines round differently. */
function logarithm(x: number): number {
  const whole = 31 - Math.clz32(x);
  return Math.LN2 * (whole + x / 2 ** whole - 1);
}
