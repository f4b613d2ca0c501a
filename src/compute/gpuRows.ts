import type { Compute, IntRow, Row } from './api.ts';
import { MAX_BUCKET, MAX_ROWS, padded, type Slice, slices } from './buckets.ts';
import { checkDistance, checkLength, checkTrim, commonLength } from './inputs.ts';
import type { GpuMode, KernelPool } from './kernelPool.ts';
import { dotProducts, exactSquareDistances, squareDistances } from './kernels/pairs.ts';
import { trimmedSum } from './kernels/selection.ts';
import { SQUARE_ROWS } from './kernels/sums.ts';

export type RowOperation = 'sqDist' | 'pairwiseSqDist' | 'median' | 'trimmedMean' | 'trimmedSum' | 'align';

type Run = KernelPool['run'];

/**
 * Elements of the largest slice where rows are compared. Every count of rows has kernels of its own, which keep their buffers:
 * 64 rows of 2^16 are 16 MiB. WebAssembly: 16 rows of 2^14 stay in a CPU's cache, and little is padded (measured: 1.5 to 2
 * times as fast as in one piece for 50,000 elements). A GPU wants longer runs.
 */
const LARGEST_SLICE: Readonly<Record<GpuMode, number>> = { webasm: 2 ** 14, webgpu: 2 ** 16 };

/** The operations that compare rows with each other. More rows than a kernel takes are left to the reference. */
export function rowOperations(mode: GpuMode, run: Run, reference: Compute): Pick<Compute, RowOperation> {
  const most = LARGEST_SLICE[mode];
  return {
    sqDist: async (x, y) => (await pairDistances(run, most, reference, 'sqDist', [x, y] as readonly Row[]))[1] as number,
    pairwiseSqDist: (rows) => pairDistances(run, most, reference, 'pairwiseSqDist', rows),
    median: async (rows) => {
      const out = new Float32Array(commonLength('median', rows));
      if (rows.length > MAX_ROWS) return reference.median(rows);
      const trim = (rows.length - 1) >> 1;
      return trimmed(run, most, rows, trim, out, rows.length - 2 * trim, (part) => reference.median(part));
    },
    trimmedMean: async (rows, trim) => {
      const out = new Float32Array(checkTrim('trimmedMean', rows, trim));
      if (rows.length > MAX_ROWS) return reference.trimmedMean(rows, trim);
      return trimmed(run, most, rows, trim, out, rows.length - 2 * trim, (part) => reference.trimmedMean(part, trim));
    },
    trimmedSum: async (rows, trim) => {
      const out = new Int32Array(checkTrim('trimmedSum', rows, trim));
      if (rows.length > MAX_ROWS) return reference.trimmedSum(rows, trim);
      return trimmed(run, most, rows, trim, out, 1, (part) => reference.trimmedSum(part, trim));
    },
    align: async (a, b) => {
      if (a.length === 0) return [];
      checkLength('align', commonLength('align', b), commonLength('align', a));
      const dots = await dotProductsOf(run, a, b);
      return dots === undefined ? reference.align(a, b) : reference.softmaxRows(dots);
    },
  };
}

/** Trimmed sums over `divisor` into `out`, in slices of at most `most`. Sums past f32 are left to `plain`. */
async function trimmed<R extends Row | IntRow, T extends Row | Int32Array>(
  run: Run,
  most: number,
  rows: readonly R[],
  trim: number,
  out: T,
  divisor: number,
  plain: (part: R[]) => Promise<T>,
): Promise<T> {
  for (const slice of slices(out.length, rows.length, most)) {
    const x = rows.map((row) => padded(row, slice));
    const part = (await run(trimmedSum(rows.length, trim, slice.bucket), x)).subarray(0, slice.length);
    if (part.every(Number.isFinite)) {
      for (let k = 0; k < slice.length; k++) out[slice.offset + k] = (part[k] as number) / divisor;
    } else {
      out.set((await plain(x)).subarray(0, slice.length), slice.offset);
    }
  }
  return out;
}

async function pairDistances(
  run: Run,
  most: number,
  reference: Compute,
  operation: string,
  rows: readonly Row[] | readonly IntRow[],
): Promise<Float64Array> {
  const length = checkDistance(operation, rows);
  const count = rows.length;
  const out = new Float64Array(count * count);
  const [first, second]: [number[], number[]] = [[], []];
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < i; j++) {
      first.push(i);
      second.push(j);
    }
  }
  if (count < 2) return out;
  if (count > MAX_ROWS) return reference.pairwiseSqDist(rows);
  const exact = !(rows[0] instanceof Float32Array);
  const [i, j] = [Float32Array.from(first), Float32Array.from(second)];
  // At most 3 x 2,016 pairs x 2^10 columns of outputs: indices below 2^23.
  for (const slice of slices(length, count, most)) {
    const x = rows.map((row) => padded(row, slice));
    const columns = slice.bucket / SQUARE_ROWS;
    const kernel = (exact ? exactSquareDistances : squareDistances)(count, first.length, slice.bucket);
    const part = await run(kernel, x, i, j);
    const sumOf = (p: number): number => part.subarray(p * columns, (p + 1) * columns).reduce((a, b) => a + b, 0);
    for (let p = 0; p < first.length; p++) {
      const sum = exact ? 65_536 * sumOf(p) + 512 * sumOf(first.length + p) + sumOf(2 * first.length + p) : sumOf(p);
      const [a, b] = [first[p] as number, second[p] as number];
      // Squares over 2^128 do not fit f32.
      const distance = Number.isFinite(sum) ? sum : await reference.sqDist(x[a] as Row, x[b] as Row);
      out[a * count + b] = (out[a * count + b] as number) + distance;
      out[b * count + a] = out[a * count + b] as number;
    }
  }
  return out;
}

/** Outputs of one kernel of dot products: 16 MiB as f32. */
const MAX_OUTPUT = 2 ** 22;

/** Dot products of every row of `a` with every one of `b`; undefined where they take more than a kernel, or f32, holds. */
async function dotProductsOf(run: Run, a: readonly Row[], b: readonly Row[]): Promise<Row[] | undefined> {
  const bucket = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(n, 1)));
  const [height, others, width] = [bucket(a.length), bucket(b.length), bucket((a[0] as Row).length)];
  if (height * others > MAX_OUTPUT || Math.max(height, others) * width > MAX_BUCKET) return undefined;
  const slice: Slice = { offset: 0, length: (a[0] as Row).length, bucket: width };
  const zeros = new Float32Array(width);
  const filled = (rows: readonly Row[], to: number): Row[] =>
    Array.from({ length: to }, (_, i) => (i < rows.length ? padded(rows[i] as Row, slice) : zeros));
  const flat = await run(dotProducts(height, others, width), filled(a, height), filled(b, others));
  return flat.every(Number.isFinite) ? a.map((_, i) => flat.slice(i * others, i * others + b.length)) : undefined;
}
