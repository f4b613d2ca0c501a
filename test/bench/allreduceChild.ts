/**
 * One member of the all-reduce bench: a node's own host and the runner of scheduled averages on it, without ledger and votes. Does
 * what its parent says; times are CLOCK_MONOTONIC, which all processes of a machine share.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createReference } from '../../src/compute/index.ts';
import { hashWithDomain, identityFromSeeds, sis, toHex, utf8 } from '../../src/crypto/index.ts';
import { layoutOf } from '../../src/epoch/exchange/plans.ts';
import { Run, type RunWorld } from '../../src/epoch/exchange/run.ts';
import type { Sums } from '../../src/epoch/exchange/work.ts';
import { systemClock } from '../../src/node/random.ts';
import { type Attempt, type Fingerprint, type Genesis, QMAX } from '../../src/spec/index.ts';
import { attemptId, decodeAverage, encodeAnswer } from '../../src/wire/index.ts';
import { makeHost, SWARM } from '../support/networkHosts.ts';
import { genesis } from '../unit/wire/samples.ts';

export interface Member {
  readonly address: string;
  readonly ready: true;
}
export interface Average {
  readonly schedule: 'ring' | 'butterfly';
  readonly dtype: 'int8' | 'int16';
  readonly parameters: number;
  /** Tells attempts of one run apart. */
  readonly number: number;
}
export type Command = { readonly dial: readonly string[] } | { readonly average: Average } | 'go' | 'end';
export type Report =
  | Member
  | { readonly peers: number }
  | 'prepared'
  | Result
  /** Whether the sum is that of all rows. */
  | { readonly isExact: boolean };
export interface Result {
  /** Time at which both sums were there. */
  readonly atNs: string;
  /** Payload bytes this member sent by its plans. */
  readonly bytes: number;
  readonly cpuMs: number;
  /** Ms of the longest pause of the event loop, and of the most processor time that this thread took between two looks at timers. */
  readonly pauseMs: number;
  readonly busyMs: number;
}

const [indexText, membersText, listen] = process.argv.slice(2) as [string, string, string];
const [index, members] = [Number(indexText), Number(membersText)];
const seedOf = (member: number): Uint8Array => new Uint8Array(32).fill(member + 1);
const identities = Array.from({ length: members }, (_, i) => identityFromSeeds({ mldsaSeed: seedOf(i), ed25519Seed: seedOf(i) }));
const identity = identities[index] as (typeof identities)[number];
const ids = identities.map((_, i) => toHex(hashWithDomain('bench/allreduce', utf8(`entry ${i}`))));
const byNode = new Map(identities.map((one, i) => [one.fingerprint, { one, id: ids[i] as string }]));
const WEIGHT = 1_000;
/** Looks at the processor time this thread took; ms. */
const LOOK_MS = 2;
/** Ms. Nothing fails here, so no link is to be given up on. */
const DEADLINE_MS = 60_000;

const reference = createReference();
const host = await makeHost({ listen: [listen], ed25519Seed: seedOf(index) });
let run: Run | undefined;
host.streams.handle('average', async (peer, payload) => {
  const message = decodeAverage(payload);
  const from = identities.find(({ peerId }) => peerId === peer)?.fingerprint;
  if (message.kind !== 'chunk' || from === undefined || run?.id !== message.attempt) return encodeAnswer('later');
  return encodeAnswer((await run.receive(from, message)) ? 'taken' : 'refused');
});
await host.start();

/** Integer `i` of a member's row: any that a coder cannot guess. */
const integerOf = (member: number, i: number, qmax: number): number =>
  ((Math.imul(i + 1, 0x9e37_79b1 + 2 * member) >>> 8) % (2 * qmax + 1)) - qmax;

interface Prepared {
  readonly average: Average;
  start(): Promise<Sums>;
  readonly bytes: () => number;
}
let prepared: Prepared | undefined;
let sums: Sums | undefined;

