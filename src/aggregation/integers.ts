import type { IntRow } from '../compute/api.ts';
import type { UpdateDtype } from '../spec/index.ts';
import type { TensorSpan } from './layout.ts';

/** Bytes of one integer of an update. */
export const dtypeBytes = (dtype: UpdateDtype): number => (dtype === 'int16' ? 2 : 1);

/** Integers as little-endian bytes, and back. The hosts this runs on are little-endian; others are refused at start. */
export const bytesOf = (row: IntRow | Int32Array | Float32Array): Uint8Array => new Uint8Array(row.buffer, row.byteOffset, row.byteLength);

/** A view of bytes that are alone in their memory, a copy of others. `bytes.length` must be a multiple of the element size. */
export function integersOf(bytes: Uint8Array, dtype: UpdateDtype): IntRow {
  if (dtype === 'int8') return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Int16Array(aligned(bytes), 0, bytes.byteLength / 2);
}

export const int32Of = (bytes: Uint8Array): Int32Array => new Int32Array(aligned(bytes), 0, bytes.byteLength / 4);
export const float32Of = (bytes: Uint8Array): Float32Array => new Float32Array(aligned(bytes), 0, bytes.byteLength / 4);

/** A buffer of exactly these bytes at offset 0: typed arrays need alignment, and a caller must not see the bytes' neighbours. */
const aligned = ({ buffer, byteOffset, byteLength }: Uint8Array): ArrayBuffer =>
  (buffer.byteLength === byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)) as ArrayBuffer;

/** Exact squared L2 norm in units of 4^lowest, lowest = the smallest exponent. Integers, so any node gets the same. */
export function squaredNorm(
  row: IntRow,
  spans: readonly TensorSpan[],
  exponents: readonly number[],
): { readonly value: bigint; readonly exponent: number } {
  const lowest = Math.min(...exponents);
  let total = 0n;
  spans.forEach((span, t) => {
    // A term is below 2^30, so 2^22 of them stay below 2^52: exact in a double.
    const block = 2 ** 22;
    for (let start = span.start; start < span.end; start += block) {
      const end = Math.min(start + block, span.end);
      let sum = 0;
      // A product of int32 takes a quarter of the time of one of doubles.
      for (let k = start; k < end; k++) sum += Math.imul(row[k] as number, row[k] as number);
      total += BigInt(sum) << BigInt(2 * ((exponents[t] as number) - lowest));
    }
  });
  return { value: total, exponent: lowest };
}
