import { WEIGHT_TOTAL } from '../spec/index.ts';
import { twiceMedian } from '../state/median.ts';

export interface Weighed {
  /** Capped sample count the contribution claims. */
  readonly samples: number;
  /** Author's share of trust, fixed point (TRUST_ONE = 1). */
  readonly trust: number;
}

/**
 * Integer weights of a roster (PROTOCOL section 6): W_i proportional to min(n_i, 3 x median n) x trust_i,
 * rounded down, so that their total is at most 65,536. The cap keeps one large claim from outvoting the rest:
 * sample counts are claims, and a median cannot be moved by fewer than half. Same order as `contributions`.
 */
export function rosterWeights(contributions: readonly Weighed[]): number[] {
  if (contributions.length === 0) return [];
  const samples = contributions.map((c) => BigInt(c.samples));
  const cap = (3n * twiceMedian(samples)) / 2n;
  const shares = contributions.map((c, i) => BigInt(c.trust) * ((samples[i] as bigint) < cap ? (samples[i] as bigint) : cap));
  const total = shares.reduce((a, b) => a + b, 0n);
  if (total === 0n) return contributions.map(() => 0);
  return shares.map((s) => Number((s * BigInt(WEIGHT_TOTAL)) / total));
}
