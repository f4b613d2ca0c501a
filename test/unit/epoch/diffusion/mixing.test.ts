import assert from 'node:assert/strict';
import { int32Of, layoutOf } from '../../../../src/aggregation/index.ts';
import { Account } from '../../../../src/epoch/diffusion/account.ts';
import { Mixing } from '../../../../src/epoch/diffusion/mixing.ts';
import type { Streams } from '../../../../src/epoch/ports.ts';
import { VirtualClock } from '../../../../src/simulation/clock.ts';
import { MemoryBlobStore, MemoryNodeStore } from '../../../../src/simulation/stores.ts';
import { StarlingError } from '../../../../src/spec/index.ts';
import { picker } from '../../../support/exchanges.ts';
import { openResidual } from '../../../support/residuals.ts';

const ELEMENTS = 3;
const spans = layoutOf([{ name: 'a', shape: [ELEMENTS] }]);
const BASE = 'ba'.repeat(32);
const UNIT = 2 ** -20;
const nameOf = (i: number): string => `0${i}`.repeat(32);

type Handler = (from: string, payload: Uint8Array) => Promise<Uint8Array | undefined>;

/** Nodes that reach each other directly; `lose` says of each answer whether it is lost. */
class Swarm {
  readonly clock = new VirtualClock();
  readonly handlers = new Map<string, Handler>();
  readonly nodes: { readonly mixing: Mixing; readonly account: Account }[];
  readonly on: boolean[];
  readonly failures: unknown[] = [];
  bases: string[];
  lose = (): boolean => false;

  constructor(count: number) {
    this.on = Array.from({ length: count }, () => true);
    this.bases = this.on.map(() => BASE);
    this.nodes = this.on.map((_, i) => this.#node(i));
  }

  #node(i: number) {
    const store = new MemoryNodeStore();
    const residual = openResidual(store, new MemoryBlobStore(), spans);
    const account = new Account({ store, residual, spans, scaleExponents: [-12], clipNorm: 100, turn: async () => {} });
    const self = nameOf(i);
    const streams: Pick<Streams, 'request' | 'handle'> = {
      handle: (_, handler) => void this.handlers.set(self, handler),
      request: async (peer, _, payload) => {
        const answer = await this.handlers.get(peer)?.(self, payload);
        if (answer === undefined || this.lose()) throw new StarlingError('PEER_TIMEOUT', 'no answer', { peer });
        return answer;
      },
    };
    const mixing = new Mixing(
      {
        clock: this.clock,
        streams,
        journal: { log: () => undefined, count: () => undefined, observe: () => undefined },
        self,
        isOn: () => this.on[i] === true,
        base: () => this.bases[i] as string,
        nodeOf: (peer) => (this.on.some((_, j) => nameOf(j) === peer) ? peer : undefined),
        peerOf: (node) => node,
        members: () => this.on.flatMap((_, j) => (j === i ? [] : nameOf(j))),
        changed: () => undefined,
        failed: (error) => this.failures.push(error),
      },
      account,
    );
    return { mixing, account };
  }

  learn(i: number, units: readonly number[]): Promise<void> {
    return this.at(i).account.learn(Float32Array.from(units, (v) => v * UNIT));
  }

  at(i: number) {
    return this.nodes[i] ?? assert.fail('no such node');
  }

  rows(): number[][] {
    return this.nodes.map(({ account }) => [...account.row(0)]);
  }

  sums(): number[] {
    return Array.from({ length: ELEMENTS }, (_, k) => this.rows().reduce((sum, row) => sum + (row[k] as number), 0));
  }

  start(): void {
    for (const { mixing } of this.nodes) mixing.start();
  }

  async run(ms: number): Promise<void> {
    await this.clock.runUntil(() => false, this.clock.nowMs() + ms);
  }

  stop(): void {
    for (const { mixing } of this.nodes) mixing.stop();
    assert.deepEqual(this.failures, []);
  }
}

const offerOf = (row: readonly number[], change: object = {}) => ({
  base: BASE,
  piece: 0,
  seq: 1,
  round: 1,
  degree: 1,
  values: new Uint8Array(Int32Array.from(row).buffer),
  ...change,
});

