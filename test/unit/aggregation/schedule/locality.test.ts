import assert from 'node:assert/strict';
import fc from 'fast-check';
import { arrange, claimedCosts, gridEdges, type LinkCost, localOrder, localSides } from '../../../../src/aggregation/index.ts';
import { picker } from '../../../support/exchanges.ts';

const NEAR = 2 ** 14;
const FAR = 2 ** 17;
const UNKNOWN = 2 ** 24;
/** Members of some sites. */
const sites =
  (count: number): LinkCost =>
  (a, b) =>
    Number(a) % count === Number(b) % count ? NEAR : FAR;
const members = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i).padStart(64, '0'));
const lengthOf = (order: readonly string[], cost: LinkCost): number =>
  order.reduce((sum, member, i) => sum + cost(member, order[(i + 1) % order.length] as string), 0);
const input = { beacon: new Uint8Array(32), attempt: 0, members: members(18), broken: [] };

/** Whom links within the bound join, worked out by going from one to the next. */
function joined(start: string, all: readonly string[], cost: LinkCost, bound: number): Set<string> {
  const found = new Set([start]);
  for (const member of found) for (const other of all) if (other !== member && cost(member, other) <= bound) found.add(other);
  return found;
}

describe('an order by nearness', () => {
  it('keeps each site together: as many far links as there are sites', () => {
    for (const [count, n] of [
      [2, 8],
      [3, 16],
      [5, 40],
    ] as const) {
      const cost = sites(count);
      const order = localOrder(members(n), cost);
      assert.deepEqual([...order].sort(), members(n));
      assert.equal(lengthOf(order, cost), count * FAR + (n - count) * NEAR);
    }
    assert.deepEqual(localOrder([], sites(2)), []);
  });

  it('keeps together, for every bound, whom links within it join, and otherwise the order it is given', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9 }), fc.integer(), (n, kinds, seed) => {
        const pick = picker(seed);
        const all = members(n);
        const table = all.map(() => all.map(() => pick(kinds)));
        const cost: LinkCost = (a, b) => (table[Math.min(Number(a), Number(b))] as number[])[Math.max(Number(a), Number(b))] as number;
        const order = localOrder(all, cost);
        assert.deepEqual([...order].sort(), all);
        for (let bound = 0; bound < kinds; bound++) {
          const firsts: string[] = [];
          for (const member of all) {
            const group = joined(member, all, cost, bound);
            const places = [...group].map((one) => order.indexOf(one));
            assert.equal(Math.max(...places) - Math.min(...places), group.size - 1, `${order}, bound ${bound}`);
            if ([...group].sort()[0] === member) firsts.push(member);
          }
          // Groups that one larger group is made of stand as their first members do.
          for (const [i, a] of firsts.entries()) {
            for (const b of firsts.slice(i + 1)) {
              const isAlike = joined(a, all, cost, bound + 1).has(b);
              if (isAlike) assert.ok(order.indexOf(a) < order.indexOf(b), `${order}: ${a} ${b}`);
            }
          }
        }
      }),
    );
  });

  it("is the beacon's where all links are alike", () => {
    const plain = arrange(input);
    assert.deepEqual(arrange({ ...input, cost: () => NEAR }), plain);
  });

  it('gives nobody a place beside another: who claims to be far from all but one stands anywhere in its site', () => {
    // The liar is 0, its victim 1: all others are near each other.
    const cost: LinkCost = (a, b) => ([a, b].some((one) => Number(one) === 0) && ![a, b].some((one) => Number(one) === 1) ? UNKNOWN : NEAR);
    let beside = 0;
    for (let attempt = 0; attempt < 400; attempt++) {
      const { order } = arrange({ ...input, shape: 'ring', attempt, cost });
      const apart = Math.abs(order.indexOf(members(18)[0] as string) - order.indexOf(members(18)[1] as string));
      if (apart === 1 || apart === 17) beside++;
    }
    // 2 of 17 by the beacon alone; it would be 400 in the shortest ring.
    assert.ok(beside > 20 && beside < 90, `${beside} of 400`);
  });

  it('is used where costs were signed with the attempt: a ring leaves each site once', () => {
    const cost = sites(2);
    const ring = { ...input, members: members(12) };
    assert.equal(lengthOf(arrange({ ...ring, cost }).order, cost), 2 * FAR + 10 * NEAR);
    assert.ok(lengthOf(arrange(ring).order, cost) > 3 * FAR);
  });

  it('leaves the sites of a grid in one dimension, where a side is as long as there are sites', () => {
    const cost = sites(2);
    const far = (one: ReturnType<typeof arrange>): number =>
      gridEdges(one.grid).filter(([a, b]) => cost(one.order[a] as string, one.order[b] as string) === FAR).length;
    const [near, plain] = [arrange({ ...input, cost }), arrange(input)];
    assert.deepEqual(
      [plain.grid.sides, near.grid.sides],
      [
        [2, 3, 3],
        [3, 3, 2],
      ],
    );
    // Each member of the one site with one of the other, both ways.
    assert.equal(far(near), 18);
    assert.ok(far(plain) >= 26, `${far(plain)}`);
    assert.deepEqual(
      localSides([2, 3, 3], near.order, () => NEAR),
      [2, 3, 3],
    );
    assert.deepEqual(localSides([], [], cost), []);
    // 2 x 5: once 10 and four times 31; 5 x 2: four times 22 and once 30.
    const steps: LinkCost = (a, b) => {
      const [i, j] = [Number(a), Number(b)].sort((x, y) => x - y) as [number, number];
      return i === 4 && j === 6 ? 4 : i % 2 === 0 && j === i + 1 ? 1 : 3;
    };
    assert.deepEqual(localSides([2, 5], members(10), steps), [5, 2]);
  });

  it('finds the same sides beside one of whom nothing is known', () => {
    for (let attempt = 0; attempt < 20; attempt++) {
      const { order, grid } = arrange({
        ...input,
        attempt,
        cost: (a, b) => (Number(a) === 5 || Number(b) === 5 ? UNKNOWN : sites(2)(a, b)),
      });
      const place = order.indexOf(members(18)[5] as string);
      assert.ok(place === 0 || place === 17);
      assert.deepEqual(grid.sides, [3, 3, 2]);
    }
  });

  it('still parts two whose link failed, though they are all of their site', () => {
    const cost: LinkCost = (a, b) => (Number(a) < 2 && Number(b) < 2 ? NEAR : FAR);
    const [a, b] = members(8) as [string, string];
    const { order, stranded, grid } = arrange({ ...input, members: members(8), broken: [[a, b]], cost });
    assert.deepEqual([stranded, grid.leaves, order.length], [[], [], 8]);
    assert.ok(![1, 7].includes(Math.abs(order.indexOf(a) - order.indexOf(b))));
  });
});

