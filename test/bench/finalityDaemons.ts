/** Finality of real daemons on the loopback interface, by their own timelines and traffic counters. */
import { readFileSync } from 'node:fs';
import type { ApiClient } from '../../src/api/client.ts';
import { readApiFile, readToken } from '../../src/api/files.ts';
import type { EpochView } from '../../src/api/service.ts';
import { DEFAULT_SWARM_CONFIG, loadSwarmConfig } from '../../src/node/swarmConfig.ts';
import { encodeSafetensors } from '../../src/wire/safetensors.ts';
import { type Daemon, Daemons, until } from './daemons.ts';
import { finalityRow, timelineRows } from './finalityRow.ts';
import type { BenchRow } from './row.ts';
import { median } from './samples.ts';

/** Daemons, and the epochs measured of them: fewer of those that take longer, so that all fit into a minute. */
const SWARMS = [
  [4, 20],
  [7, 12],
  [16, 5],
] as const;
const MODEL = { kind: 'mlp', layers: [4, 3, 2], seed: 1 } as const;
const WARM_UP = 2;
/** Ms for all to be members with a trainer, whatever else the machine does, and for one epoch. */
const READY_MS = 300_000;
const EPOCH_MS = 120_000;
/** Ms between looks at them: a question to sixteen daemons is work that they share two cores with. */
const READY_LOOK_MS = 1_000;
const EPOCH_LOOK_MS = 100;
/** Ms of quiet in which a node's idle traffic is counted. */
const QUIET_MS = 2_000;

export async function daemonRows(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const [count, epochs] of SWARMS)
    try {
      rows.push(...(await swarmRows(count, epochs)));
    } catch (error) {
      // Sixteen daemons are more than a loaded machine of two cores can run: the others' figures stand.
      console.error(`finality of ${count} daemons could not be measured: ${(error as Error).message}`);
    }
  return rows;
}

async function swarmRows(count: number, epochs: number): Promise<BenchRow[]> {
  await using daemons = new Daemons();
  const swarm = await daemons.startAll(count, { ...loadSwarmConfig(DEFAULT_SWARM_CONFIG), model: MODEL, voting: 'open' });
  const clients = swarm.map(({ client }) => client);
  await Promise.all(clients.map((client) => client.call('trainer_attach', { name: 'bench' })));
  await until(
    'everyone to be a voter with a trainer',
    () => every(clients, (client) => isComplete(client, count)),
    READY_MS,
    READY_LOOK_MS,
  );

  const update = await tinyUpdate(clients[0] as ApiClient);
  const measured: number[] = [];
  let before = { bytes: 0, processorMs: 0, atMs: 0 };
  for (let i = 0; i < WARM_UP + epochs; i++) {
    const epoch = await nextEpoch(clients, count);
    if (i === WARM_UP) before = await spent(swarm);
    await Promise.all(clients.map((client) => client.submit({ epoch, kind: 'delta', samples: 100 }, update)));
    await Promise.all(clients.map((client) => client.call('epoch_wait', { epoch, timeoutMs: EPOCH_MS })));
    if (i >= WARM_UP) measured.push(epoch);
  }
  const after = await spent(swarm);
  const timelines: EpochView['timeline'][] = [];
  for (const client of clients) for (const epoch of measured) timelines.push((await client.call('epoch_get', { epoch })).timeline);
  const delayMs = await delayOf(clients);
  const quietFrom = await spent(swarm);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  const idle = ((await spent(swarm)).bytes - quietFrom.bytes) / count / (QUIET_MS / 1_000);
  const anEpoch = (after.bytes - before.bytes) / count / epochs;
  const processorMs = (after.processorMs - before.processorMs) / count / epochs;
  const epochMs = (after.atMs - before.atMs) / epochs;
  return [
    ...timelineRows(timelines, `${count} daemons`, delayMs),
    finalityRow(
      `processor time a node and epoch, ${count} daemons`,
      processorMs,
      'ms',
      'the time from one epoch to the next',
      processorMs / epochMs,
      epochs,
    ),
    finalityRow(`sent a node and epoch, ${count} daemons`, anEpoch, 'B', 'sent a second when idle', anEpoch / idle, epochs),
  ];
}

async function isComplete(client: ApiClient, count: number): Promise<boolean> {
  const [{ members, seats }, { activeTrainers, phase }] = await Promise.all([client.call('swarm_info'), client.call('epoch_current')]);
  return members.length === count && seats === count && activeTrainers === count && phase === 'idle';
}

async function nextEpoch(clients: readonly ApiClient[], count: number): Promise<number> {
  let epoch = 0;
  const agree = (): Promise<boolean> =>
    every(clients, async (client) => {
      const one = await client.call('epoch_current');
      if (client === clients[0]) epoch = one.epoch;
      return one.epoch === epoch && one.phase === 'idle' && one.finalized.epoch === epoch - 1 && one.activeTrainers === count;
    });
  await until('all daemons to stand at one epoch', agree, EPOCH_MS, EPOCH_LOOK_MS);
  return epoch;
}

/** Asks one after the other, up to the first of which it does not hold. */
async function every(clients: readonly ApiClient[], holds: (client: ApiClient) => Promise<boolean>): Promise<boolean> {
  for (const client of clients) if (!(await holds(client))) return false;
  return true;
}

async function tinyUpdate(client: ApiClient): Promise<Uint8Array> {
  const { tensors } = await client.call('swarm_info');
  return encodeSafetensors(
    tensors.map(({ name, shape }) => ({ name, shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.001) })),
  );
}

/** Ms of one way: half of the median round trip that libp2p's ping has measured between them. */
async function delayOf(clients: readonly ApiClient[]): Promise<number> {
  const peers = (await Promise.all(clients.map((client) => client.call('peers_list')))).flat();
  return median(peers.flatMap(({ latencyMs }) => latencyMs ?? [])) / 2;
}

/** What all of them have spent so far. */
async function spent(swarm: readonly Daemon[]): Promise<{ bytes: number; processorMs: number; atMs: number }> {
  const processorMs = swarm.reduce((sum, { pid }) => sum + processorMsOf(pid), 0);
  return { bytes: await sentBytes(swarm), processorMs, atMs: performance.now() };
}

/** proc(5) stat: user and system time, in ticks of 10 ms, after the name in parentheses and eleven other fields. */
function processorMsOf(pid: number): number {
  const [user, system] = (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '').split(' ').slice(11, 13);
  return 10 * (Number(user) + Number(system));
}

/** Bytes that all of them have sent over streams: gossip with what it forwards for others, syncs, pings. */
async function sentBytes(swarm: readonly Daemon[]): Promise<number> {
  const each = swarm.map(async ({ data }) => {
    const headers = { authorization: `Bearer ${readToken(data)}` };
    const text = await (await fetch(`${readApiFile(data)?.url}/metrics`, { headers })).text();
    return Number(/^\w*network_sent_bytes_total (\S+)$/m.exec(text)?.[1]);
  });
  return (await Promise.all(each)).reduce((sum, bytes) => sum + bytes, 0);
}
