import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MIB } from '../../src/spec/index.ts';
import { AS_DAEMON } from './asDaemon.ts';
import { answerOf, nextReport } from './children.ts';
import type { Channel, Command, Path, Report } from './flowChild.ts';
import type { BenchRow } from './row.ts';
import { median, timed } from './samples.ts';

const CHANNELS: readonly Channel[] = ['tcp/tls', 'tcp/noise', 'quic'];
const PATHS: readonly Path[] = ['socket', 'stream', 'request'];
/** Bytes each sender sends in one sample. */
const BYTES = 64 * MIB;
const RUNS = 5;
const WAYS = ['one way', 'both ways'] as const;

interface Sample {
  /** MB/s, both ways added up. */
  readonly rate: number;
  /** MB for each second of processor time that the two processes took together: what else the machine does counts less. */
  readonly perCpu: number;
}

/**
 * Bulk over one connection of two processes on loopback: requests of a chunk with a few on the way, as averages travel, against
 * libp2p's own stream on the same connection and against a socket without encryption.
 */
export async function rows(): Promise<BenchRow[]> {
  const all: BenchRow[] = [];
  for (const channel of CHANNELS) all.push(...(await measured(channel)));
  return all;
}

/** MB for each second of processor time of a stream one way: what other benches on this machine compare with. */
export async function streamPerCore(channel: Channel): Promise<number> {
  const pair = await connected(channel);
  try {
    const samples: number[] = [];
    for (let run = 0; run <= RUNS; run++) samples.push((await sample(pair.slice(0, 1), pair, 'stream')).perCpu);
    return median(samples.slice(1));
  } finally {
    for (const { child } of pair) child.kill('SIGKILL');
  }
}

async function measured(channel: Channel): Promise<BenchRow[]> {
  // The socket's buffers would change what the collector does for the others, so it has processes of its own.
  const [plain, pair] = [await connected(channel), await connected(channel)];
  try {
    const samples = new Map<string, Sample[]>();
    for (let run = 0; run <= RUNS; run++)
      for (const way of WAYS)
        for (const path of PATHS) {
          const both = path === 'socket' ? plain : pair;
          const one = await sample(way === 'one way' ? both.slice(0, 1) : both, both, path);
          if (run > 0) samples.set(`${path} ${way}`, [...(samples.get(`${path} ${way}`) ?? []), one]);
        }
    const of = (path: Path, way: string, field: keyof Sample): number =>
      median((samples.get(`${path} ${way}`) ?? []).map((one) => one[field]));
    const row = (path: Path, way: string, field: keyof Sample): BenchRow => ({
      bench: 'flow',
      case: `${channel} ${path} ${way}`,
      value: of(path, way, field),
      unit: field === 'rate' ? 'MB/s' : 'MB/s of a core',
      baseline: 'stream',
      ratio: of(path, way, field) / of('stream', way, field),
      n: RUNS,
    });
    return WAYS.flatMap((way) => PATHS.flatMap((path) => [row(path, way, 'rate'), row(path, way, 'perCpu')]));
  } finally {
    for (const { child } of [...plain, ...pair]) child.kill('SIGKILL');
  }
}

interface Peer {
  readonly child: ChildProcess;
  readonly address: string;
  readonly port: number;
}

async function start(channel: Channel): Promise<Peer> {
  const child = fork(fileURLToPath(new URL('./flowChild.ts', import.meta.url)), [channel], { execArgv: AS_DAEMON });
  const report = await nextReport<Report>(child);
  if (typeof report === 'string' || !('address' in report)) throw new Error('a process of the bench did not start');
  return { child, address: report.address, port: report.port };
}

async function connected(channel: Channel): Promise<readonly Peer[]> {
  const [a, b] = [await start(channel), await start(channel)];
  await ask(a, { dial: b.address, port: b.port });
  await ask(b, { dial: a.address, port: a.port });
  return [a, b];
}

const ask = ({ child }: Peer, command: Command): Promise<Report> => answerOf<Report>(child, command);

const cpuMs = async (peer: Peer): Promise<number> => {
  const report = await ask(peer, 'usage');
  if (typeof report === 'string' || !('cpuMs' in report)) throw new Error('no processor time was reported');
  return report.cpuMs;
};

async function sample(senders: readonly Peer[], all: readonly Peer[], path: Path): Promise<Sample> {
  const total = async (): Promise<number> => (await Promise.all(all.map(cpuMs))).reduce((a, b) => a + b, 0);
  const before = await total();
  const took = await timed(() => Promise.all(senders.map((one) => ask(one, { send: path, bytes: BYTES }))));
  const megabytes = (BYTES * senders.length) / 1e6;
  return { rate: megabytes / (took / 1e3), perCpu: megabytes / (((await total()) - before) / 1e3) };
}
