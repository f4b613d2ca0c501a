/**
 * One bit a value: its sign, at the mean magnitude of its tensor (EF-SignSGD: Karimireddy et al., 2019), or counted by majority
 * (signSGD with majority vote: Bernstein et al., 2018). Zero counts as positive.
 */
import type { IntRow } from '../../compute/api.ts';
import { QMAX, StarlingError, type UpdateDtype } from '../../spec/index.ts';
import type { TensorSpan } from '../layout.ts';

export interface Signs {
  readonly elements: number;
  /** ceil(elements / 8) bytes, least bit first, 1 for negative; bits behind the last are 0. */
  readonly bits: Uint8Array;
  /** Mean magnitude of each tensor, rounded to nearest: 0..32767. */
  readonly magnitudes: Uint16Array;
}

export function signsOf(row: IntRow, spans: readonly TensorSpan[]): Signs {
  const bits = new Uint8Array(Math.ceil(row.length / 8));
  for (let k = 0; k < row.length; k++) if ((row[k] as number) < 0) bits[k >> 3] = (bits[k >> 3] as number) | (1 << (k & 7));
  const magnitudes = Uint16Array.from(spans, ({ start, end }) => {
    let total = 0;
    for (let k = start; k < end; k++) total += Math.abs(row[k] as number);
    return end > start ? Math.floor(total / (end - start) + 0.5) : 0;
  });
  return { elements: row.length, bits, magnitudes };
}

/** What the signs stand for: +- the magnitude of the tensor, which must be one of `dtype`. */
export function valuesOf({ elements, bits, magnitudes }: Signs, spans: readonly TensorSpan[], dtype: UpdateDtype): IntRow {
  const values = dtype === 'int16' ? new Int16Array(elements) : new Int8Array(elements);
  spans.forEach(({ start, end }, t) => {
    const magnitude = magnitudes[t] as number;
    for (let k = start; k < end; k++) values[k] = isNegative(bits, k) ? -magnitude : magnitude;
  });
  return values;
}

/** Weighted vote of each value's sign: -1, 0 (a tie) or 1. Weights: whole, total at most 65,536. Throws MALFORMED for other lengths. */
export function majority(votes: readonly Signs[], weights: readonly number[]): Int8Array {
  const elements = votes[0]?.elements ?? 0;
  if (votes.length !== weights.length || votes.some((signs) => signs.elements !== elements))
    throw malformed('votes', 'do not have one weight each and one length');
  const sums = new Int32Array(elements);
  votes.forEach(({ bits }, i) => {
    const weight = weights[i] as number;
    for (let k = 0; k < elements; k++) sums[k] = (sums[k] as number) + (isNegative(bits, k) ? -weight : weight);
  });
  const signs = new Int8Array(elements);
  for (let k = 0; k < elements; k++) signs[k] = Math.sign(sums[k] as number);
  return signs;
}

/** Magnitudes (uint16 little-endian), then bits. */
export function encodeSigns({ bits, magnitudes }: Signs): Uint8Array {
  const bytes = new Uint8Array(magnitudes.byteLength + bits.byteLength);
  bytes.set(new Uint8Array(magnitudes.buffer, magnitudes.byteOffset, magnitudes.byteLength));
  bytes.set(bits, magnitudes.byteLength);
  return bytes;
}

/** Throws MALFORMED for another size, NON_CANONICAL for bits behind the last, BOUNDS_EXCEEDED for a magnitude beyond `dtype`. */
export function decodeSigns(bytes: Uint8Array, elements: number, tensors: number, dtype: UpdateDtype): Signs {
  const bitsAt = 2 * tensors;
  if (bytes.byteLength !== bitsAt + Math.ceil(elements / 8)) throw malformed('signs', `has ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const magnitudes = Uint16Array.from({ length: tensors }, (_, t) => view.getUint16(2 * t, true));
  if (magnitudes.some((magnitude) => magnitude > QMAX[dtype]))
    throw new StarlingError('BOUNDS_EXCEEDED', `a magnitude beyond ${dtype}`, { field: 'magnitudes', phase: 'verify' });
  const bits = bytes.slice(bitsAt);
  if (elements % 8 > 0 && (bits.at(-1) as number) >> (elements % 8) > 0)
    throw new StarlingError('NON_CANONICAL', 'bits behind the last value', { field: 'bits', phase: 'verify' });
  return { elements, bits, magnitudes };
}

const isNegative = (bits: Uint8Array, k: number): boolean => (((bits[k >> 3] as number) >> (k & 7)) & 1) === 1;

const malformed = (field: string, problem: string): StarlingError =>
  new StarlingError('MALFORMED', `${field} ${problem}`, { field, phase: 'verify' });
