/**
 * Top-k: the k integers of largest magnitude travel, the others stay in the residual (Stich, Cordonnier and Jaggi, "Sparsified SGD
 * with memory", 2018). Bytes: kind, k (uint32), places, values in the row's own width, little-endian.
 */
import type { IntRow } from '../../compute/api.ts';
import { QMAX, StarlingError, type UpdateDtype } from '../../spec/index.ts';
import { bytesOf, dtypeBytes, integersOf } from '../integers.ts';
import { decodePlaces, encodePlaces, type PlaceCoding, placeCoding } from './places.ts';

export interface Sparse {
  /** Ascending. */
  readonly places: Uint32Array;
  /** What stands there; none is zero. */
  readonly values: IntRow;
}

/** Kind and count. */
export const SPARSE_HEAD_BYTES = 5;
const CODINGS: readonly PlaceCoding[] = ['deltas', 'bitmap'];

/** The k largest magnitudes, fewer where fewer differ from zero; of equal ones the first. Same type as `row`. */
export function topK(row: IntRow, k: number): Sparse {
  const counts = new Uint32Array(2 ** 15 + 1);
  for (let i = 0; i < row.length; i++) {
    const magnitude = Math.abs(row[i] as number);
    counts[magnitude] = (counts[magnitude] as number) + 1;
  }
  let least = counts.length - 1;
  let above = 0;
  for (; least > 1 && above + (counts[least] as number) <= k; least--) above += counts[least] as number;
  let spare = k - above; // of magnitude `least`
  const places: number[] = [];
  for (let i = 0; i < row.length; i++) {
    const magnitude = Math.abs(row[i] as number);
    if (magnitude > least || (magnitude === least && spare-- > 0)) places.push(i);
  }
  return { places: Uint32Array.from(places), values: gather(row, places) };
}

function gather(row: IntRow, places: readonly number[]): IntRow {
  const values = row instanceof Int16Array ? new Int16Array(places.length) : new Int8Array(places.length);
  places.forEach((place, i) => {
    values[i] = row[place] as number;
  });
  return values;
}

/** The row of that many elements, zero but for what travelled. */
export function denseOf({ places, values }: Sparse, elements: number): IntRow {
  const row = values instanceof Int16Array ? new Int16Array(elements) : new Int8Array(elements);
  places.forEach((place, i) => {
    row[place] = values[i] as number;
  });
  return row;
}

/** Places are coded as differences or as a bitmap, whichever is smaller. */
export function encodeSparse({ places, values }: Sparse, elements: number): Uint8Array {
  const coding = placeCoding(places, elements);
  const placeBytes = encodePlaces(places, elements, coding);
  const bytes = new Uint8Array(SPARSE_HEAD_BYTES + placeBytes.byteLength + values.byteLength);
  bytes[0] = CODINGS.indexOf(coding);
  new DataView(bytes.buffer).setUint32(1, places.length, true);
  bytes.set(placeBytes, SPARSE_HEAD_BYTES);
  bytes.set(bytesOf(values), SPARSE_HEAD_BYTES + placeBytes.byteLength);
  return bytes;
}

export interface SparseBounds {
  readonly elements: number;
  /** Values there may be at most. */
  readonly kept: number;
  readonly dtype: UpdateDtype;
}

/**
 * Throws MALFORMED for what is no such encoding or holds too many values, NON_CANONICAL for one that `encodeSparse` would not write, BOUNDS_EXCEEDED for the
 * lowest value of two's complement.
 */
export function decodeSparse(bytes: Uint8Array, { elements, kept, dtype }: SparseBounds): Sparse {
  const coding = CODINGS[bytes[0] ?? CODINGS.length];
  if (bytes.byteLength < SPARSE_HEAD_BYTES || coding === undefined) throw malformed('kind', 'is neither differences nor a bitmap');
  const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1, true);
  const valueBytes = count * dtypeBytes(dtype);
  if (count > kept || valueBytes > bytes.byteLength - SPARSE_HEAD_BYTES) throw malformed('count', `is ${count}, more than there can be`);
  const valuesAt = bytes.byteLength - valueBytes;
  const places = decodePlaces(bytes.subarray(SPARSE_HEAD_BYTES, valuesAt), count, elements, coding);
  const values = integersOf(bytes.subarray(valuesAt), dtype);
  if (values.some((value) => Math.abs(value) > QMAX[dtype]))
    throw new StarlingError('BOUNDS_EXCEEDED', `a value beyond ${dtype}`, { field: 'values', phase: 'verify' });
  if (values.includes(0)) throw new StarlingError('NON_CANONICAL', 'a value of zero', { field: 'values', phase: 'verify' });
  if (placeCoding(places, elements) !== coding)
    throw new StarlingError('NON_CANONICAL', `the places are shorter in the other coding`, { field: 'kind', phase: 'verify' });
  return { places, values };
}

const malformed = (field: string, problem: string): StarlingError =>
  new StarlingError('MALFORMED', `${field} ${problem}`, { field, phase: 'verify' });
