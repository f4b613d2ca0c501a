/**
 * Kernels exist for fixed sizes only: gpu.js compiles one module and keeps one set of buffers a size, so that free sizes
 * leak gigabytes. Work is cut into slices, and the last one is padded with zeros.
 */

/** Elements of the smallest bucket: below this the call costs more than the work. */
export const MIN_BUCKET = 2 ** 12;
/** Elements of the largest bucket: 4 MiB a row, and indices stay far below 2^24, where f32 stops counting. */
export const MAX_BUCKET = 2 ** 20;
/** Rows of the widest kernel; more rows run as several sums. */
export const MAX_ROWS = 64;
/** Elements in one argument: 64 MiB as f32, within what every WebGPU device must allow (128 MiB a binding). */
const MAX_ARGUMENT = 2 ** 24;

const powerOfTwoFrom = (least: number, n: number): number => Math.max(least, 2 ** Math.ceil(Math.log2(Math.max(n, 1))));

/** The row count of the kernel that takes `rows` rows, 1..64: a power of two. */
export const rowBucket = (rows: number): number => powerOfTwoFrom(1, rows);

export interface Slice {
  /** First element. */
  readonly offset: number;
  /** Elements that count; the rest of the bucket is padding. */
  readonly length: number;
  /** Elements of the kernel to use: a power of two, 2^12..2^20. */
  readonly bucket: number;
}

/** Cuts `length` elements into slices of at most `bucket` (a power of two) for kernels of `rows` rows. None for length 0. */
export function* slices(length: number, rows = 1, bucket = MAX_BUCKET): Generator<Slice> {
  const most = Math.min(bucket, MAX_ARGUMENT / rowBucket(rows));
  for (let offset = 0; offset < length; offset += most) {
    const rest = Math.min(length - offset, most);
    yield { offset, length: rest, bucket: powerOfTwoFrom(MIN_BUCKET, rest) };
  }
}

/** A slice of a row: a view where it fills its bucket, else a copy with a tail of zeros. */
export function padded<T extends Float32Array | Int16Array | Int8Array>(row: T, { offset, length, bucket }: Slice): T {
  const view = row.subarray(offset, offset + length) as T;
  if (length === bucket) return view;
  const copy = new (row.constructor as new (length: number) => T)(bucket);
  copy.set(view);
  return copy;
}
