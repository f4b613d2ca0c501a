import { cpus } from 'node:os';
import { StarlingError } from '../spec/index.ts';
import type { Backend, Compute } from './api.ts';
import { MAX_BUCKET } from './buckets.ts';
import { disagreements, fastest, type Measurement, measure } from './calibrate.ts';
import { createGpu, type GpuCompute } from './gpu.ts';
import type { GpuMode } from './kernelPool.ts';
import { createReference, OPERATIONS, type Operation } from './reference.ts';

/** Where the result of a calibration is kept between starts: one text a machine. */
export interface CalibrationCache {
  /** The text saved last, or undefined. */
  load(): Promise<string | undefined>;
  save(text: string): Promise<void>;
}

export interface ComputeOptions {
  /** `auto` takes the fastest verified backend of each operation; the others force one. */
  readonly backend: 'auto' | Backend;
  readonly cache?: CalibrationCache;
  /**
   * Elements of a typical row, that is parameters of the model: what calibration measures at. 65,536 by default. Rows longer than
   * the largest kernel takes at once are measured as one of its slices: more would tell nothing new and hold up the daemon.
   */
  readonly elements?: number;
}

export interface CalibratedCompute extends Compute {
  /** Whether the choice in use was measured on this machine for this size, now or earlier. */
  isCalibrated(): boolean;
  /**
   * Measures every backend, chooses anew and saves the choice; seconds of work, for `starling doctor` or idle time.
   * Empty where a backend is forced.
   */
  calibrate(): Promise<readonly Measurement[]>;
  /** Takes over what another process has saved since; whether `isCalibrated` now. */
  reload(): Promise<boolean>;
}

const TYPICAL_ELEMENTS = 65_536;

/**
 * The `Compute` that configuration asks for. `auto` starts with the cached choice or, without one, the reference. What is chosen loads
 * here, where nobody waits: gpu.js takes 60 ms in one turn. So does a forced backend. Throws
 * BACKEND_UNAVAILABLE where it cannot run on this machine, KERNEL_MISMATCH where its answers are wrong.
 */
export async function createCompute({ backend, cache, elements = TYPICAL_ELEMENTS }: ComputeOptions): Promise<CalibratedCompute> {
  if (backend === 'auto') return createAuto(Math.min(elements, MAX_BUCKET), cache);
  return {
    ...(backend === 'ts' ? createReference() : await createForced(backend)),
    isCalibrated: () => true,
    calibrate: async () => [],
    reload: async () => true,
  };
}

async function createForced(mode: GpuMode): Promise<Compute> {
  const compute = await createGpu(mode, true);
  const wrong = await disagreements(compute);
  if (wrong.length === 0) return compute;
  await compute.close();
  throw new StarlingError('KERNEL_MISMATCH', `${mode} gives other results than the reference for ${wrong.join(', ')}`, {
    field: 'compute.backend',
    fix: 'Use compute.backend = "ts", and report this with starling bug-report.',
  });
}

/** What the cache holds: the choice, and all that makes it worth believing. */
interface Cached {
  readonly machine: string;
  readonly adapter?: string;
  readonly choice: Readonly<Partial<Record<Operation, GpuMode>>>;
}

