import { StarlingError } from '../spec/index.ts';
import type { Compute, EntropyStepInput, EntropyStepOutput, IntRow, Row } from './api.ts';
import { MAX_ROWS, padded, rowBucket, slices } from './buckets.ts';
import { type RowOperation, rowOperations } from './gpuRows.ts';
import { checkLength, checkQuantise, checkScale, checkWeightedSum, commonLength, NEGLIGIBLE_QUANTA } from './inputs.ts';
import { type GpuMode, type KernelPool, openKernelPool } from './kernelPool.ts';
import * as elementwise from './kernels/elementwise.ts';
import { SQUARE_ROWS, squareSums, weightedSum8, weightedSum16 } from './kernels/sums.ts';
import { createReference, OPERATIONS, type Operation } from './reference.ts';
import { acquireWebGpu } from './webgpu.ts';

/** e^-200 is 0 in f32: nothing below needs to be told apart, and nothing infinite reaches a kernel. */
const LEAST_EXPONENT = -200;

export interface GpuCompute extends Compute {
  /** The modes gpu.js says its kernels have; holds the asked one alone once something ran. */
  kernelModes(): ReadonlySet<string>;
}

/**
 * `Compute` over gpu.js in one explicit mode. Loads gpu.js, and the `webgpu` package for that mode. `force` accepts
 * a software adapter. Throws BACKEND_UNAVAILABLE where the mode cannot run here.
 */
export async function createGpu(mode: GpuMode, force: boolean): Promise<GpuCompute> {
  const device = mode === 'webgpu' ? await acquireWebGpu(force) : undefined;
  const pool = await openKernelPool(mode);
  const run: KernelPool['run'] = async (...call) => {
    const result = await pool.run(...call);
    const failure = device?.failure();
    if (failure === undefined) return result;
    throw new StarlingError('BACKEND_UNAVAILABLE', `${mode}: ${failure}`, {
      field: 'compute.backend',
      fix: 'Restart the daemon; where it happens again, use compute.backend = "ts".',
    });
  };
  const reference = createReference();
  const byOperation = Object.fromEntries(OPERATIONS.map((name) => [name, mode] as const));
  return {
    ...elementOperations(run, reference),
    ...rowOperations(mode, run, reference),
    accumulate: reference.accumulate,
    addMod32: reference.addMod32,
    info: () => ({ backend: mode, byOperation, ...(device && { adapter: device.adapter }) }),
    kernelModes: pool.modes,
    close: async () => {
      await pool.close();
      await device?.release();
    },
  };
}

function elementOperations(run: KernelPool['run'], reference: Compute): Omit<Pick<Compute, Operation>, RowOperation> {
  return {
    axpy: async (acc, x, w) => {
      checkLength('axpy', x.length, acc.length);
      const out = new Float32Array(acc.length);
      for (const slice of slices(out.length)) {
        const part = await run(elementwise.axpy(slice.bucket), padded(acc, slice), padded(x, slice), w);
        out.set(part.subarray(0, slice.length), slice.offset);
      }
      return out;
    },
    weightedSum: (rows, weights) => weightedSum(run, rows, weights),
    scaleClip: async (x, s, c) => {
      const out = new Float32Array(x.length);
      for (const slice of slices(out.length)) {
        const part = await run(elementwise.scaleClip(slice.bucket), padded(x, slice), s, c);
        out.set(part.subarray(0, slice.length), slice.offset);
      }
      return out;
    },
    sqNorm: async (x) => {
      let sum = 0;
      for (const slice of slices(x.length)) {
        const columns = slice.bucket / SQUARE_ROWS;
        const whole = padded(x, slice);
        const folded = Array.from({ length: SQUARE_ROWS }, (_, j) => whole.subarray(j * columns, (j + 1) * columns));
        const part = (await run(squareSums(slice.bucket), folded)).reduce((a, b) => a + b, 0);
        // Squares over 2^128 do not fit f32.
        sum += Number.isFinite(part) ? part : await reference.sqNorm(whole);
      }
      return sum;
    },
    softmaxRows: (rows) => softmaxRows(run, rows),
    entropyStep: (input) => entropyStep(run, input),
    quantise: async (x, scale, u, limit) => {
      checkQuantise(x, scale, u, limit);
      const out = new Int16Array(x.length);
      for (const slice of slices(out.length)) {
        const kernel = elementwise.quantise(slice.bucket);
        const bound = (limit + 1) * scale;
        const part = await run(kernel, padded(x, slice), padded(u, slice), 1 / scale, bound, limit, NEGLIGIBLE_QUANTA);
        out.set(part.subarray(0, slice.length), slice.offset);
      }
      return out;
    },
    dequantise: async (q, scale) => {
      checkScale('dequantise', scale);
      const out = new Float32Array(q.length);
      for (const slice of slices(out.length)) {
        const part = await run(elementwise.dequantise(slice.bucket), padded(q, slice), scale);
        out.set(part.subarray(0, slice.length), slice.offset);
      }
      return out;
    },
  };
}

