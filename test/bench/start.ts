import { spawnSync } from 'node:child_process';
import { Daemons } from './daemons.ts';
import type { BenchRow } from './row.ts';
import { quantile, timed } from './samples.ts';

const RUNS = 10;
/** What any program on this Node pays before its first line. */
const BASELINE = 'node -e 0';

/** From the launch of a daemon, alone on the machine, to api.json and an answer of 200 on /readyz. */
export async function rows(): Promise<BenchRow[]> {
  await using daemons = new Daemons();
  const [first, again, empty]: [number[], number[], number[]] = [[], [], []];
  for (let run = 0; run < RUNS; run++) {
    for (const samples of [first, again]) {
      const daemon = await daemons.start(`node${run}`);
      samples.push(daemon.startMs);
      await daemon.stop();
    }
    empty.push(await timed(() => spawnSync(process.execPath, ['-e', '0'])));
  }
  const row = (what: string, samples: readonly number[], q: number): BenchRow => {
    const [value, baseline] = [quantile(samples, q), quantile(empty, q)];
    return { bench: 'start', case: `${what} p${100 * q}`, value, unit: 'ms', baseline: BASELINE, ratio: value / baseline, n: RUNS };
  };
  return [row('start', again, 0.5), row('start', again, 0.9), row('first start, founding a swarm', first, 0.5)];
}
