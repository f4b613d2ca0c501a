import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Daemons } from './daemons.ts';
import type { BenchRow } from './row.ts';
import { median } from './samples.ts';

/** Daemons that run together. */
const TOGETHER = 4;
/** Ms between looks, and looks at most until the garbage of a start is gone: memory is read once it no longer shrinks or grows. */
const LOOK_MS = 1_000;
const LOOKS = 6;
const STEADY_MIB = 0.5;

/** Proportional set sizes of idle daemons: what one costs the machine, pages shared with others counted in parts. */
export async function rows(): Promise<BenchRow[]> {
  const bare = await bareHost();
  const alone = await aloneDaemon();
  const together = await daemonsTogether();
  const row = (what: string, value: number, n: number): BenchRow => ({
    bench: 'memory',
    case: what,
    value,
    unit: 'MiB PSS',
    baseline: 'a process with a listening libp2p host',
    ratio: value / bare,
    n,
  });
  return [
    row('a listening libp2p host', bare, 1),
    row('daemon, alone', alone, 1),
    row(`daemon, one of ${TOGETHER}`, median(together), TOGETHER),
  ];
}

async function bareHost(): Promise<number> {
  const child = fork(fileURLToPath(new URL('./bareHost.js', import.meta.url)));
  try {
    await once(child, 'message');
    return await steadyPss(child.pid as number);
  } finally {
    child.kill('SIGKILL');
  }
}

async function aloneDaemon(): Promise<number> {
  await using daemons = new Daemons();
  await (await daemons.start('node0')).stop(); // as on any but the first day: compiled code is in its cache
  const { pid } = await daemons.start('node0');
  return await steadyPss(pid);
}

async function daemonsTogether(): Promise<number[]> {
  await using daemons = new Daemons();
  const swarm = await daemons.swarm(TOGETHER);
  return await Promise.all(swarm.map(({ pid }) => steadyPss(pid)));
}

async function steadyPss(pid: number): Promise<number> {
  let last = pssMib(pid);
  for (let look = 0; look < LOOKS; look++) {
    await sleep(LOOK_MS);
    const now = pssMib(pid);
    if (Math.abs(now - last) < STEADY_MIB) return now;
    last = now;
  }
  return last;
}

/** proc(5) smaps_rollup, in KiB there. */
function pssMib(pid: number): number {
  const [, kib] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
  return Number(kib) / 1_024;
}
