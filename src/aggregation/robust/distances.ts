import type { IntRow } from '../../compute/api.ts';
import { rangesOf } from '../ranges.ts';
import type { RuleCompute } from './pieces.ts';
import type { WeighedRows } from './rule.ts';

/** Elements. Squares of differences within 65,534 add up below 2^52 over so many: exact in a double. */
const BLOCK = 2 ** 20;

type Measured = Pick<WeighedRows, 'rows' | 'spans' | 'exponents' | 'join'>;

/** Squared distance of each row from `centre` (of their type), exact, in units of 4^(least exponent). */
export async function distancesFrom(
  compute: RuleCompute,
  centre: IntRow,
  { rows, spans, exponents, join }: Measured,
): Promise<readonly bigint[]> {
  const totals = rows.map(() => 0n);
  for (const { start, end, shift } of rangesOf(spans, exponents, BLOCK)) {
    const origin = centre.subarray(start, end);
    for (const [i, row] of rows.entries()) {
      const squares = await compute.sqDist<IntRow>(row.subarray(start, end), origin);
      totals[i] = (totals[i] as bigint) + (BigInt(squares) << shift);
    }
  }
  return join?.(totals) ?? totals;
}

/** Squared distance of every two rows, exact, in units of 4^(least exponent): K x K, row-major. */
export async function distancesBetween(compute: RuleCompute, { rows, spans, exponents, join }: Measured): Promise<readonly bigint[]> {
  const totals = new Array<bigint>(rows.length * rows.length).fill(0n);
  for (const { start, end, shift } of rangesOf(spans, exponents, BLOCK)) {
    const squares = await compute.pairwiseSqDist(rows.map((row) => row.subarray(start, end)));
    for (const [p, total] of totals.entries()) totals[p] = total + (BigInt(squares[p] as number) << shift);
  }
  return join?.(totals) ?? totals;
}
