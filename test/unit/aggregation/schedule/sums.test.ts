import assert from 'node:assert/strict';
import {
  butterflyPlan,
  bytesIn,
  type Grid,
  gridOf,
  gridPlan,
  type Plan,
  ringOf,
  type Summands,
} from '../../../../src/aggregation/schedule/index.ts';
import { WEIGHT_TOTAL } from '../../../../src/spec/index.ts';
import { Exchanges, picker, plainSum, randomRows } from '../../../support/exchanges.ts';

type Planner = (members: number) => (rank: number, summands: Summands) => Plan;
const over =
  (gridFor: (members: number) => Grid): Planner =>
  (members) =>
  (rank, summands) =>
    gridPlan(gridFor(members), rank, summands);

/** A core with leaves that share partners, as failed links leave it. */
const withLeaves = (members: number): Grid => {
  const core = Math.max(1, members - Math.floor(members / 3));
  return {
    ...ringOf(core),
    leaves: Array.from({ length: members - core }, (_, i) => (i % 2 === 0 ? [0] : [core - 1, ...(core > 1 ? [0] : [])])),
  };
};

const PLANNERS: Readonly<Record<string, Planner>> = {
  ring: over(ringOf),
  grid: over(gridOf),
  'ring with leaves': over(withLeaves),
  butterfly: () => butterflyPlan,
};

/** Weights as rosters have them: any, all equal, some zero. */
function weightsFor(members: number, pick: (n: number) => number): number[] {
  const total = [WEIGHT_TOTAL, 256, members][pick(3)] as number;
  const each = Math.floor(total / members);
  return Array.from({ length: members }, () => (pick(2) === 0 ? each : pick(each + 1)));
}

describe('sums by a schedule', () => {
  for (const [name, planner] of Object.entries(PLANNERS)) {
    it(`${name}: every member of 1 to 40 holds the plain sum to the bit, whatever the order of delivery`, function () {
      this.timeout(60_000);
      for (let members = 1; members <= 40; members++) {
        const pick = picker(members);
        const sizes = members <= 12 ? [0, 1, members - 1, 2 * members + 1, 1 + pick(200)] : [pick(members), members + pick(60)];
        for (const elements of sizes) {
          const qmax = [127, 32_767][pick(2)] as number;
          const rows = randomRows(members, elements, qmax, pick);
          const weights = weightsFor(members, pick);
          const swarm = new Exchanges({ rows, weights, qmax, plan: planner(members), window: 1 + pick(4) });
          swarm.start();
          swarm.run(pick);
          assert.ok(swarm.isDone, `${members} members, ${elements} elements`);
          const expected = plainSum(rows, weights).join();
          for (const sum of swarm.sums()) assert.equal(sum.join(), expected);
          assert.deepEqual(swarm.accusations, []);
        }
      }
    });
  }

  it('goes chunk by chunk where rows take many of them', function () {
    this.timeout(60_000);
    for (const [name, members, elements] of [
      ['ring', 3, 600_001],
      ['grid', 17, 400_003],
      ['butterfly', 3, 700_001],
    ] as const) {
      const pick = picker(elements);
      const rows = randomRows(members, elements, 32_767, pick);
      const weights = weightsFor(members, pick);
      const swarm = new Exchanges({ rows, weights, qmax: 32_767, plan: (PLANNERS[name] as Planner)(members) });
      swarm.start();
      swarm.run(pick);
      const [first, ...others] = swarm.sums() as [Int32Array, ...Int32Array[]];
      for (const k of [0, 65_535, 65_536, 131_072, 262_144, elements - 1])
        assert.equal(
          first[k],
          rows.reduce((sum, row, i) => sum + (weights[i] as number) * (row[k] as number), 0),
        );
      for (const other of others) assert.equal(Buffer.compare(Buffer.from(first.buffer), Buffer.from(other.buffer)), 0);
    }
  });

  it('a member that dies at any moment leaves the survivors the exact sum of the survivors', function () {
    this.timeout(60_000);
    const pick = picker(7);
    for (const [name, planner] of Object.entries(PLANNERS)) {
      for (const members of [2, 3, 5, 8, 18]) {
        const rows = randomRows(members, 37, 32_767, pick);
        const weights = weightsFor(members, pick);
        const whole = new Exchanges({ rows, weights, qmax: 32_767, plan: planner(members) });
        whole.start();
        whole.run(() => 0);
        const stride = Math.max(1, Math.floor(whole.delivered / 25));
        for (let moment = 0; moment < whole.delivered; moment += stride) {
          const victim = pick(members);
          const swarm = new Exchanges({ rows, weights, qmax: 32_767, plan: planner(members) });
          swarm.start();
          swarm.run(pick, () => swarm.delivered >= moment);
          swarm.dead.add(victim);
          swarm.run(pick);
          if (swarm.machines.every((machine, rank) => rank === victim || machine.isDone)) continue;
          for (let i = 0; i < 5 && swarm.accusations.length === 0; i++) {
            swarm.tick(260);
            swarm.run(pick);
          }
          assert.ok(swarm.accusations.length > 0, `${name} of ${members}: silence at ${moment} is noticed`);
          for (const { from, to } of swarm.accusations)
            assert.ok(from === victim || to === victim, `${name}: ${from}->${to} is not ${victim}`);
          assert.ok(swarm.nowMs <= 2_000, 'within two deadlines');
          const left = rows.filter((_, rank) => rank !== victim);
          const leftWeights = weights.filter((_, rank) => rank !== victim);
          const again = new Exchanges({ rows: left, weights: leftWeights, qmax: 32_767, plan: planner(left.length) });
          again.start();
          again.run(pick);
          for (const sum of again.sums()) assert.deepEqual([...sum], plainSum(left, leftWeights));
        }
      }
    }
  });
});

