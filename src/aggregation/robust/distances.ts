import type { IntRow } from '../../compute/api.ts';
import type { TensorSpan } from '../layout.ts';
import type { RuleCompute } from './pieces.ts';
import type { WeighedRows } from './rule.ts';

/** Elements. Squares of differences within 65,534 add up below 2^52 over so many: exact in a double. */
const BLOCK = 2 ** 20;

/** Elements start..end of one scale, and the power of two that brings their squares to units of 4^lowest. */
interface Range {
  readonly start: number;
  readonly end: number;
  readonly shift: bigint;
}

/** The tensors in blocks; neighbours of one scale are taken together. */
function rangesOf(spans: readonly TensorSpan[], exponents: readonly number[]): Range[] {
  const lowest = Math.min(...exponents);
  const whole: Range[] = [];
  spans.forEach(({ start, end }, t) => {
    const shift = BigInt(2 * ((exponents[t] as number) - lowest));
    const before = whole.at(-1);
    if (before?.shift === shift) whole.splice(-1, 1, { start: before.start, end, shift });
    else whole.push({ start, end, shift });
  });
  return whole.flatMap(({ start, end, shift }) => {
    const blocks = Math.ceil((end - start) / BLOCK);
    return Array.from({ length: blocks }, (_, b) => ({ start: start + b * BLOCK, end: Math.min(start + (b + 1) * BLOCK, end), shift }));
  });
}

type Measured = Pick<WeighedRows, 'rows' | 'spans' | 'exponents' | 'join'>;

/** Squared distance of each row from `centre` (of their type), exact, in units of 4^(least exponent). */
export async function distancesFrom(
  compute: RuleCompute,
  centre: IntRow,
  { rows, spans, exponents, join }: Measured,
): Promise<readonly bigint[]> {
  const totals = rows.map(() => 0n);
  for (const { start, end, shift } of rangesOf(spans, exponents)) {
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
  for (const { start, end, shift } of rangesOf(spans, exponents)) {
    const squares = await compute.pairwiseSqDist(rows.map((row) => row.subarray(start, end)));
    for (const [p, total] of totals.entries()) totals[p] = total + (BigInt(squares[p] as number) << shift);
  }
  return join?.(totals) ?? totals;
}
