import type { Compute, Row } from './api.ts';
import type { Operation } from './reference.ts';

/** One operation on made-up input: the same call for the reference and for a candidate. */
export interface Check {
  /** Size of the input: rows x elements. */
  readonly shape: string;
  run(compute: Compute): Promise<readonly ArrayLike<number>[]>;
  /** Largest |candidate - reference| / max(1, |reference|) to accept; 0 demands the same bits. */
  readonly tolerance: number;
}

/** Options of a negotiation: PROTOCOL section 5 keeps at most 8. */
const OPTIONS = 8;
/** Rows and classes of a small learner's batch. */
const BATCH = 64;
const CLASSES = 10;
/** Contributions in a sum. */
const ROWS = 16;
/** Trimmed on each side of them: as many liars as 16 voters bear. */
const TRIM = 5;
/** Elements of rows that are sorted or compared in pairs, at most: work grows with them alone, and a calibration takes seconds. */
const MOST_COMPARED = 65_536;

/** Checks for every operation, on rows of `elements` elements (negotiation and batches keep their own size, and what is slow is cut short). */
export function checks(elements: number): Record<Operation, Check> {
  const next = lcg(elements);
  const row = (length: number, amplitude: number): Row => Float32Array.from({ length }, () => amplitude * (2 * next() - 1));
  const x = row(elements, 1);
  const y = row(elements, 1);
  const u = Float32Array.from(x, () => Math.fround(next() * (1 - 2 ** -24)));
  const rows = Array.from({ length: ROWS }, () => Int16Array.from({ length: elements }, () => Math.floor(next() * 65_535) - 32_767));
  const compared = rows.map((ints) => ints.subarray(0, MOST_COMPARED));
  const reals = compared.map((ints) => Float32Array.from(ints, (v) => v / 32_768));
  const comparedShape = `${ROWS}x${Math.min(elements, MOST_COMPARED)}`;
  const weights = rows.map((_, j) => (j === 0 ? 65_536 - (ROWS - 1) * 4_095 : 4_095));
  const batch = Array.from({ length: BATCH }, () => row(CLASSES, 10));
  const units = Array.from({ length: BATCH }, () => row(CLASSES, 1));
  const p = Float32Array.from({ length: OPTIONS }, () => next() / OPTIONS);
  return {
    // A GPU may fuse multiply and add: at most one rounding of operands below 1 apart.
    axpy: { shape: `${elements}`, tolerance: 2 ** -23, run: async (c) => [await c.axpy(x, y, 0.7)] },
    weightedSum: { shape: `${ROWS}x${elements}`, tolerance: 0, run: async (c) => [await c.weightedSum(rows, weights)] },
    scaleClip: { shape: `${elements}`, tolerance: 0, run: async (c) => [await c.scaleClip(x, 0.7, 0.5)] },
    // 64 squares are added in f32 before f64 takes over.
    sqNorm: { shape: `${elements}`, tolerance: 64 * 2 ** -24, run: async (c) => [[await c.sqNorm(x)]] },
    sqDist: { shape: `${elements}`, tolerance: 68 * 2 ** -24, run: async (c) => [[await c.sqDist(x, y)]] },
    // Integers: the same bits.
    pairwiseSqDist: { shape: comparedShape, tolerance: 0, run: async (c) => [await c.pairwiseSqDist(compared)] },
    median: { shape: comparedShape, tolerance: 0, run: async (c) => [await c.median(reals)] },
    // Up to 16 values below 1 are added in f32, and the sum is divided.
    trimmedMean: { shape: comparedShape, tolerance: 16 * 2 ** -24, run: async (c) => [await c.trimmedMean(reals, TRIM)] },
    trimmedSum: { shape: comparedShape, tolerance: 0, run: async (c) => [await c.trimmedSum(compared, TRIM)] },
    // WGSL grants exp 3 + 2|x| units in the last place, and what is exponentiated reaches -20.
    softmaxRows: { shape: `${BATCH}x${CLASSES}`, tolerance: 64 * 2 ** -24, run: (c) => c.softmaxRows(batch) },
    // WGSL grants log an absolute error of 2^-21.
    entropyStep: {
      shape: `${OPTIONS}`,
      tolerance: 2 ** -19,
      run: async (c) => {
        const step = await c.entropyStep({ p, influence: p, fallback: 3, a: 0.5, c: 0.25 });
        return [step.p, [step.entropy]];
      },
    },
    // Ten products below 1 are added in f32; softmax outside, in f64.
    align: { shape: `${BATCH}x${CLASSES}`, tolerance: 16 * 2 ** -24, run: (c) => c.align(units, units) },
    quantise: { shape: `${elements}`, tolerance: 0, run: async (c) => [await c.quantise(x, 2 ** -14, u, 32_767)] },
    dequantise: { shape: `${elements}`, tolerance: 0, run: async (c) => [await c.dequantise(rows[0] as Int16Array, 2 ** -14)] },
  };
}

/** Whether a candidate's answer is the reference's, within the check's tolerance. */
export function agrees(answer: readonly ArrayLike<number>[], truth: readonly ArrayLike<number>[], tolerance: number): boolean {
  return (
    answer.length === truth.length &&
    truth.every((expected, i) => {
      const actual = answer[i] as ArrayLike<number>;
      if (actual.length !== expected.length) return false;
      for (let k = 0; k < expected.length; k++) {
        const e = expected[k] as number;
        const error = Math.abs((actual[k] as number) - e);
        if (!(error <= tolerance * Math.max(1, Math.abs(e)))) return false; // NaN is no agreement
      }
      return true;
    })
  );
}

/** Numbers in [0, 1), always the same from one seed (constants of Numerical Recipes): inputs of checks, never secrets. */
function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
