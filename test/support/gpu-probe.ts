/**
 * Tries WebGPU on the machine it runs on, without a test runner: `node test/support/gpu-probe.ts [SIZE]...` prints one
 * JSON document with the adapter, the 200 exact sums, and each kernel against the reference with times; it exits 1 where
 * anything disagrees. Any adapter will do, software ones too.
 */
import assert from 'node:assert/strict';
import { createGpu } from '../../src/compute/gpu.ts';
import { createReference, OPERATIONS } from '../../src/compute/reference.ts';
import { agrees, checks } from '../../src/compute/verify.ts';
import { exactSumCases, shuffled } from './exactSums.ts';

export interface ProbeReport {
  readonly adapter: string | undefined;
  /** Modes that gpu.js says its kernels had; ["webgpu"] or something is wrong. */
  readonly kernelModes: readonly string[];
  readonly exactSums: { readonly cases: number; readonly equal: number };
  readonly kernels: readonly {
    readonly operation: string;
    readonly elements: number;
    readonly agrees: boolean;
    /** Largest difference to the reference. */
    readonly error: number;
    readonly webgpuMs: number;
    readonly tsMs: number;
  }[];
  readonly ok: boolean;
}

/** Runs all of it. `sizes` are row lengths, in elements. */
export async function probe(sizes: readonly number[]): Promise<ProbeReport> {
  const reference = createReference();
  const gpu = await createGpu('webgpu', true);
  try {
    let [cases, equal] = [0, 0];
    for (const sum of exactSumCases(200, 1)) {
      const other = shuffled(sum, cases++);
      const expected = await reference.weightedSum(sum.rows, sum.weights);
      const answers = [await gpu.weightedSum(sum.rows, sum.weights), await gpu.weightedSum(other.rows, other.weights)];
      if (answers.every((answer) => Buffer.from(answer.buffer).equals(Buffer.from(expected.buffer)))) equal++;
    }
    const kernels: ProbeReport['kernels'][number][] = [];
    for (const elements of sizes) {
      const todo = checks(elements);
      for (const operation of OPERATIONS) {
        const { run, tolerance } = todo[operation];
        await run(gpu); // compiles
        const [truth, tsMs] = await timed(() => run(reference));
        const [answer, webgpuMs] = await timed(() => run(gpu));
        const error = largestDifference(answer, truth);
        kernels.push({ operation, elements, agrees: agrees(answer, truth, tolerance), error, webgpuMs, tsMs });
      }
    }
    const kernelModes = [...gpu.kernelModes()];
    const ok = equal === cases && kernels.every((kernel) => kernel.agrees) && kernelModes.join() === 'webgpu';
    return { adapter: gpu.info().adapter, kernelModes, exactSums: { cases, equal }, kernels, ok };
  } finally {
    await gpu.close();
  }
}

async function timed<T>(run: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await run();
  return [result, Math.round((performance.now() - start) * 1_000) / 1_000];
}

function largestDifference(answer: readonly ArrayLike<number>[], truth: readonly ArrayLike<number>[]): number {
  let largest = 0;
  truth.forEach((row, i) => {
    for (let k = 0; k < row.length; k++) largest = Math.max(largest, Math.abs((row[k] as number) - (answer[i]?.[k] ?? Number.NaN)));
  });
  return largest;
}

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number);
  assert.ok(
    sizes.every((size) => Number.isInteger(size) && size > 0),
    'usage: gpu-probe.ts [SIZE]...',
  );
  const report = await probe(sizes.length > 0 ? sizes : [4_097, 2 ** 16, 2 ** 20, 2 ** 22]);
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.ok ? 0 : 1;
}
