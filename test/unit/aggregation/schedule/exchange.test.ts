import assert from 'node:assert/strict';
import {
  Accumulator,
  ChunkDeadline,
  chunkRange,
  Exchange,
  type ExchangeCommand,
  gridOf,
  gridPlan,
  type Plan,
  packInts,
  reduced,
  ringOf,
  type Summands,
  type Transfer,
} from '../../../../src/aggregation/schedule/index.ts';
import { createReference } from '../../../../src/compute/index.ts';
import { Exchanges, picker, randomRows } from '../../../support/exchanges.ts';

const ring = (rank: number, summands: Summands): Plan => gridPlan(ringOf(summands.weights.length), rank, summands);
const summands = (members: number, elements: number): Summands => ({
  elements,
  weights: new Array<number>(members).fill(100),
  qmax: 32_767,
});
const exchange = (plan: Plan, window = 4): Exchange => new Exchange(plan, { window, deadlineMs: () => 1_000 });
const sendsOf = (commands: readonly ExchangeCommand[]): number[] => commands.flatMap((c) => (c.kind === 'send' ? [c.chunk] : []));

describe('an exchange', () => {
  it('has at most a window of chunks on the way, and goes on as they are answered', () => {
    const plan = ring(0, summands(2, 2_000_000)); // 1,000,000 int16 of the own row go first: 8 chunks
    const machine = exchange(plan, 3);
    assert.deepEqual(sendsOf(machine.start(0)), [0, 1, 2]);
    assert.deepEqual(sendsOf(machine.acked(1, 0, 1, 1)), [3]);
    assert.throws(() => machine.acked(1, 0, 1, 1), { code: 'PROTOCOL_VIOLATION' });
    assert.throws(() => machine.acked(5, 0, 0, 1), { code: 'PROTOCOL_VIOLATION' });
  });

  it('sends a partial sum on as soon as its chunk is in, and not before', () => {
    const plan = ring(0, summands(3, 1_800_000));
    const machine = exchange(plan, 100);
    const [first] = plan.receives as [Transfer, ...Transfer[]];
    machine.start(0);
    assert.deepEqual(machine.received(2, 0, 1, 5), [{ kind: 'store', transfer: first, chunk: 1, neededMs: 5 }]);
    assert.deepEqual(machine.stored(first, 1, 6), [{ kind: 'ack', to: 2, step: 0, chunk: 1 }], 'chunk 0 of the sum waits for chunk 0');
    machine.received(2, 0, 0, 7);
    const sent = machine.stored(first, 0, 8).filter((c) => c.kind === 'send');
    // Chunks of 2 bytes hold twice as many elements as chunks of 4: two of them stand for four.
    assert.deepEqual(
      sent.map(({ transfer, chunk }) => [transfer.step, chunk]),
      [
        [1, 0],
        [1, 1],
        [1, 2],
        [1, 3],
      ].slice(0, sent.length),
    );
    assert.ok(sent.length >= 3);
  });

  it('refuses by name what the plan does not have, what comes twice and a sum without its own part', () => {
    const plan = ring(0, summands(3, 300));
    const machine = exchange(plan);
    machine.start(0);
    assert.throws(() => machine.received(1, 0, 0, 1), { code: 'PROTOCOL_VIOLATION' }, 'from the wrong neighbour');
    assert.throws(() => machine.received(2, 9, 0, 1), { code: 'PROTOCOL_VIOLATION' }, 'a step that is not');
    for (const chunk of [1, -1, 0.5, Number.NaN]) assert.throws(() => machine.received(2, 0, chunk, 1), { code: 'MALFORMED' });
    machine.received(2, 0, 0, 1);
    assert.throws(() => machine.received(2, 0, 0, 2), { code: 'DUPLICATE' });
    assert.throws(() => machine.received(2, 3, 0, 2), { code: 'PROTOCOL_VIOLATION' }, 'all-gather before the reduce-scatter');
  });

  it('accuses the edge over which nothing came, at its first missing chunk', () => {
    const machine = exchange(ring(0, summands(3, 300)));
    machine.start(0);
    assert.deepEqual(machine.tick(499), []);
    assert.deepEqual(machine.tick(1_000), [{ kind: 'waiting', to: 1, on: { from: 2, to: 0 } }]);
    const accusations = machine.tick(1_001).flatMap((c) => (c.kind === 'accuse' ? [c.accusation] : []));
    assert.deepEqual(accusations, [
      { from: 2, to: 0, step: 0, phase: 'reduceScatter', chunk: 0, reason: 'silent' },
      { from: 0, to: 1, step: 0, phase: 'reduceScatter', chunk: 0, reason: 'unanswered' },
    ]);
  });

  it('believes excuses for as long as the steps may take, and no longer', () => {
    const machine = exchange(ring(0, summands(3, 300)));
    machine.start(0);
    machine.acked(1, 0, 0, 0);
    let nowMs = 0;
    for (; nowMs < 60_000 && !machine.tick(nowMs).some((c) => c.kind === 'accuse'); nowMs += 500) machine.excused(2, nowMs);
    assert.ok(nowMs > 4_000 && nowMs <= 6_500, `${nowMs} ms of excuses`);
  });

  it('a link cut one way is named by both of its ends and nobody else', () => {
    for (const [members, grid] of [
      [5, ringOf(5)],
      [18, gridOf(18)],
    ] as const) {
      for (let from = 0; from < members; from += 3) {
        const pick = picker(from);
        const rows = randomRows(members, 90, 127, pick);
        const plan = (rank: number, terms: Summands): Plan => gridPlan(grid, rank, terms);
        const swarm = new Exchanges({ rows, weights: rows.map(() => 3), qmax: 127, plan });
        const to = (swarm.plans[from] as Plan).sends[0]?.to as number;
        swarm.cut.add(`${from} ${to}`);
        swarm.start();
        for (let i = 0; i < 6; i++) {
          swarm.run(pick);
          swarm.tick(250);
        }
        assert.ok(swarm.accusations.length > 0);
        for (const { from: a, to: b } of swarm.accusations) assert.deepEqual([a, b].sort(), [from, to].sort(), `${members}: ${a}->${b}`);
      }
    }
  });

  it('a sum beyond what its summands can reach is refused, and accuses its edge', () => {
    const plan = ring(0, { elements: 6, weights: [1, 1, 1], qmax: 127 });
    const machine = exchange(plan);
    const accumulator = new Accumulator(createReference(), Int8Array.of(1, 2, 3, 4, 5, 6), 1);
    machine.start(0);
    const second = plan.receives[1] as Transfer;
    assert.deepEqual(second.encoding, { width: 2, bound: 254, weight: undefined });
    machine.received(2, 1, 0, 1);
    assert.throws(() => accumulator.store(second, 0, packInts(Int32Array.of(255, 0), 0, 2, 2, 255)), { code: 'BOUNDS_EXCEEDED' });
    assert.throws(() => accumulator.store(second, 0, new Uint8Array(3)), { code: 'MALFORMED' });
    assert.deepEqual(machine.refused(second, 0, 'BOUNDS_EXCEEDED'), [
      { kind: 'accuse', accusation: { from: 2, to: 0, step: 1, phase: 'reduceScatter', chunk: 0, reason: 'BOUNDS_EXCEEDED' } },
    ]);
    accumulator.scale({ start: 0, end: 6 }, 1);
    assert.deepEqual([...accumulator.values], [1, 2, 3, 4, 5, 6], 'nothing was taken in');
  });

  it('is done when all has come and everything it sent was answered', () => {
    const plan = ring(0, summands(2, 10));
    const machine = exchange(plan);
    machine.start(0);
    for (const transfer of plan.receives) {
      machine.received(1, transfer.step, 0, 1);
      machine.stored(transfer, 0, 1);
    }
    assert.deepEqual(machine.acked(1, 0, 0, 2), []);
    assert.equal(machine.isDone, false);
    assert.deepEqual(machine.acked(1, 1, 0, 3), [{ kind: 'done' }]);
    assert.equal(machine.isDone, true);
    assert.deepEqual(machine.tick(9_000), []);
  });

  it('is done at once for a swarm of one, and for nothing to sum', () => {
    for (const [members, elements] of [
      [1, 5],
      [4, 0],
    ] as const) {
      const machine = exchange(ring(0, summands(members, elements)));
      assert.deepEqual(machine.start(0), [{ kind: 'done' }]);
    }
  });

  it('summands that no int32 holds are refused before anything is sent', () => {
    assert.throws(() => ring(0, { elements: 4, weights: [65_536, 65_536], qmax: 32_767 }), { code: 'BOUNDS_EXCEEDED' });
    for (const bad of [{ elements: -1 }, { elements: 0.5 }, { weights: [] }, { weights: [-1, 2] }, { weights: [0.5] }, { qmax: 0 }])
      assert.throws(() => ring(0, { elements: 4, weights: [1, 2], qmax: 127, ...bad }), { code: 'MALFORMED' });
  });
});

