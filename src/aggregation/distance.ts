import type { IntRow } from '../compute/api.ts';
import { twiceMedian } from '../state/median.ts';
import { squaredNorm } from './integers.ts';
import type { TensorSpan } from './layout.ts';
import { rangesOf, type ScaledRange } from './ranges.ts';
import type { WeighedRows } from './robust/rule.ts';

/** Elements of a block, at most: 2^16 terms below (2 * 65,534)^2 < 2^34.1 add up below 2^51, exact in a double. */
const BLOCK = 2 ** 16;
/** Integers of all rows in a block: some 10 to 20 ms of sorting columns of eight, or of 32. */
const CELLS = 2 ** 17;

/** Lets everything else run that waits. */
type Turn = () => Promise<void>;
const noTurn: Turn = () => Promise.resolve();

/**
 * Squared distance of each row from the coordinate-wise median (PROTOCOL section 8), exact.
 * Integers throughout: with m2 = twice the median, a term is (2q - m2)^2 * 4^(e - e_min), where e is the
 * tensor's scale exponent; the common factor 4^(e_min) / 4 is left out because only ratios are used.
 *
 * rows: K rows of P integers; spans cover 0..P in order; exponents one a span. Returns K values.
 */
export async function squaredDistances(
  rows: readonly IntRow[],
  spans: readonly TensorSpan[],
  exponents: readonly number[],
  turn = noTurn,
): Promise<bigint[]> {
  const totals = rows.map(() => 0n);
  if (rows.length === 0) return totals;
  const column = new Int32Array(rows.length);
  const partial = new Float64Array(rows.length);
  for await (const { start, end, shift } of blocks(spans, exponents, rows.length, turn)) {
    partial.fill(0);
    for (let k = start; k < end; k++) {
      const m2 = twiceMedianAt(rows, k, column);
      for (let i = 0; i < rows.length; i++) {
        const d = 2 * ((rows[i] as IntRow)[k] as number) - m2;
        partial[i] = (partial[i] as number) + d * d;
      }
    }
    for (let i = 0; i < rows.length; i++) totals[i] = (totals[i] as bigint) + (BigInt(partial[i] as number) << shift);
  }
  return totals;
}

/** `squaredNorm` of each row, in units of 4^(least exponent). */
async function squaredNorms(
  rows: readonly IntRow[],
  spans: readonly TensorSpan[],
  exponents: readonly number[],
  turn: Turn,
): Promise<bigint[]> {
  const totals = rows.map(() => 0n);
  for await (const { start, end, shift } of blocks(spans, exponents, rows.length, turn))
    for (const [i, row] of rows.entries()) {
      const { value } = squaredNorm(row, [{ name: '', start, end }], [0]);
      totals[i] = (totals[i] as bigint) + (value << shift);
    }
  return totals;
}

/** The tensors in blocks that one turn bears for so many rows, with turns between. */
async function* blocks(spans: readonly TensorSpan[], exponents: readonly number[], rows: number, turn: Turn): AsyncGenerator<ScaledRange> {
  const size = Math.max(1, Math.min(BLOCK, Math.floor(CELLS / rows)));
  let since = 0;
  for (const range of rangesOf(spans, exponents, size)) {
    const length = range.end - range.start;
    if (since + length > size) {
      await turn();
      since = 0;
    }
    since += length;
    yield range;
  }
}

/** A row counts as one that moved the model from a quarter of the median norm on: a sixteenth of its square. */
const MOVED_PART = 16n;

/**
 * What a header reports of each row: its squared distance from the coordinate-wise median of the rows that moved the
 * model, and 0 for a row that did not. Rows of zeros would draw the median to themselves and make honest ones look far.
 * `join`: where the rows are one segment of longer ones (robust/rule.ts).
 */
export async function distancesOfMoved(
  rows: readonly IntRow[],
  spans: readonly TensorSpan[],
  exponents: readonly number[],
  join: NonNullable<WeighedRows['join']> = async (partial) => partial,
  turn = noTurn,
): Promise<bigint[]> {
  // One alone is its own median.
  if (rows.length === 1) return [0n];
  const norms = await join(await squaredNorms(rows, spans, exponents, turn));
  const twice = twiceMedian(norms);
  const moved = norms.map((norm) => norm > 0n && 2n * MOVED_PART * norm >= twice);
  const partial = await squaredDistances(
    rows.filter((_, i) => moved[i]),
    spans,
    exponents,
    turn,
  );
  const distances = (await join(partial)).values();
  return withinBits(moved.map((yes) => (yes ? (distances.next().value as bigint) : 0n)));
}

/** Bits of a reported distance: 39 decimal digits. Scales of tensors that differ by 2^80 would take twice as many. */
const DISTANCE_BITS = 128;

/** Divided by the least power of two that brings the largest below the bound: only ratios are used. */
function withinBits(values: readonly bigint[]): bigint[] {
  const largest = values.reduce((a, b) => (a > b ? a : b), 0n);
  const excess = BigInt(Math.max(0, largest.toString(2).length - DISTANCE_BITS));
  return values.map((value) => value >> excess);
}

/** Twice the median of coordinate k. Insertion sort: rosters are tens of rows, and `column` is reused. */
function twiceMedianAt(rows: readonly IntRow[], k: number, column: Int32Array): number {
  const n = rows.length;
  for (let i = 0; i < n; i++) {
    const v = (rows[i] as IntRow)[k] as number;
    let j = i;
    while (j > 0 && (column[j - 1] as number) > v) {
      column[j] = column[j - 1] as number;
      j--;
    }
    column[j] = v;
  }
  const mid = n >> 1;
  return n % 2 === 1 ? 2 * (column[mid] as number) : (column[mid] as number) + (column[mid - 1] as number);
}
