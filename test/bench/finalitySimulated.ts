/** Finality in virtual time: the whole node for small swarms, the voting machine alone for up to two hundred voters. */
import { proposerOrder, Tendermint, type TendermintEffect } from '../../src/consensus/index.ts';
import type { EpochPorts, StreamProtocol } from '../../src/epoch/index.ts';
import { Random } from '../../src/learning/random.ts';
import { isWhole } from '../../src/ledger/index.ts';
import { World } from '../../src/simulation/index.ts';
import { EventQueue } from '../../src/simulation/votes/eventQueue.ts';
import { decodeVotesMessage, encodeBlockRecord, parseTopic } from '../../src/wire/index.ts';
import { againstAim, finalityRow, timelineRows } from './finalityRow.ts';
import type { BenchRow } from './row.ts';

/** Ms of one way between two simulated nodes: uniform between half and one and a half of it. A continent's. */
const DELAY_MS = 20;
const SEED = 3;
/** Voters of the machine alone, and heights decided by each. */
const VOTERS = [4, 7, 16, 50, 100, 200];
const HEIGHTS = 5;
/** Whole nodes, and the epochs measured after those in which all became members. */
const SWARMS = [4, 7, 16];
const EPOCHS = 10;
/** Ms of virtual time for all of them. */
const WITHIN_MS = 300_000;
/** What the bytes on a topic or a stream are for. */
const GOSSIPED = {
  vote: 'votes',
  proposal: 'proposals',
  commit: 'certificates',
  beat: 'beats',
  epoch: 'updates',
  ledger: 'ledger',
} as const;
const STREAMED: Readonly<Record<StreamProtocol, string>> = {
  votes: 'votes told again',
  roster: 'negotiation',
  keys: 'updates',
  content: 'updates',
  head: 'updates',
  sync: 'ledger',
  blocks: 'ledger',
  archive: 'ledger',
  challenge: 'challenges',
  average: 'averaging',
  diffusion: 'averaging',
};
/** Bytes that a contributor may add to the ledger in an epoch after pruning (PROTOCOL section 3). */
const GROWTH_AIM = 250;

/** From the first proposal to the decision on every node; no signatures, no disk, blocks judged at once. */
export function votesOnlyRows(): BenchRow[] {
  return VOTERS.flatMap((n) => {
    const samples = Array.from({ length: HEIGHTS }, (_, i) => decideOnce(n, i + 1)).flat();
    return againstAim(`first proposal to decided, votes alone, ${n} simulated`, samples, DELAY_MS);
  });
}

/** Ms from the proposal until each node has decided one height. */
function decideOnce(n: number, height: number): number[] {
  const random = Random.from('finality', n, height);
  const queue = new EventQueue();
  const voters = Array.from({ length: n }, (_, i) => i.toString(16).padStart(64, '0'));
  const proposers = proposerOrder('0'.repeat(64), height, voters);
  const machines = voters.map((self) => new Tendermint({ epoch: height, voters, self, proposers }));
  const block = 'b'.repeat(64);
  let proposedMs: number | undefined;
  const decidedMs: number[] = [];
  const toOthers = (from: number, take: (machine: Tendermint) => readonly TendermintEffect[]): void => {
    for (const [to, machine] of machines.entries())
      if (to !== from) queue.after(DELAY_MS * (0.5 + random.uniform()), () => run(to, take(machine)));
  };
  const run = (index: number, effects: readonly TendermintEffect[]): void => {
    const machine = machines[index] as Tendermint;
    for (const effect of effects) {
      if (effect.type === 'timer') queue.after(effect.afterMs, () => run(index, machine.onTimer(effect.step, effect.round)));
      else if (effect.type === 'judge') run(index, machine.onJudged(effect.block, effect.round, true));
      else if (effect.type === 'decided') decidedMs.push(queue.nowMs);
      else if (effect.type === 'vote') {
        const vote = { ...effect.vote, signature: new Uint8Array(0) };
        toOthers(index, (other) => other.onVote(vote));
        run(index, machine.onVote(vote));
      } else if (effect.type === 'propose') {
        proposedMs ??= queue.nowMs;
        const proposal = { ...effect, proposer: voters[index] as string };
        toOthers(index, (other) => other.onProposal(proposal));
        run(index, machine.onProposal(proposal));
      }
    }
  };
  for (const [i, machine] of machines.entries()) run(i, machine.start());
  for (const [i, machine] of machines.entries()) run(i, machine.offer(block));
  while (decidedMs.length < n && queue.step());
  return decidedMs.map((ms) => ms - (proposedMs ?? Number.NaN));
}

/** The nodes of the product, signatures and all: finality by their own timelines, bytes by what they send, growth of what they keep. */
export async function engineRows(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const nodes of SWARMS) rows.push(...(await engineSwarm(nodes)));
  return rows;
}