async function createAuto(elements: number, cache: CalibrationCache | undefined): Promise<CalibratedCompute> {
  const reference = createReference();
  const backends = new Map<GpuMode, Promise<GpuCompute>>();
  const machine = await describeMachine(elements);
  let cached = parse(await cache?.load(), machine);
  const choice = new Map<Operation, GpuMode>();
  const adopt = (next: Cached): void => {
    cached = next;
    choice.clear();
    for (const operation of OPERATIONS) {
      const mode = next.choice[operation];
      if (mode !== undefined) choice.set(operation, mode);
    }
  };
  if (cached) adopt(cached);

  function open(mode: GpuMode): Promise<GpuCompute> {
    let opening = backends.get(mode);
    if (opening === undefined) {
      opening = createGpu(mode, false);
      backends.set(mode, opening);
    }
    return opening;
  }

  function giveUp(operation: Operation, mode: GpuMode): void {
    if (choice.get(operation) === mode) choice.delete(operation); // a calibration may have chosen anew meanwhile
  }

  /** Runs on the chosen backend; one that fails is given up, and the reference answers (or refuses the input). */
  async function on<T>(operation: Operation, run: (compute: Compute) => Promise<T>): Promise<T> {
    const mode = choice.get(operation);
    if (mode !== undefined) {
      try {
        const compute = await open(mode);
        if (compute.info().adapter === (mode === 'webgpu' ? cached?.adapter : undefined)) return await run(compute);
        giveUp(operation, mode); // another adapter than the one verified
      } catch (e) {
        if (!(e instanceof StarlingError) || e.code === 'BACKEND_UNAVAILABLE') giveUp(operation, mode);
      }
    }
    return run(reference);
  }

  // One that cannot be had is given up where it is needed first.
  await Promise.allSettled([...new Set(choice.values())].map(open));

  let calibrating: Promise<Measurement[]> | undefined;
  async function calibrateOnce(): Promise<Measurement[]> {
    const measurements = await measure(elements, open);
    const best = [...fastest(measurements).values()].filter(({ backend }) => backend !== 'ts');
    const adapter = await backends.get('webgpu')?.then(
      (compute) => compute.info().adapter,
      () => undefined,
    );
    adopt({ machine, ...(adapter !== undefined && { adapter }), choice: Object.fromEntries(best.map((m) => [m.operation, m.backend])) });
    for (const mode of [...backends.keys()]) if (!best.some((m) => m.backend === mode)) await shut(mode);
    await cache?.save(JSON.stringify(cached));
    return measurements;
  }

  async function shut(mode: GpuMode): Promise<void> {
    const opening = backends.get(mode);
    backends.delete(mode);
    await opening?.then(
      (compute) => compute.close(),
      () => undefined, // never opened, nothing to close
    );
  }

  return {
    ...reference,
    axpy: (acc, x, w) => on('axpy', (c) => c.axpy(acc, x, w)),
    weightedSum: (rows, weights) => on('weightedSum', (c) => c.weightedSum(rows, weights)),
    scaleClip: (x, s, limit) => on('scaleClip', (c) => c.scaleClip(x, s, limit)),
    sqNorm: (x) => on('sqNorm', (c) => c.sqNorm(x)),
    sqDist: (x, y) => on('sqDist', (c) => c.sqDist(x, y)),
    pairwiseSqDist: (rows) => on('pairwiseSqDist', (c) => c.pairwiseSqDist(rows)),
    median: (rows) => on('median', (c) => c.median(rows)),
    trimmedMean: (rows, trim) => on('trimmedMean', (c) => c.trimmedMean(rows, trim)),
    trimmedSum: (rows, trim) => on('trimmedSum', (c) => c.trimmedSum(rows, trim)),
    softmaxRows: (rows) => on('softmaxRows', (c) => c.softmaxRows(rows)),
    entropyStep: (input) => on('entropyStep', (c) => c.entropyStep(input)),
    align: (a, b) => on('align', (c) => c.align(a, b)),
    quantise: (x, scale, u, limit) => on('quantise', (c) => c.quantise(x, scale, u, limit)),
    dequantise: (q, scale) => on('dequantise', (c) => c.dequantise(q, scale)),
    info: () => {
      const byOperation = { ...reference.info().byOperation, ...Object.fromEntries(choice) };
      const uses = [...choice.values()];
      return {
        backend: uses.length === 0 ? 'ts' : 'mixed',
        byOperation,
        ...(uses.includes('webgpu') && cached?.adapter !== undefined && { adapter: cached.adapter }),
      };
    },
    isCalibrated: () => cached !== undefined,
    calibrate: () => {
      calibrating ??= calibrateOnce().finally(() => {
        calibrating = undefined;
      });
      return calibrating;
    },
    reload: async () => {
      const saved = parse(await cache?.load(), machine);
      if (saved !== undefined) adopt(saved);
      return cached !== undefined;
    },
    close: async () => {
      await calibrating;
      await Promise.all([...backends.keys()].map(shut));
    },
  };
}

/** What a calibration depends on, but for the adapter, which is only known once its driver is loaded. */
async function describeMachine(elements: number): Promise<string> {
  const versions = await Promise.all([import('gpu.js/package.json', { with: { type: 'json' } }), webgpuPackage()]);
  const [gpuJs, webgpu] = versions.map((module) => module?.default.version ?? 'absent');
  return [`node ${process.version}`, `gpu.js ${gpuJs}`, `webgpu ${webgpu}`, cpus()[0]?.model ?? process.arch, `${elements} elements`].join(
    ', ',
  );
}

/** `webgpu` is an optional dependency. */
const webgpuPackage = (): Promise<{ default: { version: string } } | undefined> =>
  import('webgpu/package.json', { with: { type: 'json' } }).catch(() => undefined);

/** The cached choice, unless it is of another machine or not a choice at all. */
function parse(text: string | undefined, machine: string): Cached | undefined {
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as Partial<Cached> | null;
    if (value?.machine !== machine || typeof value.choice !== 'object') return undefined;
    const choice = Object.entries(value.choice).filter(
      ([operation, mode]) => (OPERATIONS as readonly string[]).includes(operation) && (mode === 'webasm' || mode === 'webgpu'),
    );
    return { machine, ...(typeof value.adapter === 'string' && { adapter: value.adapter }), choice: Object.fromEntries(choice) };
  } catch {
    return undefined;
  }
}
