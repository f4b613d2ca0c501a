import type { IntRow } from '../../compute/api.ts';
import { median } from './median.ts';
import type { RuleCompute } from './pieces.ts';
import type { Aggregated, WeighedRows } from './rule.ts';

/** Elements between two turns: some milliseconds of divisions. */
const PIECE = 2 ** 19;

/** The aggregate S / D in whole numbers, halves up, in the type of `like`: a point that distances are taken from. */
export async function centreOf({ turn }: RuleCompute, { sum, weightTotal }: Aggregated, like: IntRow): Promise<IntRow> {
  const centre = like instanceof Int16Array ? new Int16Array(sum.length) : new Int8Array(sum.length);
  // Below 2^33 over at most 2^17: a double keeps quotients that differ by 2^-17 apart, so the floor is exact.
  for (let k = 0; k < sum.length; k++) {
    if (k > 0 && k % PIECE === 0) await turn?.();
    centre[k] = Math.floor((2 * (sum[k] as number) + weightTotal) / (2 * weightTotal));
  }
  return centre;
}

/** Where iterations begin: the coordinate median, which liars below half cannot carry away. */
export const startOf = async (compute: RuleCompute, input: WeighedRows): Promise<IntRow> =>
  centreOf(compute, await median(compute, input), input.rows[0] as IntRow);

/** The middle value, the lower one of an even count. */
export function lowerMedian(values: readonly bigint[]): bigint {
  const sorted = values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return sorted[(values.length - 1) >> 1] as bigint;
}

/** floor(sqrt(n)), n >= 0, by Newton's method from above (R. Brent and P. Zimmermann, Modern Computer Arithmetic, 1.5.1). */
export function integerRoot(n: bigint): bigint {
  if (n === 0n) return 0n;
  let root = 1n << BigInt((n.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
