import { NARROW_WEIGHT_TOTAL, WEIGHT_TOTAL } from '../spec/index.ts';
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
export const rosterWeights = (contributions: readonly Weighed[]): number[] => parts(sharesOf(contributions), WEIGHT_TOTAL);

/** What rounding may take from a weight of a sum that travels, as a part of it: sample counts are claims, and a byte in four is worth it. */
const NARROW_LOSS = 32n;

/**
 * The same for sums that travel: of a total of at most 256, so that they are a byte narrower, where that takes no more than a
 * thirty-second from any of them; else `rosterWeights`.
 */
export function narrowWeights(contributions: readonly Weighed[]): number[] {
  const shares = sharesOf(contributions);
  const total = shares.reduce((a, b) => a + b, 0n);
  const narrow = parts(shares, NARROW_WEIGHT_TOTAL);
  const isClose = (share: bigint, i: number): boolean =>
    BigInt(narrow[i] as number) * total * NARROW_LOSS >= share * BigInt(NARROW_WEIGHT_TOTAL) * (NARROW_LOSS - 1n);
  return shares.every(isClose) ? narrow : parts(shares, WEIGHT_TOTAL);
}

function sharesOf(contributions: readonly Weighed[]): bigint[] {
  if (contributions.length === 0) return [];
  const samples = contributions.map((c) => BigInt(c.samples));
  const cap = (3n * twiceMedian(samples)) / 2n;
  return contributions.map((c, i) => BigInt(c.trust) * ((samples[i] as bigint) < cap ? (samples[i] as bigint) : cap));
}

function parts(shares: readonly bigint[], of: number): number[] {
  const total = shares.reduce((a, b) => a + b, 0n);
  return shares.map((share) => (total === 0n ? 0 : Number((share * BigInt(of)) / total)));
}
