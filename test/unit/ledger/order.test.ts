import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/crypto/index.ts';
import { LedgerGraph, LedgerOrder, MerkleTree, type OrderedEntry, type OrderedLeaf } from '../../../src/ledger/index.ts';
import { type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { draft, grow, hashOf } from './entries.ts';

const [A, B] = [hashOf('author a'), hashOf('author b')];
const voids = (cut: readonly OrderedEntry[]): string[] => cut.filter((o) => o.void).map((o) => o.entry.id);

describe('ledger/order', () => {
  const step = fc.record({ author: fc.nat(3), back: fc.nat(40), deps: fc.array(fc.nat(), { maxLength: 3 }) });
  const history = fc.array(step, { minLength: 1, maxLength: 50 });

  it('holds each entry once, parents first, sorted inside a cut, the same for every order of arrival', () => {
    fc.assert(
      fc.property(history, fc.array(fc.nat(), { minLength: 1, maxLength: 5 }), fc.func(fc.nat()), (steps, picks, shuffle) => {
        const graph = new LedgerGraph();
        steps.forEach((step, i) => {
          grow(graph, step, `${i}`);
        });
        const all = [...graph.entries()];
        const rosters = picks.map((p) => [(all[p % all.length] as SignedEntry).id]);
        const order = new LedgerOrder(graph);
        rosters.forEach((roster, i) => {
          order.append(i + 1, roster);
        });

        const seen = new Set<string>();
        for (const [index, o] of order.slice(0).entries()) {
          assert.equal(o.index, index);
          assert.equal(order.find(o.entry.id), o);
          const { prev, deps } = (o.entry as SignedEntry).core;
          for (const parent of prev === null ? deps : [prev, ...deps]) assert.ok(seen.has(parent));
          assert.ok(!seen.has(o.entry.id));
          seen.add(o.entry.id);
          const before = order.at(index - 1);
          if (before?.epoch === o.epoch) {
            const key = (x: OrderedLeaf) => [x.entry.core.lam, x.entry.core.author, x.entry.core.seq] as const;
            const [a, b] = [key(before), key(o)];
            assert.ok(a[0] < b[0] || (a[0] === b[0] && (a[1] < b[1] || (a[1] === b[1] && a[2] <= b[2]))));
          }
        }
        assert.deepEqual([...seen].sort(), graph.closure(rosters.flat(), () => false).sort());

        const tree = new MerkleTree();
        for (const o of order.slice(0)) tree.append(fromHex(o.entry.id));
        assert.equal(order.root(), toHex(tree.root()));

        // Another node got the same entries by another way, and holds entries that no cut names.
        const arrival = all
          .map((entry, i) => ({ entry, at: shuffle(i) }))
          .sort((x, y) => x.entry.core.lam - y.entry.core.lam || x.at - y.at);
        const other = new LedgerGraph();
        for (const { entry } of arrival) other.add(entry);
        grow(other, { author: 1, back: 7, deps: [] }, 'extra');
        const again = new LedgerOrder(other);
        rosters.forEach((roster, i) => {
          again.append(i + 1, roster);
        });
        assert.deepEqual(
          again.slice(0).map((o) => [o.entry.id, o.void]),
          order.slice(0).map((o) => [o.entry.id, o.void]),
        );
      }),
      { numRuns: 80 },
    );
  });

  it('takes exactly one branch of every fork that it holds', () => {
    let lost = 0;
    const long = fc.array(step, { minLength: 30, maxLength: 60 });
    const rosters = fc.array(fc.array(fc.nat(), { minLength: 3, maxLength: 6 }), { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(long, rosters, (steps, picks) => {
        const graph = new LedgerGraph();
        steps.forEach((step, i) => {
          grow(graph, step, `${i}`);
        });
        const all = [...graph.entries()];
        const order = new LedgerOrder(graph);
        picks.forEach((pick, i) => {
          order.append(i + 1, [...new Set(pick.map((p) => (all[p % all.length] as SignedEntry).id))]);
        });
        const isVoid = (id: string | null): boolean => id !== null && order.find(id)?.void === true;
        for (const siblings of Map.groupBy(order.slice(0), (o) => `${o.entry.core.author} ${graph.prevOf(o.entry.id)}`).values()) {
          const prev = graph.prevOf(siblings[0]?.entry.id ?? '');
          assert.equal(siblings.filter((o) => !o.void).length, isVoid(prev) ? 0 : 1);
          lost += siblings.filter((o) => o.void).length;
        }
      }),
      { numRuns: 80 },
    );
    assert.ok(lost > 20, `the histories must fork inside the cuts, ${lost} entries were void`);
  });

  describe('of a fork', () => {
    const graph = new LedgerGraph();
    const add = (entry: SignedEntry): SignedEntry => {
      graph.add(entry);
      return entry;
    };
    const root = add(draft({ author: A }));
    const sides = [add(draft({ author: A, prev: root, salt: '1' })), add(draft({ author: A, prev: root, salt: '2' }))].sort((x, y) =>
      x.id < y.id ? -1 : 1,
    );
    const [low, high] = sides as [SignedEntry, SignedEntry];
    const afterHigh = add(draft({ author: A, prev: high }));
    const witness = add(draft({ author: B, deps: [low, high] }));

    it('the lower side wins when nothing else decides', () => {
      assert.deepEqual(voids(new LedgerOrder(graph).append(1, [witness.id])), [high.id]);
    });

    it('the side with a rostered entry wins', () => {
      assert.deepEqual(voids(new LedgerOrder(graph).append(1, [witness.id, afterHigh.id].sort())), [low.id]);
    });

    it('the side of an earlier cut wins for ever, and what follows the loser is void', () => {
      const order = new LedgerOrder(graph);
      assert.deepEqual(voids(order.append(1, [low.id])), []);
      assert.deepEqual(voids(order.append(2, [afterHigh.id])), [high.id, afterHigh.id]);
      assert.equal(order.find(afterHigh.id)?.void, true);
    });
  });

  it('rewinds to an earlier epoch and grows again into the same tree', () => {
    const graph = new LedgerGraph();
    const entries: SignedEntry[] = [];
    for (let i = 0; i < 30; i++) entries.push(grow(graph, { author: i % 3, back: 0, deps: [1] }, `${i}`));
    const roster = (i: number): string[] => [(entries[i] as SignedEntry).id];
    const order = new LedgerOrder(graph);
    order.append(1, roster(9));
    const [size, root] = [order.size, order.root()];
    order.append(2, roster(19));
    order.append(4, roster(29));
    const full = order.root();
    assert.equal(order.root(size), root);
    order.rewind(1);
    assert.deepEqual([order.size, order.root(), order.tree.size], [size, root, size]);
    assert.equal(order.find((entries[29] as SignedEntry).id), undefined);
    order.append(3, roster(19));
    order.append(4, roster(29));
    assert.equal(order.root(), full);
    assert.throws(
      () => order.append(4, []),
      (e: unknown) => e instanceof StarlingError && e.code === 'EPOCH_REGRESSION',
    );
    assert.throws(
      () => order.append(5, [hashOf('?')]),
      (e: unknown) => e instanceof StarlingError && e.code === 'MISSING_PARENT',
    );
  });
});
