/**
 * The numeric operations a node needs, over equal-length rows of finite f32. Every operation but `accumulate` and
 * `addMod32` has a plain TypeScript reference (`reference.ts`, the truth) and a generated gpu.js kernel.
 * Callers screen for NaN and infinity first; the operations do not.
 */
export type Row = Float32Array;
export type IntRow = Int16Array | Int8Array;

export const BACKENDS = ['ts', 'webasm', 'webgpu'] as const;
export type Backend = (typeof BACKENDS)[number];

export interface EntropyStepInput {
  /** Own preference over K options, sums to 1 (or all zeros when there is none yet). */
  readonly p: Row;
  /** Influence over the same K options: y_k^2 / sum y^2, or zeros. */
  readonly influence: Row;
  /** Index of the option that takes what the influence leaves (cand or ex); -1 for none. */
  readonly fallback: number;
  /** Mixing rate in [0, 1]. */
  readonly a: number;
  /** Weight of the influence in [0, 1]; the fallback gets 1 - c. */
  readonly c: number;
}

export interface EntropyStepOutput {
  /** (1-a) p + a c influence, + a (1-c) at the fallback; not renormalised. K elements. */
  readonly p: Row;
  /** Shannon entropy of the renormalised p in nats. */
  readonly entropy: number;
}

export interface ComputeInfo {
  readonly backend: Backend | 'mixed';
  /** Backend per operation, as calibration chose or configuration forced. */
  readonly byOperation: Readonly<Record<string, Backend>>;
  readonly adapter?: string;
}

export interface Compute {
  /** acc + w * x, element-wise, rounded once per operation to f32. Returns a new row. */
  axpy(acc: Row, x: Row, w: number): Promise<Row>;
  /**
   * S_k = sum_j weights[j] * rows[j][k], exact. rows: integers of one type, equal length; weights: integers
   * 0..65536 with total <= 65536. Throws BOUNDS_EXCEEDED where sum W_j max|q_j| could reach 2^31.
   */
  weightedSum(rows: readonly IntRow[], weights: readonly number[]): Promise<Int32Array>;
  /** clamp(x * s, -c, c), c >= 0. */
  scaleClip(x: Row, s: number, c: number): Promise<Row>;
  /** sum x^2, accumulated in f64 over f32 partial sums of at most 4096 elements. */
  sqNorm(x: Row): Promise<number>;
  /**
   * sum (x - y)^2. Of f32 as `sqNorm`; of integers of one type, at most 2^21 of them, exact: the sum is below 2^53.
   * Throws BOUNDS_EXCEEDED for longer rows of integers.
   */
  sqDist<T extends Row | IntRow>(x: T, y: T): Promise<number>;
  /** `sqDist` of every two rows: K x K symmetric, row-major f64, zero diagonal. */
  pairwiseSqDist(rows: readonly Row[] | readonly IntRow[]): Promise<Float64Array>;
  /** Per coordinate; the mean of the middle two for an even count. */
  median(rows: readonly Row[]): Promise<Row>;
  /** Per coordinate mean without the `trim` lowest and highest; 2*trim < rows.length. */
  trimmedMean(rows: readonly Row[], trim: number): Promise<Row>;
  /** Per coordinate sum without the `trim` lowest and highest, exact. At most 32,768 rows of integers of one type. */
  trimmedSum(rows: readonly IntRow[], trim: number): Promise<Int32Array>;
  /** Softmax of each row. */
  softmaxRows(rows: readonly Row[]): Promise<Row[]>;
  entropyStep(input: EntropyStepInput): Promise<EntropyStepOutput>;
  /** softmax(E_i E_j^T): rows of `a` (n x d) against rows of `b` (m x d); n rows of m. */
  align(a: readonly Row[], b: readonly Row[]): Promise<Row[]>;
  /**
   * Stochastic rounding: clamp(floor(x / scale + u), -limit, limit). `scale` a power of two, `u` uniform in
   * [0, 1) with the row's length, limit 32767 or 127. Bit-identical on every backend.
   */
  quantise(x: Row, scale: number, u: Row, limit: number): Promise<Int16Array>;
  /** q * scale, exact for power-of-two scales. */
  dequantise(q: IntRow, scale: number): Promise<Row>;
  /**
   * sum_k += w * x_k, in place and at once: what a member of a scheduled average does with each chunk. TypeScript only: a chunk takes 0.1
   * to 0.4 ms, and its way through a kernel ten times that (`test/bench/kernels.ts`). `w` whole; nothing may leave int32, which the caller
   * knows from the bounds of what it adds up. Throws BAD_SHAPE for rows of two lengths.
   */
  accumulate(sum: Int32Array, x: IntRow | Int32Array, w: number): void;
  /** (a + b) mod 2^32, element-wise. TypeScript only. */
  addMod32(a: Uint32Array, b: Uint32Array): Uint32Array;
  info(): ComputeInfo;
  close(): Promise<void>;
}
