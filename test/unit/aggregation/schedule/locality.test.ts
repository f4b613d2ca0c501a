import assert from 'node:assert/strict';
import fc from 'fast-check';
import { arrange, type LinkCost, localOrder } from '../../../../src/aggregation/index.ts';
import { picker } from '../../../support/exchanges.ts';

/** Members of some sites: 100 microseconds within one, 20,000 between two. */
const sites =
  (count: number): LinkCost =>
  (a, b) =>
    Number(a) % count === Number(b) % count ? 100 : 20_000;
const members = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i).padStart(64, '0'));
const lengthOf = (order: readonly string[], cost: LinkCost): number =>
  order.reduce((sum, member, i) => sum + cost(member, order[(i + 1) % order.length] as string), 0);

function permutations(items: readonly string[]): string[][] {
  return items.length <= 1 ? [[...items]] : items.flatMap((x, i) => permutations(items.toSpliced(i, 1)).map((rest) => [x, ...rest]));
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
      assert.equal(lengthOf(order, cost), count * 20_000 + (n - count) * 100);
    }
  });

  it('is close to the best of all orders, and the same for whoever knows the same costs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.integer(), (n, seed) => {
        const pick = picker(seed);
        const at = members(n).map(() => [pick(1_000), pick(1_000)] as const);
        const cost: LinkCost = (a, b) => {
          const [[x, y], [u, v]] = [at[Number(a)], at[Number(b)]] as [readonly [number, number], readonly [number, number]];
          return Math.abs(x - u) + Math.abs(y - v);
        };
        const order = localOrder(members(n), cost);
        assert.deepEqual([...order].sort(), members(n));
        assert.equal(order[0], members(n)[0]);
        const best = Math.min(...permutations(members(n).slice(1)).map((rest) => lengthOf(['0'.repeat(64), ...rest], cost)));
        assert.ok(lengthOf(order, cost) <= 1.25 * best, `${lengthOf(order, cost)} against ${best}`);
      }),
    );
    assert.deepEqual(localOrder([], sites(2)), []);
  });

  it('goes back on a choice that was near at first and far in the end', () => {
    const at = [0, 1, -2, 5, -10, 22];
    const cost: LinkCost = (a, b) => Math.abs((at[Number(a)] as number) - (at[Number(b)] as number));
    assert.equal(lengthOf(localOrder(members(6), cost), cost), 2 * 32);
  });

  it('is used where costs were signed with the attempt', () => {
    const cost = sites(2);
    const input = { beacon: new Uint8Array(32), attempt: 0, members: members(12), broken: [] };
    assert.equal(lengthOf(arrange({ ...input, cost }).order, cost), 2 * 20_000 + 10 * 100);
    assert.ok(lengthOf(arrange(input).order, cost) > 3 * 20_000);
  });
});
