/**
 * Scheduled averages of ten million integers among four members: shaped to 100 Mbit/s on hosts of their own, against what the bytes of
 * the schedule take at that rate and against a float32 all-reduce by gloo; and on loopback, unshaped, against gloo and libp2p's stream.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/daemons.ts';
import type { Average, Command, Report, Result } from './allreduceChild.ts';
import { AS_DAEMON } from './asDaemon.ts';
import { answerOf, nextReport } from './children.ts';
import { streamPerCore } from './flow.ts';
import { gloo, torchPython } from './gloo.ts';
import { Net } from './net.ts';
import type { BenchRow } from './row.ts';
import { median } from './samples.ts';

const MEMBERS = 4;
const PARAMETERS = 10_000_000;
const WARM_PARAMETERS = 2_000_000;
const RUNS = 3;
const RATE_MBIT = 100;
const GLOO_PORT = 29_500;
const MEMBER_PORT = 4_001;
const CASES = (['int16', 'int8'] as const).flatMap((dtype) => (['ring', 'butterfly'] as const).map((schedule) => ({ dtype, schedule })));

/** Where the members run. */
interface Place {
  readonly name: string;
  readonly through: (member: number) => readonly string[];
  readonly listen: (member: number) => string;
  readonly address: string;
  readonly device: string;
  readonly port: number;
}

interface Figures {
  /** From the start of the first to the end of the last. */
  readonly ms: number;
  readonly cpuMs: number;
  /** Payload bytes that the busiest member sent, and all together. */
  readonly bytes: number;
  readonly allBytes: number;
  readonly pauseMs: number;
  readonly busyMs: number;
}

export async function rows(): Promise<BenchRow[]> {
  const python = torchPython();
  if (python === undefined) console.error('allreduce: no Python here imports torch (Debian: python3-torch): no rows against gloo');
  return [...(await shaped(python)), ...(await loopback(python))];
}

async function shaped(python: string | undefined): Promise<BenchRow[]> {
  const net = await Net.open(MEMBERS).catch((error: Error) => {
    console.error(`allreduce: no rows at ${RATE_MBIT} Mbit/s: ${error.message}`);
  });
  if (net === undefined) return [];
  try {
    for (let host = 0; host < MEMBERS; host++) await net.rate(host, `${RATE_MBIT}mbit`);
    const place: Place = {
      name: `${RATE_MBIT}mbit`,
      through: (member) => net.through(member),
      listen: (member) => `/ip4/${net.address(member)}/tcp/${MEMBER_PORT}`,
      address: net.address(0),
      device: 'eth0',
      port: GLOO_PORT,
    };
    const { figures, other } = await measured(place, python);
    const bytesMs = (bytes: number): number => (bytes * 8) / (RATE_MBIT * 1e3);
    // What the baseline itself takes for its bytes: headers and queues of this network.
    const floatBytes = ((2 * (MEMBERS - 1)) / MEMBERS) * PARAMETERS * Float32Array.BYTES_PER_ELEMENT;
    const ofGloo = other === undefined ? [] : [line(`${place.name} float32 gloo`, other.ms, 'ms', 'bytes', bytesMs(floatBytes))];
    const ofMembers = figures.flatMap(({ dtype, schedule, ...one }) => {
      const row = (baseline: string, baselineMs: number): BenchRow =>
        line(`${place.name} ${dtype} ${schedule}`, one.ms, 'ms', baseline, baselineMs);
      return [row('bytes', bytesMs(one.bytes)), ...(other === undefined ? [] : [row('gloo', other.ms)])];
    });
    return [...ofMembers, ...ofGloo];
  } finally {
    await net.close();
  }
}

