import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  type Attempt,
  arrange,
  type BrokenLink,
  beaconOf,
  butterflyPlan,
  type Grid,
  gridPlan,
  type Plan,
  reform,
  type Summands,
} from '../../../../src/aggregation/schedule/index.ts';
import type { IntRow } from '../../../../src/compute/api.ts';
import { Exchanges, picker, plainSum, randomRows } from '../../../support/exchanges.ts';

const named = (n: number): string[] => Array.from({ length: n }, (_, i) => createHash('sha256').update(`member ${i}`).digest('hex')).sort();
const BEACON = beaconOf('ab'.repeat(32), 3);

interface World {
  readonly row: ReadonlyMap<string, IntRow>;
  readonly weight: ReadonlyMap<string, number>;
  /** Whether `to` hears `from`. */
  readonly hears: (from: string, to: string) => boolean;
  /** Members that are dead after so many messages of an attempt. */
  readonly dead: ReadonlySet<string>;
  /** Whom each liar accuses, whatever happens. */
  readonly slanders: ReadonlyMap<string, readonly string[]>;
}

/** Attempts one after another, as the members of an epoch make them, until one gives a sum. */
function epoch(world: World, members: readonly string[], kind: 'grid' | 'butterfly', seed: number) {
  const pick = picker(seed);
  let attempt: Attempt = { number: 0, members, broken: [] };
  const drops: string[] = [];
  for (let tries = 0; tries < 20; tries++) {
    const { order, grid, stranded } = arrange({
      beacon: BEACON,
      attempt: attempt.number,
      members: attempt.members,
      broken: attempt.broken,
    });
    assert.deepEqual(stranded, []);
    const planOf = (rank: number, summands: Summands): Plan =>
      kind === 'grid' ? gridPlan(grid as Grid, rank, summands) : butterflyPlan(rank, summands);
    const rows = order.map((member) => world.row.get(member) as IntRow);
    const weights = order.map((member) => world.weight.get(member) as number);
    const swarm = new Exchanges({ rows, weights, qmax: 127, plan: planOf });
    order.forEach((from, i) => {
      order.forEach((to, j) => {
        if (!world.hears(from, to)) swarm.cut.add(`${i} ${j}`);
      });
    });
    const deaths = tries === 0 ? pick(30) : 0;
    swarm.start();
    swarm.run(pick, () => swarm.delivered >= deaths);
    for (const member of world.dead) if (order.includes(member)) swarm.dead.add(order.indexOf(member));
    swarm.run(pick);
    const isBroken = (x: string, y: string): boolean => attempt.broken.some((link) => link.includes(x) && link.includes(y));
    const slanders = order.flatMap((liar): BrokenLink[] =>
      (world.slanders.get(liar) ?? [])
        .filter((x) => order.includes(x) && !isBroken(liar, x))
        .slice(0, 1)
        .map((x) => [liar, x]),
    );
    const alive = (rank: number): boolean => !swarm.dead.has(rank);
    const isGood = swarm.machines.every(({ isDone }, rank) => isDone && alive(rank)) && slanders.length === 0;
    if (isGood) return { sums: swarm.sums(), rows, weights, drops, attempts: attempt.number + 1, members: order };
    for (let i = 0; i < 8 && swarm.accusations.length === 0 && slanders.length === 0; i++) {
      swarm.tick(250);
      swarm.run(pick);
    }
    const edges = swarm.accusations.map(({ from, to }): BrokenLink => [order[from] as string, order[to] as string]);
    const reaches = (a: string, b: string): boolean => !world.dead.has(b) && world.hears(a, b) && world.hears(b, a);
    const reports = order
      .filter((by) => !world.dead.has(by))
      .map((by) => ({ by, unreachable: order.filter((x) => x !== by && !reaches(by, x)) }));
    const { next, drops: gone } = reform(attempt, { accused: [...edges, ...slanders], reports, evidence: new Set() });
    drops.push(...gone.map(({ member }) => member));
    attempt = next;
  }
  return assert.fail('no attempt came to an end');
}

const worldOf = (members: readonly string[], change: Partial<World>): World => {
  const pick = picker(members.length);
  const rows = randomRows(members.length, 41, 127, pick);
  return {
    row: new Map(members.map((member, i) => [member, rows[i] as IntRow])),
    weight: new Map(members.map((member) => [member, 1 + pick(50)])),
    hears: () => true,
    dead: new Set(),
    slanders: new Map(),
    ...change,
  };
};