describe('what a schedule costs', () => {
  const plansOf = (planner: Planner, summands: Summands): Plan[] =>
    summands.weights.map((_, rank) => planner(summands.weights.length)(rank, summands));
  const elementsIn = (plan: Plan): number => plan.sends.reduce((sum, { start, end }) => sum + end - start, 0);

  it('a ring moves 2 (N-1)/N of the row from each member, the first hop in the width of its type', () => {
    for (let members = 2; members <= 16; members++) {
      const summands = { elements: 720_720, weights: new Array<number>(members).fill(4_000).with(0, 3_999), qmax: 32_767 };
      for (const plan of plansOf(PLANNERS.ring as Planner, summands)) {
        const part = 720_720 / members;
        assert.equal(elementsIn(plan), 2 * (members - 1) * part);
        assert.equal(bytesIn(plan.sends), part * (2 + 4 * (2 * members - 3)), `${members} members`);
      }
    }
  });

  it('int8 rows of weight total 256 travel as int16 sums, int16 rows as int24', () => {
    const bytes = (members: number, qmax: number): number => {
      const weights = new Array<number>(members).fill(Math.floor(256 / members)).with(0, Math.floor(256 / members) - 1);
      return Math.max(
        ...plansOf(PLANNERS.ring as Planner, { elements: 1_000, weights, qmax }).flatMap((p) => p.sends.map((t) => t.encoding.width)),
      );
    };
    assert.deepEqual([bytes(4, 127), bytes(4, 32_767)], [2, 3]);
  });

  it('a butterfly moves (N-1)/N of the row out and back', () => {
    const summands = { elements: 5_040, weights: [1_000, 2_000, 3_000, 4_001, 5, 6, 7], qmax: 32_767 };
    for (const plan of plansOf(PLANNERS.butterfly as Planner, summands)) assert.equal(bytesIn(plan.sends), (6 / 7) * 5_040 * (2 + 4));
  });

  it('a grid moves no more from a core member than a ring, at most a tenth more from who serves a leaf, in O(log N) steps', () => {
    for (const members of [17, 31, 64, 97, 257, 512, 997, 1_000]) {
      const grid = gridOf(members);
      const summands = { elements: 1_000_000, weights: new Array<number>(members).fill(60), qmax: 32_767 };
      const core = members - grid.leaves.length;
      const slack = 1 + (grid.leaves.length > 0 ? 1 / (grid.leaves[0] as readonly number[]).length : 0);
      assert.ok(core >= 0.9 * members, `${members}: a core of ${core}`);
      for (const rank of [0, 1, core - 1, members - 1]) {
        const plan = gridPlan(grid, rank, summands);
        assert.ok(elementsIn(plan) <= 2_000_000 * slack, `${members}: ${elementsIn(plan)}`);
        assert.ok(plan.steps <= 2 + 5 * Math.log2(members), `${members}: ${plan.steps} steps`);
      }
    }
  });

  it('a core holds at least nine tenths of 17 to 10,000 members', () => {
    for (let members = 17; members <= 10_000; members++) {
      const { leaves, sides } = gridOf(members);
      const core = sides.reduce((a, b) => a * b, 1);
      assert.equal(core + leaves.length, members);
      assert.ok(core >= 0.9 * members, `${members}: ${core}`);
      const partners = leaves.flat();
      assert.equal(new Set(partners).size, partners.length, 'no core member serves two leaves');
    }
  });
});