function prepare(average: Average): Prepared {
  const { schedule, dtype, parameters, number } = average;
  const values = new (dtype === 'int8' ? Int8Array : Int16Array)(parameters);
  for (let i = 0; i < parameters; i++) values[i] = integerOf(index, i, QMAX[dtype]);
  const own = { values, rho: sis.expandRho(seedOf(index)), salt: new Uint8Array(32) };
  const roster = [...ids].sort();
  const attempt: Attempt = { swarm: SWARM, epoch: 1, base: '0'.repeat(64), number, roster, dropped: [], broken: [] };
  const forced: Genesis = { ...genesis, updateDtype: dtype, schedule };
  const world: RunWorld = {
    clock: systemClock,
    compute: reference,
    streams: host.streams,
    journal: { log: (...words) => console.error(...words), observe: () => undefined, count: () => undefined },
    identity,
    keyOf: (node: Fingerprint) => byNode.get(node)?.one.ed25519PublicKey,
    peerOf: (node: Fingerprint) => byNode.get(node)?.one.peerId,
  };
  const authorOf = (id: string): Fingerprint | undefined => identities[ids.indexOf(id)]?.fingerprint;
  const layout = layoutOf({ genesis: forced, elements: parameters, attempt, weights: roster.map(() => WEIGHT), cost: undefined, authorOf });
  const timing = { deadlineMs: () => DEADLINE_MS, needed: () => undefined };
  return {
    average,
    start: () =>
      new Promise((exchanged, reject) => {
        const accused = (edges: unknown): void => reject(new Error(`a link failed: ${JSON.stringify(edges)}`));
        run = new Run(
          world,
          { id: attemptId(attempt), layout, own, ...timing },
          { late: () => undefined, accused, lied: accused, exchanged },
        );
      }),
    bytes: () =>
      (run as Run).lanes
        .flatMap(({ plan }) => plan.sends)
        .reduce((sum, { start, end, encoding }) => sum + (end - start) * encoding.width, 0),
  };
}

async function go({ start, bytes }: Prepared): Promise<Result> {
  const cpu = process.cpuUsage();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  let [busyMs, lastUs] = [0, threadUs()];
  const look = setInterval(() => {
    const nowUs = threadUs();
    [busyMs, lastUs] = [Math.max(busyMs, (nowUs - lastUs) / 1e3), nowUs];
  }, LOOK_MS);
  sums = await start();
  const atNs = String(process.hrtime.bigint());
  clearInterval(look);
  delay.disable();
  const { user, system } = process.cpuUsage(cpu);
  return { atNs, bytes: bytes(), cpuMs: (user + system) / 1e3, pauseMs: delay.max / 1e6, busyMs };
}

const threadUs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return user + system;
};

/** Ends the attempt; the sum is held against that of all rows. */
function end({ average }: Prepared): Report {
  run?.stop();
  run = undefined;
  const { dtype, parameters } = average;
  const sum = sums?.sum ?? new Int32Array(0);
  let isExact = sum.length === parameters;
  for (let i = 0; i < parameters && isExact; i++) {
    let expected = 0;
    for (let member = 0; member < members; member++) expected += WEIGHT * integerOf(member, i, QMAX[dtype]);
    isExact = sum[i] === expected;
  }
  sums = undefined;
  return { isExact };
}

async function obey(command: Command): Promise<Report> {
  if (command === 'go') return await go(prepared as Prepared);
  if (command === 'end') return end(prepared as Prepared);
  if ('dial' in command) {
    await Promise.all(command.dial.map((address) => host.dial(address)));
    return { peers: host.streams.peers().length };
  }
  prepared = prepare(command.average);
  return 'prepared';
}

process.on('message', (command: Command) => void obey(command).then((report) => process.send?.(report)));
process.once('disconnect', () => process.exit());
process.send?.({ address: host.addresses()[0] as string, ready: true } satisfies Report);