describe('attempts until a sum', () => {
  const exact = (outcome: ReturnType<typeof epoch>): void => {
    for (const sum of outcome.sums) assert.deepEqual([...sum], plainSum(outcome.rows, outcome.weights));
  };

  it('leave a dead member out, at once and nobody else', () => {
    for (const kind of ['grid', 'butterfly'] as const) {
      for (const count of [3, 5, 8, 18]) {
        for (let seed = 0; seed < 12; seed++) {
          const members = named(count);
          const victim = members[seed % count] as string;
          const outcome = epoch(worldOf(members, { dead: new Set([victim]) }), members, kind, seed);
          exact(outcome);
          assert.deepEqual([outcome.drops, outcome.attempts, outcome.members.length], [[victim], 2, count - 1]);
        }
      }
    }
  });

  it('keep both ends of a link that is cut, one way or both', () => {
    for (const count of [3, 5, 9, 17]) {
      for (let seed = 0; seed < 12; seed++) {
        const members = named(count);
        const [a, b] = [members[seed % count], members[(seed + 1 + (seed >> 2)) % count]] as [string, string];
        if (a === b) continue;
        const hears = (from: string, to: string): boolean => !((from === a && to === b) || (seed % 2 === 0 && from === b && to === a));
        const outcome = epoch(worldOf(members, { hears }), members, 'grid', seed);
        exact(outcome);
        assert.deepEqual([outcome.drops, outcome.members.length], [[], count]);
        assert.ok(outcome.attempts <= 2);
      }
    }
  });

  it('end with the larger side of a partition', () => {
    const members = named(7);
    const small = new Set(members.slice(0, 3));
    const outcome = epoch(worldOf(members, { hears: (a, b) => small.has(a) === small.has(b) }), members, 'grid', 1);
    exact(outcome);
    assert.deepEqual([...outcome.drops].sort(), [...small].sort());
  });

  it('end without a liar that accuses one after another, and with everyone else', () => {
    for (const count of [4, 5, 9]) {
      const members = named(count);
      const liar = members[1] as string;
      const outcome = epoch(
        worldOf(members, { slanders: new Map([[liar, members.filter((x) => x !== liar).reverse()]]) }),
        members,
        'grid',
        2,
      );
      exact(outcome);
      assert.deepEqual(outcome.drops, [liar]);
    }
  });
});

describe('the attempt after one that failed', () => {
  const [a, b, c, d, e] = named(5) as [string, string, string, string, string];
  const none = { accused: [], reports: [], evidence: new Set<string>() };

  it('is the same whatever order its causes came in, and remembers failed links of those that stay', () => {
    const attempt: Attempt = { number: 2, members: [a, b, c, d, e], broken: [[a, b]] };
    const one = reform(attempt, {
      ...none,
      accused: [
        [d, c],
        [a, b],
        [e, b],
      ],
      evidence: new Set([e]),
    });
    const other = reform(attempt, {
      ...none,
      accused: [
        [b, e],
        [b, a],
        [c, d],
      ],
      evidence: new Set([e]),
    });
    assert.deepEqual(one, other);
    assert.deepEqual(one.next, {
      number: 3,
      members: [a, b, c, d],
      broken: [
        [a, b],
        [c, d],
      ],
    });
  });

  it('takes out who has failed links to more than half of the others, not to half, and keeps the links of the rest', () => {
    const of = (accused: readonly BrokenLink[]) => reform({ number: 0, members: [a, b, c, d, e], broken: [] }, { ...none, accused });
    const half = of([
      [a, b],
      [c, a],
    ]);
    assert.deepEqual([half.drops, half.next.broken.length], [[], 2]);
    const more = of([
      [a, b],
      [c, a],
      [a, d],
      [d, e],
    ]);
    assert.deepEqual(more.drops, [{ member: a, why: 'links', by: [b, c, d].sort() }]);
    assert.deepEqual(more.next, { number: 1, members: [b, c, d, e], broken: [[d, e]] });
  });

  it('takes no strangers, and no links of a member with itself', () => {
    const { next, drops } = reform(
      { number: 0, members: [a, b, c], broken: [] },
      {
        ...none,
        accused: [
          [a, e],
          [b, b],
        ],
      },
    );
    assert.deepEqual([next.broken, drops], [[], []]);
  });

  it('leaves two members that accuse each other to themselves', () => {
    const { next, drops } = reform(
      { number: 0, members: [a, b], broken: [] },
      {
        ...none,
        accused: [
          [a, b],
          [b, a],
        ],
      },
    );
    assert.deepEqual([next.members, next.broken, drops], [[a, b], [[a, b]], []]);
  });
});
