import { Bench } from 'tinybench';
import type { Compute } from '../../src/compute/api.ts';
import { createGpu } from '../../src/compute/gpu.ts';
import { createReference, OPERATIONS } from '../../src/compute/reference.ts';
import { checks } from '../../src/compute/verify.ts';
import { availableModes } from '../support/backends.ts';
import type { BenchRow } from './row.ts';

/** Parameters of the digits model (64-32-10), of a Fashion-MNIST model (784-64-10), and of a mega-parameter one. */
const SIZES = [2_410, 50_890, 2 ** 20];
/** Ms and runs to spend on a case, at least. */
const EFFORT = { time: 100, iterations: 5, warmupTime: 0, warmupIterations: 2 };

/** Each operation that has kernels on each backend that runs here, in ms a call (p50), against the plain loop. */
export async function rows(): Promise<BenchRow[]> {
  const backends: [string, Compute][] = [['ts', createReference()]];
  for (const mode of await availableModes()) {
    const compute = await createGpu(mode, true);
    const { adapter } = compute.info();
    backends.push([adapter === undefined ? mode : `${mode} (${adapter})`, compute]);
  }
  const measured: BenchRow[] = await selections(backends);
  for (const size of SIZES) {
    const todo = checks(size);
    for (const operation of OPERATIONS) {
      const { shape, run } = todo[operation];
      if (size !== SIZES[0] && !shape.endsWith(`${size}`)) continue; // the same at every size: once is enough
      measured.push(...(await compared(`${operation} ${shape}`, backends, run)));
    }
  }
  measured.push(...(await chunks(backends)));
  for (const [, compute] of backends) await compute.close();
  return measured;
}

/** Rows of the selections, and their runs: with few of them a busy machine says more about itself than about networks. */
const SELECTED = [16, 32, 64];
const SELECTION_EFFORT = { ...EFFORT, iterations: 25 };

/** Median and trimmed mean of a Fashion-MNIST model: the networks grow faster than the rows. */
async function selections(backends: readonly [string, Compute][]): Promise<BenchRow[]> {
  const measured: BenchRow[] = [];
  for (const count of SELECTED) {
    const rows = Array.from({ length: count }, (_, j) => Float32Array.from({ length: 50_890 }, (_, k) => Math.sin(j * 7 + k * k)));
    const shape = `${count}x50890`;
    measured.push(...(await compared(`median ${shape}`, backends, (compute) => compute.median(rows), SELECTION_EFFORT)));
    const trim = Math.floor((count - 1) / 3);
    measured.push(...(await compared(`trimmedMean ${shape}`, backends, (compute) => compute.trimmedMean(rows, trim), SELECTION_EFFORT)));
  }
  return measured;
}

/** Integers of a chunk of 256 KiB, by the bytes of each. */
const CHUNKS = [2 ** 18, 2 ** 17];

/** What `accumulate` does with a chunk, in place and in one thread, beside the same sum through each backend's kernels. */
async function chunks(backends: readonly [string, Compute][]): Promise<BenchRow[]> {
  const [[, plain]] = backends as [[string, Compute]];
  const measured: BenchRow[] = [];
  for (const length of CHUNKS) {
    const [sum, x] = [new Int32Array(length), Int16Array.from({ length }, (_, k) => (k * 7) % 100)];
    const own = Int16Array.from({ length }, (_, k) => k % 90);
    const inPlace = async (): Promise<Int32Array> => {
      // Zero times: the same work again and again would leave int32 in the end.
      plain.accumulate(sum, x, 0);
      return sum;
    };
    const bare: [string, Compute] = ['in place', { ...plain, weightedSum: inPlace }];
    measured.push(...(await compared(`accumulate ${length}`, [bare, ...backends], (compute) => compute.weightedSum([own, x], [1, 3]))));
  }
  return measured;
}

/** One case on every backend; the first is the plain loop. */
async function compared(
  what: string,
  backends: readonly [string, Compute][],
  run: (compute: Compute) => Promise<unknown>,
  effort = EFFORT,
): Promise<BenchRow[]> {
  const bench = new Bench(effort);
  for (const [name, compute] of backends) bench.add(name, () => run(compute));
  await bench.run();
  const samples = bench.tasks.map(({ name, result }) => {
    if (result.state !== 'completed') throw new Error(`${what} on ${name}: ${result.state}`);
    return { name, ms: result.latency.p50, n: result.latency.samplesCount };
  });
  const plain = samples[0]?.ms as number;
  return samples.map(({ name, ms, n }) => ({
    bench: 'kernels',
    case: `${what} ${name}`,
    value: ms,
    unit: 'ms',
    baseline: samples[0]?.name ?? '',
    ratio: ms / plain,
    n,
  }));
}