async function loopback(python: string | undefined): Promise<BenchRow[]> {
  const place: Place = {
    name: 'loopback',
    through: () => [],
    listen: () => '/ip4/127.0.0.1/tcp/0',
    address: '127.0.0.1',
    device: 'lo',
    port: await freePort(),
  };
  const { figures, other } = await measured(place, python);
  const stream = await streamPerCore('tcp/tls');
  return figures.flatMap(({ dtype, schedule, ...one }) => {
    const name = `${place.name} ${dtype} ${schedule}`;
    const perCore = one.allBytes / 1e6 / (one.cpuMs / 1e3);
    return [
      ...(other === undefined
        ? []
        : [line(name, one.ms, 'ms', 'gloo', other.ms), line(name, one.cpuMs, 'ms of a core', 'gloo', other.cpuMs)]),
      line(name, perCore, 'MB/s of a core', 'stream', stream),
      line(`${name}, longest pause`, one.pauseMs, 'ms', '50 ms', 50),
      line(`${name}, longest work`, one.busyMs, 'ms of a core', '50 ms', 50),
    ];
  });
}

const line = (what: string, value: number, unit: string, baseline: string, compared: number): BenchRow => ({
  bench: 'allreduce',
  case: what,
  value,
  unit,
  baseline,
  ratio: value / compared,
  n: RUNS,
});

/** All cases and gloo in one place, one run of each after another, so that what else the machine does meets all alike. */
async function measured(place: Place, python: string | undefined) {
  const input = { members: MEMBERS, elements: PARAMETERS, runs: 1, ...place };
  const others: { readonly ms: number; readonly cpuMs: number }[] = [];
  const samples = CASES.map((): Figures[] => []);
  let number = 0;
  const children = await connected(place);
  try {
    // A first one alone, as daemons have averaged before, and gloo has.
    for (const one of CASES) await average(children, { ...one, parameters: WARM_PARAMETERS, number: number++ });
    for (let run = 0; run < RUNS; run++) {
      if (python !== undefined) others.push(await gloo({ ...input, python }));
      for (const [i, one] of CASES.entries())
        samples[i]?.push(await average(children, { ...one, parameters: PARAMETERS, number: number++ }));
    }
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
  const figures = CASES.map((one, i) => {
    const of = (field: keyof Figures): number => median((samples[i] as Figures[]).map((sample) => sample[field]));
    return {
      ...one,
      ms: of('ms'),
      cpuMs: of('cpuMs'),
      bytes: of('bytes'),
      allBytes: of('allBytes'),
      pauseMs: of('pauseMs'),
      busyMs: of('busyMs'),
    };
  });
  const other =
    others.length === 0 ? undefined : { ms: median(others.map(({ ms }) => ms)), cpuMs: median(others.map(({ cpuMs }) => cpuMs)) };
  return { figures, other };
}

/** Members that are connected with each other. */
async function connected(place: Place): Promise<readonly ChildProcess[]> {
  const children = Array.from({ length: MEMBERS }, (_, member) => start(place, member));
  const members = await Promise.all(children.map((child) => nextReport<Report>(child)));
  const addresses = members.map((one) => (typeof one === 'object' && 'address' in one ? one.address : ''));
  for (const [i, child] of children.entries()) await ask(child, { dial: addresses.slice(0, i) });
  return children;
}

async function average(children: readonly ChildProcess[], what: Average): Promise<Figures> {
  await Promise.all(children.map((child) => ask(child, { average: what })));
  const startNs = process.hrtime.bigint();
  const results = (await Promise.all(children.map((child) => ask(child, 'go')))) as Result[];
  const ends = (await Promise.all(children.map((child) => ask(child, 'end')))) as { readonly isExact: boolean }[];
  if (!ends.every(({ isExact }) => isExact)) throw new Error(`${what.dtype} ${what.schedule}: a sum is not exact`);
  return {
    ms: Math.max(...results.map(({ atNs }) => Number(BigInt(atNs) - startNs) / 1e6)),
    cpuMs: results.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    bytes: Math.max(...results.map(({ bytes }) => bytes)),
    allBytes: results.reduce((sum, { bytes }) => sum + bytes, 0),
    pauseMs: Math.max(...results.map(({ pauseMs }) => pauseMs)),
    busyMs: Math.max(...results.map(({ busyMs }) => busyMs)),
  };
}

function start(place: Place, member: number): ChildProcess {
  const script = fileURLToPath(new URL('./allreduceChild.ts', import.meta.url));
  const argv = [...place.through(member), process.execPath, ...AS_DAEMON, script, String(member), String(MEMBERS), place.listen(member)];
  return spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

const ask = (child: ChildProcess, command: Command): Promise<Report> => answerOf<Report>(child, command);
