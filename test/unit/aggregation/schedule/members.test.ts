import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import {
  arrange,
  type BrokenLink,
  beaconOf,
  chooseSchedule,
  dropsOf,
  gridEdges,
  gridOf,
  gridPlan,
  type Plan,
  rankOrder,
  ringOf,
  type Situation,
  type Summands,
} from '../../../../src/aggregation/schedule/index.ts';
import { Exchanges, picker, plainSum, randomRows } from '../../../support/exchanges.ts';

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
const named = (n: number): string[] => Array.from({ length: n }, (_, i) => hash(`member ${i}`));
const BEACON = beaconOf(hash('block'), 7);

describe('ranks', () => {
  it('follow the hash of beacon, attempt and fingerprint, whatever the order they are given in', () => {
    const members = named(9);
    const expected = [...members].sort((a, b) => {
      const key = (m: string): string =>
        createHash('sha256')
          .update(Buffer.concat([Buffer.from('starling/rank/1\0'), BEACON, Buffer.from('3'), Buffer.from(m, 'hex')]))
          .digest('hex');
      return key(a) < key(b) ? -1 : 1;
    });
    assert.deepEqual(rankOrder(BEACON, 3, members), expected);
    assert.deepEqual(rankOrder(BEACON, 3, [...members].reverse()), expected);
    assert.notDeepEqual(rankOrder(BEACON, 4, members), expected);
    assert.throws(() => rankOrder(BEACON, 0, ['ab', 'ab']), { code: 'DUPLICATE' });
  });

  it('the beacon hangs on base block and epoch', () => {
    const plain = createHash('sha256')
      .update(Buffer.concat([Buffer.from('starling/beacon/1\0'), Buffer.from(hash('block'), 'hex'), Buffer.from('7')]))
      .digest('hex');
    assert.equal(Buffer.from(BEACON).toString('hex'), plain);
  });
});

describe('drops', () => {
  const members = named(5);
  const [a, b, c, d, e] = members as [string, string, string, string, string];
  const none = new Set<string>();

  it('take whom most others cannot reach', () => {
    const reports = [a, b, c].map((by) => ({ by, unreachable: [e] }));
    assert.deepEqual(dropsOf(members, none, reports), [{ member: e, why: 'unreachable', by: [a, b, c].sort() }]);
    assert.deepEqual(dropsOf(members, none, reports.slice(1)), []);
  });

  it('spare both ends of a failing link', () => {
    assert.deepEqual(
      dropsOf(members, none, [
        { by: a, unreachable: [b] },
        { by: b, unreachable: [a] },
      ]),
      [],
    );
    assert.deepEqual(
      dropsOf([a, b], none, [
        { by: a, unreachable: [b] },
        { by: b, unreachable: [a] },
      ]),
      [],
    );
    assert.deepEqual(
      dropsOf([a, b, c], none, [
        { by: a, unreachable: [b] },
        { by: b, unreachable: [a] },
      ]),
      [],
    );
    assert.deepEqual(
      dropsOf([a, b, c], none, [
        { by: a, unreachable: [b] },
        { by: c, unreachable: [b] },
      ]).map((x) => x.member),
      [b],
    );
  });

  it('hear nobody who is cut off itself, no stranger, and nobody twice', () => {
    const cutOff = { by: a, unreachable: [b, c, d, e] };
    assert.deepEqual(dropsOf(members, none, [cutOff, { by: b, unreachable: [e] }, { by: c, unreachable: [e] }]), []);
    const twice = [
      { by: b, unreachable: [e] },
      { by: b, unreachable: [e, e] },
      { by: hash('x'), unreachable: [e] },
      { by: c, unreachable: [e] },
    ];
    assert.deepEqual(dropsOf(members, none, twice), []);
  });

  it('take the smaller side of a partition', () => {
    const reports = [a, b, c].map((by) => ({ by, unreachable: [d, e] })).concat([d, e].map((by) => ({ by, unreachable: [a, b, c] })));
    assert.deepEqual(
      dropsOf(members, none, reports).map((x) => x.member),
      [d, e],
    );
  });

  it('take who signed what it must not, and no word of it', () => {
    const reports = [a, b, c].map((by) => ({ by, unreachable: [e] }));
    assert.deepEqual(dropsOf(members, new Set([a]), reports), [{ member: a, why: 'evidence', by: [] }]);
  });
});