describe('mixing', () => {
  it('of two takes each to the mean, and of twenty keeps the sum while half of all answers are lost', async () => {
    const two = new Swarm(2);
    await two.learn(0, [600, -8, 0]);
    two.start();
    await two.run(3_000);
    assert.deepEqual(two.rows(), [
      [300, -4, 0],
      [300, -4, 0],
    ]);
    two.stop();

    const many = new Swarm(20);
    const pick = picker(3);
    many.lose = () => pick(2) === 0;
    for (let i = 0; i < 20; i++) await many.learn(i, [1_000 * i, -77 * i, i % 3]);
    const total = many.sums();
    many.start();
    await many.run(20_000);
    many.lose = () => false;
    // What is open is settled with no round going on, too.
    for (let i = 0; i < 20; i++) many.on[i] = false;
    await many.run(3_000);
    assert.deepEqual(many.sums(), total);
    // Closer than (1 + degree) / 2 units nothing flows, and the last flows come late.
    for (const row of many.rows()) for (const [k, v] of row.entries()) assert.ok(Math.abs(v - (total[k] as number) / 20) <= 17);
    const rounds = many.nodes.map(({ mixing }) => mixing.round);
    assert.ok(Math.max(...rounds) - Math.min(...rounds) <= 1 && Math.max(...rounds) >= 10, `${rounds}`);
    many.stop();
  });

  it('answers the same offer the same way, and another of the same round not at all', async () => {
    const swarm = new Swarm(2);
    await swarm.learn(1, [100, 0, 0]);
    const { mixing } = swarm.at(1);
    const first = mixing.answer(nameOf(0), offerOf([0, 0, 0]));
    assert.deepEqual([...int32Of(first.end?.values ?? assert.fail('not taken'))], [100, 0, 0]);
    assert.deepEqual(swarm.rows()[1], [50, 0, 0]);
    await swarm.learn(1, [8, 0, 0]);
    assert.deepEqual(mixing.answer(nameOf(0), offerOf([0, 0, 0])), first);
    assert.equal(mixing.answer(nameOf(0), offerOf([0, 0, 0], { seq: 2 })).end, null);
    assert.equal(mixing.answer(nameOf(0), offerOf([0, 0, 0], { seq: 2, round: 2 })).end, null);
    assert.deepEqual(swarm.rows()[1], [58, 0, 0]);
    const next = mixing.answer(nameOf(0), offerOf([50, 0, 0], { seq: 3, round: 2 }));
    assert.deepEqual([next.seq, next.round, next.end?.degree], [3, 2, 1]);
    assert.deepEqual(swarm.rows()[1], [54, 0, 0]);
    // Settled long ago: it does not count again.
    assert.equal(mixing.answer(nameOf(0), offerOf([0, 0, 0])).end, null);
    assert.deepEqual(swarm.rows()[1], [54, 0, 0]);
    swarm.stop();
  });

  it('takes nothing of another base, of a round long past or far ahead, of no neighbour, beyond the norm, or with a quorum', async () => {
    const cases: [string, (s: Swarm) => void, object, readonly number[]][] = [
      ['another base', () => undefined, { base: 'cd'.repeat(32) }, [1, 1, 1]],
      ['a week ahead', () => undefined, { round: 2 ** 21 }, [1, 1, 1]],
      ['beyond the norm', () => undefined, {}, [201 * 2 ** 20, 0, 0]],
      ['too short', () => undefined, {}, [1, 1]],
      [
        'a quorum is there',
        (s) => {
          s.on[1] = false;
        },
        {},
        [1, 1, 1],
      ],
    ];
    for (const [name, prepare, change, row] of cases) {
      const swarm = new Swarm(2);
      prepare(swarm);
      const { end, seq } = swarm.at(1).mixing.answer(nameOf(0), offerOf(row, change));
      assert.deepEqual([end, seq], [null, 1], name);
      // Decided once and for all: the way is free for the next.
      assert.equal(swarm.at(1).mixing.answer(nameOf(0), offerOf([0, 0, 0])).end, null, name);
      assert.deepEqual(swarm.rows()[1], [0, 0, 0], name);
      swarm.stop();
    }
    const swarm = new Swarm(2);
    const ask = swarm.handlers.get(nameOf(0)) ?? assert.fail('nobody');
    // Of two ends the lower offers; and a stranger is nobody's neighbour.
    for (const from of [nameOf(1), nameOf(7)]) await assert.rejects(ask(from, new Uint8Array()), { code: 'PEER_REFUSED' });
    swarm.stop();
  });

  it('goes on where the other node knows of later exchanges than its own disk', async () => {
    const swarm = new Swarm(2);
    swarm.at(1).account.mark(0, nameOf(0), { seq: 40, version: null, degree: 0, round: 9 });
    await swarm.learn(0, [600, 0, 0]);
    swarm.start();
    await swarm.run(3_000);
    assert.deepEqual(swarm.rows(), [
      [300, 0, 0],
      [300, 0, 0],
    ]);
    swarm.stop();
  });
});
