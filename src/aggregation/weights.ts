import { WEIGHT_TOTAL } from '../spec/index.ts';

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
  const cap = Math.max(1, Math.floor((3 * twiceMedian(contributions.map((c) => c.samples))) / 2));
  const shares = contributions.map((c) => BigInt(Math.min(c.samples, cap)) * BigInt(c.trust));
  const total = shares.reduce((a, b) => a + b, 0n);
  if (total === 0n) return contributions.map(() => 0);
  return shares.map((s) => Number((s * BigInt(WEIGHT_TOTAL)) / total));
}

/** Twice the median, so that it stays an integer for an even count. */
function twiceMedian(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  const upper = sorted[mid] as number;
  return sorted.length % 2 === 1 ? 2 * upper : upper + (sorted[mid - 1] as number);
}
