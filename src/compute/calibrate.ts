import type { Compute } from './api.ts';
import type { GpuCompute } from './gpu.ts';
import type { GpuMode } from './kernelPool.ts';
import { createReference, OPERATIONS, type Operation } from './reference.ts';
import { agrees, checks } from './verify.ts';

/** What calibration found about one operation on one backend. */
export interface Measurement {
  readonly operation: Operation;
  readonly backend: 'ts' | GpuMode;
  /** Best of three runs after a first one; absent where the backend cannot run here. */
  readonly ms?: number;
  /** Whether the answer was the reference's. An unverified backend is never chosen. */
  readonly verified: boolean;
  /** Why the backend could not run. */
  readonly reason?: string;
}

const TIMED_RUNS = 3;

/**
 * Runs every kernel on every backend of `open` against the reference, on rows of `elements` elements, and takes the
 * times. Opening webgpu here refuses software adapters.
 */
export async function measure(elements: number, open: (mode: GpuMode) => Promise<GpuCompute>): Promise<Measurement[]> {
  const reference = createReference();
  const todo = checks(elements);
  const measurements: Measurement[] = [];
  for (const operation of OPERATIONS) {
    measurements.push({ operation, backend: 'ts', verified: true, ms: await bestMs(() => todo[operation].run(reference)) });
  }
  for (const backend of ['webasm', 'webgpu'] as const) {
    for (const operation of OPERATIONS) {
      const { run, tolerance } = todo[operation];
      try {
        const candidate = await open(backend);
        const verified = agrees(await run(candidate), await run(reference), tolerance);
        const ms = await bestMs(() => run(candidate));
        measurements.push({ operation, backend, verified, ms });
      } catch (e) {
        measurements.push({ operation, backend, verified: false, reason: String(e) });
      }
    }
  }
  return measurements;
}

async function bestMs(run: () => Promise<unknown>): Promise<number> {
  await run();
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TIMED_RUNS; i++) {
    const start = performance.now();
    await run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** The fastest verified backend of each operation. */
export function fastest(measurements: readonly Measurement[]): Map<Operation, Measurement> {
  const best = new Map<Operation, Measurement>();
  for (const candidate of measurements) {
    if (!candidate.verified || candidate.ms === undefined) continue;
    const held = best.get(candidate.operation)?.ms ?? Number.POSITIVE_INFINITY;
    if (candidate.ms < held) best.set(candidate.operation, candidate);
  }
  return best;
}

/** Rows long enough to pass a bucket's edge, short enough to verify in milliseconds. */
const VERIFY_ELEMENTS = 4_097;

/** Names the kernels of a backend whose answers are not the reference's. */
export async function disagreements(candidate: Compute): Promise<Operation[]> {
  const reference = createReference();
  const todo = checks(VERIFY_ELEMENTS);
  const wrong: Operation[] = [];
  for (const operation of OPERATIONS) {
    const { run, tolerance } = todo[operation];
    if (!agrees(await run(candidate), await run(reference), tolerance)) wrong.push(operation);
  }
  return wrong;
}