describe('parts of a plan', () => {
  it('chunks cover their transfer without a gap', () => {
    const [transfer] = ring(0, summands(3, 1_000_000)).sends as [Transfer, ...Transfer[]];
    const ranges = [0, 1, 2].map((i) => chunkRange(transfer, i));
    assert.deepEqual([ranges[0]?.start, ranges[2]?.end], [transfer.start, transfer.end]);
    assert.ok(ranges.every(({ start, end }, i) => end > start && (i === 0 || start === ranges[i - 1]?.end)));
    assert.throws(() => chunkRange(transfer, 3), { code: 'MALFORMED' });
  });

  it('weights lose what they have in common, exactly', () => {
    assert.deepEqual(reduced([8_192, 8_192, 8_192]), { weights: [1, 1, 1], unit: 8_192 });
    assert.deepEqual(reduced([6, 0, 9]), { weights: [2, 0, 3], unit: 3 });
    assert.deepEqual(reduced([0, 0]), { weights: [0, 0], unit: 1 });
    assert.deepEqual(reduced([5, 7]), { weights: [5, 7], unit: 1 });
    assert.throws(() => reduced([65_536, 65_536]), { code: 'BOUNDS_EXCEEDED' });
  });
});

describe('the deadline of a chunk', () => {
  it('is its upper bound at first, then twice the p95 of what was needed, late arrivals included', () => {
    const deadline = new ChunkDeadline({ minMs: 100, maxMs: 5_000 });
    assert.equal(deadline.ms, 5_000);
    for (let i = 0; i < 95; i++) deadline.needed(10);
    assert.equal(deadline.ms, 100);
    for (let i = 0; i < 6; i++) deadline.needed(900);
    assert.equal(deadline.ms, 1_800);
    for (let i = 0; i < 20; i++) deadline.needed(60_000);
    assert.equal(deadline.ms, 5_000);
    for (let i = 0; i < 256; i++) deadline.needed(100);
    assert.equal(deadline.ms, 200);
  });
});
