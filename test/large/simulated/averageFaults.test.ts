/** Every fault at every moment, for every schedule: what is left ends with the exact sum of those that an attempt names. */
import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { type AverageNode, type AverageOptions, AverageSwarm } from '../../support/averageSwarm.ts';

const DEADLINE_MS = 1_500;
/** Ms of words and votes between an attempt that failed and the next. */
const TALK_MS = 400;

type Moment = 'before the start' | 'in the reduce-scatter' | 'in the all-gather' | 'after the end';
const MOMENTS: readonly Moment[] = ['before the start', 'in the reduce-scatter', 'in the all-gather', 'after the end'];

/** What befalls one member, and whether it can go on afterwards. */
interface Fault {
  readonly strike: (swarm: AverageSwarm, victim: AverageNode) => void;
  readonly ends: 'dies' | 'lives';
}
const FAULTS: Record<string, Fault> = {
  killed: { strike: (_, victim) => victim.kill(), ends: 'dies' },
  frozen: {
    strike: (_, victim) => {
      victim.stopped = true;
    },
    ends: 'dies',
  },
  'cut off': {
    strike: (swarm, victim) => {
      for (const { index } of swarm.nodes) swarm.cut.add(`${victim.index} ${index}`).add(`${index} ${victim.index}`);
    },
    ends: 'dies',
  },
  'cut from one': {
    strike: (swarm, victim) => {
      const other = (victim.index + 1) % swarm.nodes.length;
      swarm.cut.add(`${victim.index} ${other}`).add(`${other} ${victim.index}`);
    },
    ends: 'lives',
  },
  'half open': {
    strike: (_, victim) => {
      victim.mute = true;
    },
    ends: 'dies',
  },
  'sending a corrupt chunk': {
    strike: (_, victim) => spoil(victim, (bytes) => bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte))),
    ends: 'lives',
  },
  'sending a chunk of a wrong size': { strike: (_, victim) => spoil(victim, (bytes) => bytes.subarray(1)), ends: 'lives' },
};

/** The next chunk that it sends is not what it signed. */
function spoil(victim: AverageNode, change: (bytes: Uint8Array) => Uint8Array): void {
  let spoilt = false;
  victim.tamper = (message) => {
    if (message.kind !== 'chunk' || spoilt) return message;
    spoilt = true;
    return { ...message, bytes: change(message.bytes) };
  };
}

/** Strikes once the victim sends its first chunk of that moment, or holds the sum. */
function strikeAt(swarm: AverageSwarm, victim: AverageNode, moment: Moment, strike: () => void): void {
  if (moment === 'before the start') {
    strike();
    return;
  }
  // A ring of five, a grid of two by three, a butterfly.
  const steps = swarm.genesis.schedule === 'ring' ? 8 : swarm.genesis.schedule === 'grid' ? 6 : 2;
  const least = moment === 'in the reduce-scatter' ? (steps > 2 ? 1 : 0) : steps / 2;
  let struck = false;
  victim.tamper = (message, to) => {
    const isDue =
      (moment === 'after the end' && message.kind === 'words' && message.words.findings.some(({ done }) => done !== null)) ||
      (moment !== 'after the end' && message.kind === 'chunk' && message.lane === 1 && message.step >= least);
    if (struck || !isDue) return message;
    struck = true;
    victim.tamper = (other) => other;
    strike();
    return victim.tamper(message, to);
  };
}

async function begun(options: AverageOptions): Promise<AverageSwarm> {
  const swarm = new AverageSwarm({ minDeadlineMs: DEADLINE_MS, maxDeadlineMs: DEADLINE_MS, ...options });
  await swarm.clock.runUntil(() => false, 10);
  return swarm;
}

const clean = new Map<string, number>();
async function cleanMs(options: AverageOptions): Promise<number> {
  const key = JSON.stringify(options);
  const known = clean.get(key);
  if (known !== undefined) return known;
  const swarm = await begun(options);
  swarm.begin();
  assert.ok(await swarm.run(swarm.nodes));
  const took = Math.max(...swarm.nodes.map(({ doneMs }) => doneMs));
  clean.set(key, took);
  return took;
}

/** What all that are left must hold: one attempt, and the exact sum of the rows that it names. */
function checkEnd(swarm: AverageSwarm, left: readonly AverageNode[]): void {
  assert.deepEqual(swarm.thrown, []);
  const [first] = left.map(({ averaged }) => averaged);
  assert.ok(first);
  const expected = bytesOf(Int32Array.from(swarm.sumOf(first.survivors)));
  for (const { averaged } of left) {
    assert.deepEqual(averaged?.attempt, first.attempt);
    assert.deepEqual(averaged?.survivors, first.survivors);
    assert.equal(Buffer.compare(bytesOf(averaged?.sum ?? new Int32Array()), expected), 0, 'the exact sum');
  }
}

/** One member is struck: all that are left end in time with one sum, and nobody else is dropped. `deadlineMs`: of a chunk. */
async function struck(options: AverageOptions, deadlineMs: number, moment: Moment, ends: Fault['ends'], strike: Fault['strike']) {
  const limitMs = 2 * (await cleanMs(options)) + deadlineMs + TALK_MS;
  const swarm = await begun(options);
  const victim = swarm.node(2);
  strikeAt(swarm, victim, moment, () => strike(swarm, victim));
  swarm.begin();
  const left = swarm.nodes.filter((node) => node !== victim || ends === 'lives');
  assert.ok(await swarm.run(left), `not all ended: ${swarm.nodes.map(({ ended }) => ended)}`);
  checkEnd(swarm, left);
  const tookMs = Math.max(...left.map(({ doneMs }) => doneMs));
  assert.ok(tookMs <= limitMs, `took ${tookMs} ms of ${limitMs}`);
  const { attempt } = left[0]?.averaged ?? {};
  assert.ok(
    (attempt?.dropped ?? []).every(({ id }) => id === victim.id),
    'nobody else is dropped',
  );
  return { attempt, victim };
}

describe('a sum over streams while something fails', function () {
  this.timeout(20_000);
  for (const schedule of ['ring', 'grid', 'butterfly'] as const)
    for (const [fault, { strike, ends }] of Object.entries(FAULTS))
      for (const moment of MOMENTS)
        it(`${schedule}: one is ${fault} ${moment}`, async () => {
          const nodes = schedule === 'grid' ? 6 : 5;
          const options = { nodes, schedule, elements: 3_000, seed: 7 };
          const { attempt, victim } = await struck(options, DEADLINE_MS, moment, ends, strike);
          if (moment === 'after the end' || attempt?.number === 0) return;
          const named = ends === 'dies' ? attempt?.dropped.map(({ id }) => id) : attempt?.broken.flat();
          assert.ok(named?.includes(ends === 'dies' ? victim.id : victim.node), 'the culprit or its edge is named');
        });

  for (const schedule of ['ring', 'grid', 'butterfly'] as const)
    for (const moment of MOMENTS)
      it(`${schedule}: one falls to 1 Mbit/s ${moment}`, async () => {
        const options = { nodes: schedule === 'grid' ? 6 : 5, schedule, elements: 500_000, minDeadlineMs: 1_000, maxDeadlineMs: 1_000 };
        const { attempt } = await struck(options, 1_000, moment, 'dies', (_, victim) => {
          victim.bitsPerMs = 1_000;
        });
        assert.ok(attempt?.number === 0 || attempt?.dropped.length === 1, 'it is dropped, or was done');
      });
});
