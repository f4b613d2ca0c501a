import type { Compute, EntropyStepInput, EntropyStepOutput, IntRow, Row } from './api.ts';
import {
  checkDistance,
  checkLength,
  checkQuantise,
  checkScale,
  checkTrim,
  checkWeightedSum,
  commonLength,
  NEGLIGIBLE_QUANTA,
} from './inputs.ts';

const f32 = Math.fround;

function axpy(acc: Row, x: Row, w: number): Row {
  checkLength('axpy', x.length, acc.length);
  const weight = f32(w);
  const out = new Float32Array(acc.length);
  for (let k = 0; k < out.length; k++) out[k] = (acc[k] as number) + f32(weight * (x[k] as number));
  return out;
}

function weightedSum(rows: readonly IntRow[], weights: readonly number[]): Int32Array {
  const sum = new Int32Array(checkWeightedSum(rows, weights));
  rows.forEach((row, j) => {
    const weight = weights[j] as number;
    if (weight === 0) return;
    for (let k = 0; k < row.length; k++) sum[k] = (sum[k] as number) + weight * (row[k] as number);
  });
  return sum;
}

function scaleClip(x: Row, s: number, c: number): Row {
  const scale = f32(s);
  const clip = f32(c);
  return x.map((v) => Math.min(Math.max(f32(v * scale), -clip), clip));
}

function sqNorm(x: Row): number {
  let sum = 0;
  for (let k = 0; k < x.length; k++) {
    const v = x[k] as number;
    sum += v * v;
  }
  return sum;
}

function sqDist(x: Row | IntRow, y: Row | IntRow): number {
  checkDistance('sqDist', [x, y]);
  let sum = 0;
  for (let k = 0; k < x.length; k++) {
    const v = (x[k] as number) - (y[k] as number);
    sum += v * v;
  }
  return sum;
}

function pairwiseSqDist(rows: readonly (Row | IntRow)[]): Float64Array {
  checkDistance('pairwiseSqDist', rows);
  const out = new Float64Array(rows.length ** 2);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < i; j++) {
      const distance = sqDist(rows[i] as Row, rows[j] as Row);
      out[i * rows.length + j] = distance;
      out[j * rows.length + i] = distance;
    }
  }
  return out;
}

/** Puts `pick` of the sorted values of each coordinate into `out`. */
function perCoordinate<T extends Row | Int32Array>(rows: readonly (Row | IntRow)[], out: T, pick: (sorted: Float32Array) => number): T {
  const sorted = new Float32Array(rows.length); // integers of an update are exact in it
  for (let k = 0; k < out.length; k++) {
    // Insertion sort: for the tens of rows a roster has it beats a library sort called once a coordinate.
    for (let j = 0; j < rows.length; j++) {
      const value = (rows[j] as Row | IntRow)[k] as number;
      let at = j;
      for (; at > 0 && (sorted[at - 1] as number) > value; at--) sorted[at] = sorted[at - 1] as number;
      sorted[at] = value;
    }
    out[k] = pick(sorted);
  }
  return out;
}

function median(rows: readonly Row[]): Row {
  const upper = rows.length >> 1;
  const lower = rows.length % 2 === 1 ? upper : upper - 1;
  const out = new Float32Array(commonLength('median', rows));
  return perCoordinate(rows, out, (sorted) => ((sorted[lower] as number) + (sorted[upper] as number)) / 2);
}

/** Sum in f64 of what is left of sorted values. */
function sumWithin(sorted: Float32Array, trim: number): number {
  let sum = 0;
  for (let j = trim; j < sorted.length - trim; j++) sum += sorted[j] as number;
  return sum;
}

function trimmedMean(rows: readonly Row[], trim: number): Row {
  const out = new Float32Array(checkTrim('trimmedMean', rows, trim));
  return perCoordinate(rows, out, (sorted) => sumWithin(sorted, trim) / (sorted.length - 2 * trim));
}

function trimmedSum(rows: readonly IntRow[], trim: number): Int32Array {
  return perCoordinate(rows, new Int32Array(checkTrim('trimmedSum', rows, trim)), (sorted) => sumWithin(sorted, trim));
}

/** Softmax in f64 of any numbers, less their maximum first so that nothing overflows. */
function softmax(values: ArrayLike<number>): Row {
  let max = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < values.length; k++) max = Math.max(max, values[k] as number);
  const exps = Float64Array.from(values, (v) => Math.exp(v - max));
  const sum = exps.reduce((a, b) => a + b, 0);
  return Float32Array.from(exps, (e) => e / sum);
}

function softmaxRows(rows: readonly Row[]): Row[] {
  if (rows.length > 0) commonLength('softmaxRows', rows);
  return rows.map(softmax);
}