describe('costs that members claim', () => {
  const all = members(4);
  const claim = (i: number, ...links: number[]) => ({ author: all[i] as string, links });
  const at = (cost: LinkCost | undefined, i: number, j: number) => cost?.(all[i] as string, all[j] as string);

  it('are the larger of what both ends say, the same both ways, and far where one of them says nothing', () => {
    const cost = claimedCosts(all, [claim(0, 0, 14, 16, 20), claim(1, 17, 0, 15), claim(2, 14, 14), claim(3, 20)]);
    for (const [i, j, expected] of [
      [0, 1, 2 ** 17],
      [0, 2, 2 ** 16],
      [1, 2, 2 ** 15],
      [0, 3, 2 ** 20],
      [1, 3, UNKNOWN],
      [2, 3, UNKNOWN],
    ] as const) {
      assert.equal(at(cost, i, j), expected);
      assert.equal(at(cost, j, i), expected);
    }
  });

  it('are far for who is no member yet, and none where nothing tells one link from another', () => {
    const stranger = { author: 'f'.repeat(64), links: [14, 14, 14] };
    const cost = claimedCosts(all.slice(0, 2), [claim(0, 0, 14), claim(1, 14), stranger]);
    assert.equal(at(cost, 0, 1), NEAR);
    assert.equal(cost?.(stranger.author, all[0] as string), UNKNOWN);
    for (const silent of [all[2], 'e'.repeat(64)] as string[]) {
      assert.equal(cost?.(silent, all[0] as string), UNKNOWN);
      assert.equal(cost?.(all[0] as string, silent), UNKNOWN);
    }
    assert.equal(claimedCosts(all, []), undefined);
    assert.equal(claimedCosts(all, [claim(0), claim(1), claim(2)]), undefined);
    assert.equal(claimedCosts(all, [claim(0, 0, 14, 14), claim(1, 14, 0, 14), claim(2, 14, 14)]), undefined);
    assert.notEqual(claimedCosts(all, [claim(0, 0, 14, 14), claim(1, 14, 0, 15), claim(2, 14, 14)]), undefined);
  });
});
