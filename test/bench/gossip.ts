import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { answerOf, nextReport } from './children.ts';
import { until } from './daemons.ts';
import type { Command, Kind, Report, SendCommand } from './gossipChild.ts';
import type { BenchRow } from './row.ts';
import { quantile } from './samples.ts';
import { temporaryFolder } from './temporary.ts';

/** Processes of each kind, as 8 daemons are. */
const HOSTS = 8;
/** Each host in turn sends this, the two kinds one after the other. 8 KiB: the manifest of a digits update. */
const BLOCK: SendCommand = { timed: true, count: 12, bytes: 8_192, everyMs: 50 };
const PROBE: SendCommand = { timed: false, count: 1, bytes: 64, everyMs: 0 };
/** Ms for the processes to start and their meshes to grow, and for what was sent to arrive. */
const READY_MS = 60_000;
const ARRIVE_MS = 3_000;
const BASELINE = 'bare gossipsub';

/** From publish to each delivery: hosts as daemons make them, each a process, against gossipsub without anything of ours. */
export async function rows(): Promise<BenchRow[]> {
  using cache = temporaryFolder();
  const groups: Readonly<Record<Kind, Peer[]>> = { starling: [], bare: [] };
  try {
    for (const kind of ['starling', 'bare'] as const) await startAll(groups[kind], kind, cache.path);
    await Promise.all(Object.values(groups).map(connectAll));
    const delays: Record<Kind, number[]> = { starling: [], bare: [] };
    for (let sender = 0; sender < HOSTS; sender++) {
      for (const kind of ['bare', 'starling'] as const) delays[kind].push(...(await block(groups[kind], groups[kind][sender] as Peer)));
    }
    const row = (what: string, unit: string, of: (kind: Kind) => number): BenchRow => ({
      bench: 'gossip',
      case: `${what}, ${HOSTS} hosts in ${HOSTS} processes`,
      value: of('starling'),
      unit,
      baseline: BASELINE,
      ratio: of('starling') / of('bare'),
      n: delays.starling.length,
    });
    return [
      row('delivery p50', 'ms', (kind) => quantile(delays[kind], 0.5)),
      row('delivery p99', 'ms', (kind) => quantile(delays[kind], 0.99)),
      row('delivered', 'share', (kind) => delays[kind].length / (HOSTS * BLOCK.count * (HOSTS - 1))),
    ];
  } finally {
    for (const { child } of Object.values(groups).flat()) child.kill('SIGKILL');
  }
}

interface Peer {
  readonly child: ChildProcess;
  /** Where it listens; set once it does. */
  address: string;
}

/** The first one alone: it leaves compiled code for the others, which then start in a third of the time. */
async function startAll(peers: Peer[], kind: Kind, cache: string): Promise<void> {
  const start = async (): Promise<void> => {
    const env = { ...process.env, NODE_COMPILE_CACHE: cache };
    const child = fork(fileURLToPath(new URL('./gossipChild.ts', import.meta.url)), [kind], { env });
    const peer: Peer = { child, address: '' };
    peers.push(peer);
    const report = await nextReport<Report>(child);
    peer.address = ('addresses' in report ? report.addresses[0] : undefined) ?? '';
  };
  await start();
  await Promise.all(Array.from({ length: HOSTS - 1 }, start));
}

async function connectAll(peers: readonly Peer[]): Promise<void> {
  const addresses = peers.map(({ address }) => address);
  for (const [i, peer] of peers.entries()) if (i > 0) await ask(peer, { dial: addresses.slice(0, i) });
  const reachesAll = async (peer: Peer): Promise<boolean> => {
    const report = await ask(peer, { send: PROBE });
    return 'recipients' in report && report.recipients === HOSTS - 1;
  };
  await until('the meshes to grow', async () => (await Promise.all(peers.map(reachesAll))).every(Boolean), READY_MS);
}

/** Delays of the deliveries of one sender's messages to all others. */
async function block(peers: readonly Peer[], sender: Peer): Promise<number[]> {
  await ask(sender, { send: BLOCK });
  const delays: number[] = [];
  const endMs = performance.now() + ARRIVE_MS;
  while (delays.length < BLOCK.count * (HOSTS - 1) && performance.now() < endMs) delays.push(...(await take(peers)));
  return delays;
}

async function take(peers: readonly Peer[]): Promise<number[]> {
  const reports = await Promise.all(peers.map((peer) => ask(peer, 'take')));
  return reports.flatMap((report) => ('delays' in report ? report.delays : []));
}

const ask = ({ child }: Peer, command: Command): Promise<Report> => answerOf<Report>(child, command);
