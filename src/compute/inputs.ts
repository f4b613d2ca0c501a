import { StarlingError } from '../spec/index.ts';
import type { IntRow, Row } from './api.ts';

/** A sum of weights, and so a weight, is at most 65,536 (PROTOCOL section 4): what keeps an exact sum inside int32. */
export const MAX_TOTAL_WEIGHT = 65_536;

const INT16_MIN = -32_768;

/** Exponents of a scale that `quantise` and `dequantise` take: every product then stays a normal f32 or counts as zero. */
const MAX_SCALE_EXPONENT = 80;

/** A value below this many quanta counts as zero in `quantise`: backends that flush subnormal f32 to zero then agree with those that do not. */
export const NEGLIGIBLE_QUANTA = 2 ** -46;

/** Throws BAD_SHAPE unless `actual` elements are what the operation needs. */
export function checkLength(operation: string, actual: number, expected: number): void {
  if (actual === expected) return;
  throw new StarlingError('BAD_SHAPE', `${operation}: rows of ${expected} and of ${actual} elements`, {
    field: operation,
    fix: 'Pass rows of equal length.',
  });
}

/** The common length of `rows`. Throws BAD_SHAPE where there is no row, or where lengths differ. */
export function commonLength(operation: string, rows: readonly { readonly length: number }[]): number {
  const first = rows[0];
  if (first === undefined) {
    throw new StarlingError('BAD_SHAPE', `${operation}: no rows`, { field: operation, fix: 'Pass at least one row.' });
  }
  for (const row of rows) checkLength(operation, row.length, first.length);
  return first.length;
}

/** The common length of rows of one type. Throws BAD_SHAPE where lengths or types differ. */
function commonShape(operation: string, rows: readonly (Row | IntRow)[]): number {
  const length = commonLength(operation, rows);
  const type = rows[0]?.constructor;
  if (rows.every((row) => row.constructor === type)) return length;
  throw new StarlingError('BAD_SHAPE', `${operation}: rows of different types`, { field: operation, fix: 'Pass rows of one type.' });
}

/**
 * Checks the input of `weightedSum` and returns the row length. Throws BAD_SHAPE for rows that do not fit together or
 * with the weights, BOUNDS_EXCEEDED for weights that are not integers 0..65536 with a total of at most 65,536, and
 * where sum W_j max|q_j| reaches 2^31.
 */
export function checkWeightedSum(rows: readonly IntRow[], weights: readonly number[]): number {
  const length = commonShape('weightedSum', rows);
  checkLength('weightedSum weights', weights.length, rows.length);
  const bytes = (rows[0] as IntRow).BYTES_PER_ELEMENT;
  let total = 0;
  for (const weight of weights) {
    if (!Number.isInteger(weight) || weight < 0 || weight > MAX_TOTAL_WEIGHT) {
      throw outOfBounds(`weight ${weight} is not an integer 0..${MAX_TOTAL_WEIGHT}`);
    }
    total += weight;
  }
  if (total > MAX_TOTAL_WEIGHT) throw outOfBounds(`weights add up to ${total}, over ${MAX_TOTAL_WEIGHT}`);
  // No |q| is over 2^15 and no total over 2^16, so the sum reaches 2^31 only where both do, in every row that counts.
  const reaches = total === MAX_TOTAL_WEIGHT && bytes === 2 && rows.every((row, j) => weights[j] === 0 || row.includes(INT16_MIN));
  if (reaches) throw outOfBounds('the sum could reach 2^31, past int32');
  return length;
}

function outOfBounds(what: string): StarlingError {
  return new StarlingError('BOUNDS_EXCEEDED', `weightedSum: ${what}`, {
    field: 'weightedSum',
    fix: 'Take weights from the roster, and refuse updates with values past their limit.',
  });
}

/** Elements. 2^21 squares of differences below 2^16 add up below 2^53: exact in a double, in any order. */
const MAX_EXACT_ELEMENTS = 2 ** 21;

/** Checks rows whose distances are wanted and returns their length. Throws BAD_SHAPE, and BOUNDS_EXCEEDED for integers past what a double holds. */
export function checkDistance(operation: string, rows: readonly (Row | IntRow)[]): number {
  const length = commonShape(operation, rows);
  if (length <= MAX_EXACT_ELEMENTS || rows[0] instanceof Float32Array) return length;
  throw new StarlingError('BOUNDS_EXCEEDED', `${operation}: ${length} integers`, {
    field: operation,
    fix: `Pass at most ${MAX_EXACT_ELEMENTS} at a time.`,
  });
}

/** Rows of a trimmed sum: 2^15 of them with values of int16 stay within int32. */
const MAX_TRIMMED_ROWS = 2 ** 15;

/**
 * Checks the input of `trimmedMean` and `trimmedSum` and returns the row length. Throws BAD_SHAPE for rows that do not
 * fit together, BOUNDS_EXCEEDED where nothing would be left, or more rows than int32 can add up.
 */
export function checkTrim(operation: string, rows: readonly (Row | IntRow)[], trim: number): number {
  const length = commonShape(operation, rows);
  if (Number.isInteger(trim) && trim >= 0 && 2 * trim < rows.length && rows.length <= MAX_TRIMMED_ROWS) return length;
  throw new StarlingError('BOUNDS_EXCEEDED', `${operation}: ${trim} trimmed on each side of ${rows.length} rows`, {
    field: operation,
    fix: `Trim fewer than half of at most ${MAX_TRIMMED_ROWS} rows.`,
  });
}

/** Throws BOUNDS_EXCEEDED unless `scale` is a power of two between 2^-80 and 2^80. */
export function checkScale(operation: string, scale: number): void {
  const exponent = Math.round(Math.log2(scale));
  if (2 ** exponent === scale && Math.abs(exponent) <= MAX_SCALE_EXPONENT) return;
  throw new StarlingError('BOUNDS_EXCEEDED', `${operation}: scale ${scale} is not a power of two within 2^+-${MAX_SCALE_EXPONENT}`, {
    field: operation,
    fix: "Use the scale of the epoch's base decision.",
  });
}

/** Checks the input of `quantise`: equal lengths, a good scale, and the limit of int16 or int8. */
export function checkQuantise(x: Row, scale: number, u: Row, limit: number): void {
  checkLength('quantise', u.length, x.length);
  checkScale('quantise', scale);
  if (limit !== 32_767 && limit !== 127) {
    throw new StarlingError('BOUNDS_EXCEEDED', `quantise: limit ${limit} is neither 32767 nor 127`, {
      field: 'quantise',
      fix: 'Pass 32767 or 127.',
    });
  }
}