async function engineSwarm(nodes: number): Promise<BenchRow[]> {
  const sent = new Map<string, number>();
  const count = (kind: string, bytes: number): void => void sent.set(kind, (sent.get(kind) ?? 0) + bytes);
  const link = { minDelayMs: DELAY_MS / 2, maxDelayMs: 1.5 * DELAY_MS };
  const world = new World({ nodes, seed: SEED, link, trainMs: [200, 400], intercept: (_node, ports) => counted(ports, count) });
  await world.boot();
  const from = world.node(0).up.ctx.chain.finalized.state.epoch + 1;
  if (!(await world.reach(from, WITHIN_MS))) throw new Error('the simulated swarm does not learn');
  sent.clear();
  const to = from + EPOCHS;
  if (!(await world.reach(to, WITHIN_MS))) throw new Error('the simulated swarm does not go on');
  const contexts = world.nodes.map((node) => node.up.ctx);
  const timelines = contexts.flatMap(({ timeline }) => epochsBetween(from, to).map((epoch) => timeline.of(epoch)));
  const share = (bytes: number): number => bytes / (nodes * EPOCHS);
  const all = share([...sent.values()].reduce((a, b) => a + b, 0));
  const rows = [
    ...timelineRows(timelines, `${nodes} simulated nodes`, DELAY_MS),
    ...[...sent]
      .sort()
      .map(([kind, bytes]) =>
        finalityRow(
          `sent for ${kind} a node and epoch, ${nodes} simulated nodes`,
          share(bytes),
          'B',
          'all that a node publishes',
          share(bytes) / all,
          EPOCHS,
        ),
      ),
    ...growth(world, nodes, from, to),
  ];
  world.stop();
  return rows;
}

/** Counts what a node publishes or tells, each copy that it sends itself; what gossip forwards for others is not in it. */
function counted(ports: EpochPorts, count: (kind: string, bytes: number) => void): EpochPorts {
  const { gossip, streams } = ports;
  return {
    ...ports,
    gossip: {
      subscribe: (topic) => gossip.subscribe(topic),
      unsubscribe: (topic) => gossip.unsubscribe(topic),
      onMessage: (handler) => gossip.onMessage(handler),
      publish: (topic, data) => {
        const { kind } = parseTopic(topic);
        count(GOSSIPED[kind === 'votes' ? decodeVotesMessage(data).kind : kind], data.byteLength);
        return gossip.publish(topic, data);
      },
    },
    streams: {
      handle: (protocol, handler) => streams.handle(protocol, handler),
      peers: () => streams.peers(),
      onPeer: (listener) => streams.onPeer(listener),
      notify: (peer, protocol, payload) => {
        count(STREAMED[protocol], payload.byteLength);
        streams.notify(peer, protocol, payload);
      },
      request: async (peer, protocol, payload, options) => {
        const answer = await streams.request(peer, protocol, payload, options);
        count(STREAMED[protocol], payload.byteLength + answer.byteLength);
        return answer;
      },
    },
  };
}

/** What the measured epochs add to a ledger whose composite signatures are pruned, in canonical bytes; `growth` has the files. */
function growth(world: World, nodes: number, from: number, to: number): BenchRow[] {
  const { chain } = world.node(0).up.ctx;
  const [first, end] = [from, to].map((epoch) => chain.at(epoch)?.state.treeSize);
  const records = epochsBetween(from, to).flatMap((epoch) => world.node(0).disk.blocks.get(epoch) ?? []);
  const contributions = records.reduce((sum, { block }) => sum + block.body.roster.length, 0);
  const bytes = { contributions: 0, verdicts: 0, 'other entries': 0, 'blocks with certificates': 0 };
  for (const { entry } of chain.order.slice(first ?? 0, end)) {
    if (!isWhole(entry)) continue;
    const { kind } = entry.core;
    bytes[kind === 'contribution' ? 'contributions' : kind === 'verdict' ? 'verdicts' : 'other entries'] +=
      entry.coreBytes.byteLength + entry.signature.byteLength;
  }
  for (const record of records) bytes['blocks with certificates'] += encodeBlockRecord(record).byteLength;
  const all = Object.values(bytes).reduce((sum, some) => sum + some, 0);
  return Object.entries({ ...bytes, 'all of these': all }).map(([what, some]) => {
    const value = some / contributions;
    return finalityRow(
      `ledger growth by ${what}, ${nodes} simulated nodes`,
      value,
      'B a contributor and epoch',
      `${GROWTH_AIM} B`,
      value / GROWTH_AIM,
      contributions,
    );
  });
}

/** Epochs after `from`, up to `to`. */
const epochsBetween = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + 1 + i);
