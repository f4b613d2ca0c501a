/** Which compute backend is fastest on this machine: measured once, by a process of its own, and kept for all daemons of a user. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CalibratedCompute, CalibrationCache } from '../compute/index.ts';
import { StarlingError } from '../spec/index.ts';
import { writeFileAtomic } from '../storage/index.ts';

/** One measurement serves every daemon of a machine's user. */
export function calibrationCache(): CalibrationCache {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'starling');
  const path = join(folder, 'compute.json');
  return {
    load: () => readFile(path, 'utf8').catch(() => undefined),
    async save(text) {
      await mkdir(folder, { recursive: true });
      writeFileAtomic(path, text);
    },
  };
}

/**
 * Measures at rows of `elements`, unless somebody has, in another process with the lowest priority: kernels run for as much as seconds,
 * in which this one would answer nobody. Takes the choice over. Throws BACKEND_UNAVAILABLE where the process fails.
 */
export async function calibrateAside(compute: CalibratedCompute, elements: number, signal: AbortSignal): Promise<void> {
  if (await compute.reload()) return;
  // The built package has .js files where the source has .ts.
  const script = fileURLToPath(new URL(`./calibrator.${import.meta.url.split('.').at(-1)}`, import.meta.url));
  // Its end of the channel closes with this process, however that ends.
  const child = fork(script, [String(elements)], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], signal });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 || !(await compute.reload()))
    throw new StarlingError('BACKEND_UNAVAILABLE', `the process that measures the compute backends ended with ${code ?? 'a signal'}`, {
      phase: 'calibrate',
      fix: 'run `starling doctor`, which says what each backend does here',
    });
}
