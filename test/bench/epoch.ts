import type { ApiClient } from '../../src/api/client.ts';
import type { EpochView } from '../../src/api/service.ts';
import type { TensorSpec } from '../../src/spec/index.ts';
import { encodeSafetensors } from '../../src/wire/safetensors.ts';
import { negotiate } from '../support/rosterWorld.ts';
import { Daemons, until } from './daemons.ts';
import type { BenchRow } from './row.ts';
import { median, quantile, timed } from './samples.ts';

const DAEMONS = 4;
const EPOCHS = 20;
/** Epochs before the measured ones: memberships settle, code is compiled. */
const WARM_UP = 3;
/** Ms for all to be members with a trainer, and for one epoch. */
const READY_MS = 60_000;
const EPOCH_MS = 30_000;
/** Negotiations that the baseline is the median of: the rule's ticks alone, in virtual time without disk, crypto or load. */
const SIMULATED = 100;
const BASELINE = 'the negotiation alone, simulated';

type EpochTimeline = EpochView['timeline'];

/**
 * What an epoch costs beside training, and beside waiting for whoever is late: every daemon's trainer hands over a
 * ready-made update at the same time, and the clock runs from there until the last daemon has applied the epoch.
 */
export async function rows(): Promise<BenchRow[]> {
  await using daemons = new Daemons();
  const swarm = await daemons.swarm(DAEMONS);
  const clients = swarm.map(({ client }) => client);
  await Promise.all(clients.map((client) => client.call('trainer_attach', { name: 'bench' })));
  await until('everyone to be a member with a trainer', async () => (await Promise.all(clients.map(isComplete))).every(Boolean), READY_MS);

  const { tensors } = await (clients[0] as ApiClient).call('swarm_info');
  const update = tinyUpdate(tensors);
  const overhead: number[] = [];
  const epochs: number[] = [];
  for (let i = 0; i < WARM_UP + EPOCHS; i++) {
    const epoch = await nextEpoch(clients);
    const ms = await timed(() => runEpoch(clients, epoch, update));
    if (i < WARM_UP) continue;
    overhead.push(ms);
    epochs.push(epoch);
  }
  const timelines: EpochTimeline[] = [];
  for (const epoch of epochs) for (const client of clients) timelines.push((await client.call('epoch_get', { epoch })).timeline);

  const simulated = await simulatedNegotiation();
  const row = (what: string, samples: readonly number[], q: number): BenchRow => {
    const value = quantile(samples, q);
    return {
      bench: 'epoch',
      case: `${what} p${100 * q}`,
      value,
      unit: 'ms',
      baseline: BASELINE,
      ratio: value / simulated,
      n: samples.length,
    };
  };
  const all = `${DAEMONS} daemons, last update to applied`;
  return [row(all, overhead, 0.5), row(all, overhead, 0.9), ...breakdown(timelines).map(([what, samples]) => row(what, samples, 0.5))];
}

async function isComplete(client: ApiClient): Promise<boolean> {
  const [{ members }, { activeTrainers, phase }] = await Promise.all([client.call('swarm_info'), client.call('epoch_current')]);
  return members.length === DAEMONS && activeTrainers === DAEMONS && phase === 'idle';
}

/** The epoch that all collect for; one that has applied a decision before the others is waited for. */
async function nextEpoch(clients: readonly ApiClient[]): Promise<number> {
  let epoch = 0;
  const agree = async (): Promise<boolean> => {
    const all = await Promise.all(clients.map((client) => client.call('epoch_current')));
    epoch = all[0]?.epoch ?? 0;
    return all.every((one) => one.epoch === epoch && one.phase === 'idle' && one.activeTrainers === DAEMONS);
  };
  await until('all daemons to stand at one epoch', agree, EPOCH_MS, 10);
  return epoch;
}

async function runEpoch(clients: readonly ApiClient[], epoch: number, update: Uint8Array): Promise<void> {
  await Promise.all(clients.map((client) => client.submit({ epoch, kind: 'delta', samples: 100 }, update)));
  await Promise.all(clients.map((client) => client.call('epoch_wait', { epoch, timeoutMs: EPOCH_MS })));
}

/** A thousandth everywhere: of the size of a real late update, and nothing a median calls far. */
function tinyUpdate(tensors: readonly TensorSpec[]): Uint8Array {
  return encodeSafetensors(
    tensors.map(({ name, shape }) => ({
      name,
      shape,
      values: new Float32Array(shape.reduce((product, axis) => product * axis, 1)).fill(0.001),
    })),
  );
}

/** What the steps took on each daemon, by the timelines of `epoch_get`; a daemon that adopted a decision lacks some. */
function breakdown(timelines: readonly EpochTimeline[]): [string, number[]][] {
  const took = (step: string): number[] => timelines.flatMap((marks) => marks.findLast((mark) => mark.step === step)?.tookMs ?? []);
  const at = (marks: EpochTimeline, step: string): number => marks.findLast((mark) => mark.step === step)?.atMs ?? Number.NaN;
  const between = (from: string, to: string): number[] =>
    timelines.map((marks) => at(marks, to) - at(marks, from)).filter((ms) => !Number.isNaN(ms));
  const rows: [string, number[]][] = [
    ...['prepare', 'commit', 'publish'].map((step): [string, number[]] => [`  ${step}`, took(step)]),
    ['  submit to freeze: every update verified', between('submit', 'roster')],
    ['  freeze to settled: the negotiation', between('roster', 'average')],
    ...['average', 'finalise', 'audit', 'apply'].map((step): [string, number[]] => [`  ${step}`, took(step)]),
    ['  settled to apply', between('average', 'apply')],
  ];
  return rows.filter(([, samples]) => samples.length > 0);
}

async function simulatedNegotiation(): Promise<number> {
  const stops: number[] = [];
  for (let seed = 1; seed <= SIMULATED; seed++) stops.push((await negotiate({ nodes: DAEMONS, seed })).lastMs);
  return median(stops);
}
