import { Bench } from 'tinybench';
import type { Compute } from '../../src/compute/api.ts';
import { createGpu, KERNEL_OPERATIONS } from '../../src/compute/gpu.ts';
import { createReference } from '../../src/compute/reference.ts';
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
  const measured: BenchRow[] = [];
  for (const size of SIZES) {
    const todo = checks(size);
    for (const operation of KERNEL_OPERATIONS) {
      const { shape, run } = todo[operation];
      if (size !== SIZES[0] && !shape.endsWith(`${size}`)) continue; // the same at every size: once is enough
      const bench = new Bench(EFFORT);
      for (const [name, compute] of backends) bench.add(name, () => run(compute));
      await bench.run();
      const samples = bench.tasks.map(({ name, result }) => {
        if (result.state !== 'completed') throw new Error(`${operation} on ${name}: ${result.state}`);
        return { name, ms: result.latency.p50, n: result.latency.samplesCount };
      });
      const plain = samples[0]?.ms as number;
      for (const { name, ms, n } of samples) {
        measured.push({
          bench: 'kernels',
          case: `${operation} ${shape} ${name}`,
          value: ms,
          unit: 'ms',
          baseline: 'ts',
          ratio: ms / plain,
          n,
        });
      }
    }
  }
  for (const [, compute] of backends) await compute.close();
  return measured;
}