/** Shannon entropy in nats of non-negative values taken as parts of their sum; 0 where they add up to nothing. */
function entropyOf(parts: ArrayLike<number>): number {
  let sum = 0;
  for (let k = 0; k < parts.length; k++) sum += parts[k] as number;
  if (sum === 0) return 0;
  let entropy = 0;
  for (let k = 0; k < parts.length; k++) {
    const share = (parts[k] as number) / sum;
    if (share > 0) entropy -= share * Math.log(share);
  }
  return entropy;
}

function entropyStep({ p, influence, fallback, a, c }: EntropyStepInput): EntropyStepOutput {
  checkLength('entropyStep', influence.length, p.length);
  const next = p.map((own, k) => (1 - a) * own + a * c * (influence[k] as number) + (k === fallback ? a * (1 - c) : 0));
  return { p: next, entropy: entropyOf(next) };
}

function align(a: readonly Row[], b: readonly Row[]): Row[] {
  if (a.length === 0) return [];
  checkLength('align', commonLength('align', b), commonLength('align', a));
  return a.map((x) =>
    softmax(
      b.map((y) => {
        let dot = 0;
        for (let k = 0; k < x.length; k++) dot += (x[k] as number) * (y[k] as number);
        return dot;
      }),
    ),
  );
}

function quantise(x: Row, scale: number, u: Row, limit: number): Int16Array {
  checkQuantise(x, scale, u, limit);
  const out = new Int16Array(x.length);
  for (let k = 0; k < out.length; k++) {
    // A power of two divides exactly, so one rounding is left: that of the sum, which every IEEE 754 f32 adder does alike.
    const quanta = (x[k] as number) / scale;
    const rounded = Math.floor(f32((Math.abs(quanta) < NEGLIGIBLE_QUANTA ? 0 : quanta) + (u[k] as number)));
    out[k] = Math.min(Math.max(rounded, -limit), limit);
  }
  return out;
}

function dequantise(q: IntRow, scale: number): Row {
  checkScale('dequantise', scale);
  const out = new Float32Array(q.length);
  for (let k = 0; k < out.length; k++) out[k] = (q[k] as number) * scale;
  return out;
}

/** Every backend uses this one. A loop without the product is half as long: sums on their way have their weight in them. */
function accumulate(sum: Int32Array, x: IntRow | Int32Array, w: number): void {
  checkLength('accumulate', x.length, sum.length);
  if (w === 1) for (let k = 0; k < sum.length; k++) sum[k] = (sum[k] as number) + (x[k] as number);
  else for (let k = 0; k < sum.length; k++) sum[k] = (sum[k] as number) + w * (x[k] as number);
}

/** (a + b) mod 2^32, element-wise; every backend uses this one. */
function addMod32(a: Uint32Array, b: Uint32Array): Uint32Array {
  checkLength('addMod32', b.length, a.length);
  return a.map((v, k) => v + (b[k] as number));
}

/** The operations that a backend may implement; `accumulate` and `addMod32` have one implementation only. */
export const OPERATIONS = [
  'axpy',
  'weightedSum',
  'scaleClip',
  'sqNorm',
  'sqDist',
  'pairwiseSqDist',
  'median',
  'trimmedMean',
  'trimmedSum',
  'softmaxRows',
  'entropyStep',
  'align',
  'quantise',
  'dequantise',
] as const satisfies readonly (keyof Compute)[];
export type Operation = (typeof OPERATIONS)[number];

/**
 * The truth: every operation as a plain loop, in f64 with one rounding to f32 at the end unless the operation says
 * otherwise. Runs anywhere, needs nothing, is what every other backend is verified against.
 */
export function createReference(): Compute {
  const byOperation = Object.freeze(Object.fromEntries(OPERATIONS.map((name) => [name, 'ts'] as const)));
  return {
    axpy: async (acc, x, w) => axpy(acc, x, w),
    weightedSum: async (rows, weights) => weightedSum(rows, weights),
    scaleClip: async (x, s, c) => scaleClip(x, s, c),
    sqNorm: async (x) => sqNorm(x),
    sqDist: async (x, y) => sqDist(x, y),
    pairwiseSqDist: async (rows) => pairwiseSqDist(rows),
    median: async (rows) => median(rows),
    trimmedMean: async (rows, trim) => trimmedMean(rows, trim),
    trimmedSum: async (rows, trim) => trimmedSum(rows, trim),
    softmaxRows: async (rows) => softmaxRows(rows),
    entropyStep: async (input) => entropyStep(input),
    align: async (a, b) => align(a, b),
    quantise: async (x, scale, u, limit) => quantise(x, scale, u, limit),
    dequantise: async (q, scale) => dequantise(q, scale),
    accumulate,
    addMod32,
    info: () => ({ backend: 'ts', byOperation }),
    close: async () => {},
  };
}