describe('an arrangement around failed links', () => {
  const isFree = (order: readonly string[], edges: readonly (readonly [number, number])[], broken: readonly BrokenLink[]): boolean =>
    edges.every(([x, y]) => !broken.some(([p, q]) => (order[x] === p && order[y] === q) || (order[x] === q && order[y] === p)));

  it('uses none of them, keeps everyone it can, and sums exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 24 }), fc.integer({ min: 0, max: 8 }), fc.integer(), (count, failures, seed) => {
        const pick = picker(seed);
        const members = named(count);
        const broken = Array.from({ length: failures }, () => [members[pick(count)], members[pick(count)]] as [string, string]).filter(
          ([x, y]) => x !== y,
        );
        const { order, grid, stranded } = arrange({ beacon: BEACON, attempt: 1, members, broken });
        assert.deepEqual([...order, ...stranded].sort(), [...members].sort());
        assert.ok(isFree(order, gridEdges(grid), broken));
        if (count > 2 * failures + 1) assert.deepEqual(stranded, []);
        const rows = randomRows(order.length, 11, 127, pick);
        const weights = rows.map(() => pick(6));
        const swarm = new Exchanges({ rows, weights, qmax: 127, plan: (rank, terms): Plan => gridPlan(grid, rank, terms) });
        swarm.start();
        swarm.run(pick);
        assert.ok(swarm.isDone);
        for (const sum of swarm.sums()) assert.deepEqual([...sum], plainSum(rows, weights));
      }),
    );
  });

  it('of a line of three has the middle as the partner of an end', () => {
    const [a, b, c] = named(3) as [string, string, string];
    const { order, grid, stranded } = arrange({ beacon: BEACON, attempt: 0, members: [a, b, c], broken: [[a, b]] });
    assert.deepEqual([stranded, grid.sides, grid.leaves.length], [[], [2], 1]);
    assert.ok(order.indexOf(c) < 2);
  });

  it('without any is the ring of the ranks, or the grid beyond sixteen', () => {
    assert.deepEqual(arrange({ beacon: BEACON, attempt: 2, members: named(16), broken: [] }), {
      order: rankOrder(BEACON, 2, named(16)),
      grid: ringOf(16),
      stranded: [],
    });
    assert.deepEqual(arrange({ beacon: BEACON, attempt: 2, members: named(17), broken: [] }).grid, gridOf(17));
  });
});

describe('the choice of a schedule', () => {
  const big: Situation = { parameters: 10_000_000, dtype: 'int16', members: 5, rule: 'sum', rowsMayBeSeen: true, brokenLinks: 0 };
  const kind = (change: Partial<Situation>): string => chooseSchedule({ ...big, ...change }).schedule;

  it('is gossip as long as updates go inline', () => {
    assert.equal(kind({ parameters: 24_576 }), 'gossip');
    assert.equal(kind({ parameters: 24_577 }), 'butterfly');
    assert.equal(kind({ parameters: 24_576, members: 10 }), 'gossip');
    assert.equal(kind({ parameters: 24_576, members: 11 }), 'ring');
    assert.equal(kind({ parameters: 24_576, rule: 'rows' }), 'gossip');
    assert.equal(kind({ members: 1 }), 'gossip');
  });

  it('is a butterfly for rules over rows and for a few, a ring up to sixteen, a grid beyond', () => {
    assert.equal(kind({ members: 40, rule: 'rows' }), 'butterfly');
    assert.equal(kind({ members: 9 }), 'butterfly');
    assert.equal(kind({ members: 10 }), 'ring');
    assert.equal(kind({ rowsMayBeSeen: false }), 'ring');
    assert.equal(kind({ brokenLinks: 1 }), 'ring');
    assert.equal(kind({ members: 16 }), 'ring');
    assert.equal(kind({ members: 17 }), 'grid');
  });

  it('says why with its figures', () => {
    assert.deepEqual(chooseSchedule({ ...big, members: 64 }), {
      schedule: 'grid',
      why: 'a ring would take 126 steps, a grid of 2 x 2 x 2 x 2 x 2 x 2 takes 12 (64 members x 20000000 bytes)',
      bytes: 68_750_000,
      steps: 12,
    });
    const plan = (rank: number, terms: Summands): Plan => gridPlan(ringOf(12), rank, terms);
    const ring = chooseSchedule({ ...big, members: 12 });
    assert.equal(ring.steps, plan(0, { elements: 12, weights: new Array(12).fill(1), qmax: 127 }).steps);
  });
});