async function weightedSum(run: KernelPool['run'], rows: readonly IntRow[], weights: readonly number[]): Promise<Int32Array> {
  const out = new Int32Array(checkWeightedSum(rows, weights));
  const wide = rows[0] instanceof Int16Array;
  // Sums of up to 64 rows are added up in int32, within the bound that was checked for all rows together.
  for (let first = 0; first < rows.length; first += MAX_ROWS) {
    const group = rows.slice(first, first + MAX_ROWS);
    const height = rowBucket(group.length);
    const w = new Float32Array(height);
    w.set(weights.slice(first, first + MAX_ROWS));
    for (const slice of slices(out.length, height)) {
      const zeros = new Int8Array(slice.bucket);
      const x = Array.from({ length: height }, (_, j) => (j < group.length ? padded(group[j] as IntRow, slice) : zeros));
      const part = await run((wide ? weightedSum16 : weightedSum8)(height, slice.bucket), x, w);
      for (let k = 0; k < slice.length; k++) {
        const sum = wide ? 256 * (part[k] as number) + (part[slice.bucket + k] as number) : (part[k] as number);
        out[slice.offset + k] = (out[slice.offset + k] as number) + sum;
      }
    }
  }
  return out;
}

async function softmaxRows(run: KernelPool['run'], rows: readonly Row[]): Promise<Row[]> {
  if (rows.length === 0) return [];
  const width = commonLength('softmaxRows', rows);
  const flat = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    for (let k = 0; k < width; k++) flat[i * width + k] = Math.max((row[k] as number) - max, LEAST_EXPONENT);
  });
  for (const slice of slices(flat.length)) {
    const part = await run(elementwise.exponential(slice.bucket), padded(flat, slice));
    flat.set(part.subarray(0, slice.length), slice.offset);
  }
  return rows.map((_, i) => {
    const exps = flat.subarray(i * width, (i + 1) * width);
    const sum = exps.reduce((a, b) => a + b, 0);
    return exps.map((e) => e / sum);
  });
}

async function entropyStep(run: KernelPool['run'], { p, influence, fallback, a, c }: EntropyStepInput): Promise<EntropyStepOutput> {
  checkLength('entropyStep', influence.length, p.length);
  const lift = new Float32Array(p.length);
  if (fallback >= 0) lift[fallback] = a * (1 - c);
  const out = new Float32Array(p.length);
  let sum = 0;
  let logs = 0;
  for (const slice of slices(out.length)) {
    const kernel = elementwise.entropyStep(slice.bucket);
    const part = await run(kernel, padded(p, slice), padded(influence, slice), padded(lift, slice), 1 - a, a * c);
    out.set(part.subarray(0, slice.length), slice.offset);
    for (let k = 0; k < slice.length; k++) {
      sum += part[k] as number;
      logs += part[slice.bucket + k] as number;
    }
  }
  // With s = sum v: -sum (v/s) ln(v/s) = ln s - (sum v ln v) / s.
  return { p: out, entropy: sum === 0 ? 0 : Math.log(sum) - logs / sum };
}
