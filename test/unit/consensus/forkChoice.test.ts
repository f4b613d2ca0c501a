import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DecisionTree } from '../../../src/consensus/forkChoice.ts';
import type { DecisionBody } from '../../../src/spec/index.ts';
import { hashOf } from '../ledger/entries.ts';

const ROOT = hashOf('root');
const bodyOf = (prev: string, epoch: number): DecisionBody => ({ epoch, prev, roster: [], weights: [], aggregateHash: hashOf('none') });

interface Said {
  readonly author: string;
  readonly seq: number;
  readonly id: string;
  readonly body: DecisionBody;
}

/** A random tree and who said which of its decisions under which number; the same number may stand twice (a fork). */
const histories = fc
  .record({
    parents: fc.array(fc.nat(), { minLength: 1, maxLength: 12 }),
    said: fc.array(fc.record({ author: fc.nat(6), seq: fc.nat(8), decision: fc.nat() }), { maxLength: 40 }),
    salt: fc.nat(),
  })
  .map(({ parents, said, salt }): Said[] => {
    const decisions: { id: string; body: DecisionBody }[] = [];
    parents.forEach((parent, i) => {
      const above = parent % (i + 1) === 0 ? undefined : decisions[(parent % (i + 1)) - 1];
      decisions.push({ id: hashOf(`${salt}/${i}`), body: bodyOf(above?.id ?? ROOT, (above?.body.epoch ?? 0) + 1) });
    });
    return said.map(({ author, seq, decision }) => ({
      author: hashOf(`author ${author}`),
      seq,
      ...(decisions[decision % decisions.length] as (typeof decisions)[number]),
    }));
  });

const treeOf = (history: readonly Said[]): DecisionTree => {
  const tree = new DecisionTree(ROOT);
  for (const { author, seq, id, body } of history) tree.add(author, seq, id, body);
  return tree;
};

/** GHOST written from its definition alone: recursion over sets, nothing kept between steps. */
function plainChoice(history: readonly Said[], allowed: (id: string) => boolean): string[] {
  const latest = new Map<string, Said>();
  for (const said of [...history].sort((a, b) => b.seq - a.seq || (a.id < b.id ? -1 : 1)))
    if (!latest.has(said.author)) latest.set(said.author, said);
  const childrenOf = (id: string) => [...new Set(history.filter((s) => s.body.prev === id).map((s) => s.id))];
  const subtree = (id: string): Set<string> => new Set([id, ...childrenOf(id).flatMap((child) => [...subtree(child)])]);
  const weight = (id: string): number => [...latest.values()].filter((s) => subtree(id).has(s.id)).length;
  const path: string[] = [];
  for (let at = ROOT; ; ) {
    const [best] = childrenOf(at)
      .filter(allowed)
      .sort((a, b) => weight(b) - weight(a) || (a < b ? -1 : 1));
    if (best === undefined) return path;
    path.push(best);
    at = best;
  }
}

const shuffle = <T>(items: readonly T[], keys: readonly number[]): T[] =>
  items
    .map((item, i) => ({ item, key: keys[i % keys.length] as number, i }))
    .sort((a, b) => a.key - b.key || a.i - b.i)
    .map(({ item }) => item);

describe('fork choice', () => {
  it('is GHOST with one voice an author, whatever the tree', () => {
    fc.assert(
      fc.property(histories, fc.nat(15), (history, refused) => {
        const bad = history[refused]?.id;
        const allowed = (id: string) => id !== bad;
        assert.deepEqual(treeOf(history).best(allowed), plainChoice(history, allowed));
      }),
      { numRuns: 400 },
    );
  });

  it('does not depend on the order in which decisions become known', () => {
    fc.assert(
      fc.property(histories, fc.array(fc.integer(), { minLength: 40, maxLength: 40 }), (history, keys) => {
        const [a, b] = [treeOf(history), treeOf(shuffle(history, keys))];
        assert.deepEqual(b.best(), a.best());
        for (const { id } of history) assert.deepEqual([...b.supporters(id)].sort(), [...a.supporters(id)].sort());
      }),
      { numRuns: 400 },
    );
  });

  it('counts supporters as the authors whose latest decision stands on it', () => {
    fc.assert(
      fc.property(histories, (history) => {
        const tree = treeOf(history);
        const known = new Map(history.map((s) => [s.id, s.body.prev]));
        const standsOn = (id: string, on: string): boolean => id === on || (known.has(id) && standsOn(known.get(id) as string, on));
        const authors = [...new Set(history.map((s) => s.author))];
        const lastOf = (author: string) =>
          history.filter((s) => s.author === author).sort((a, b) => b.seq - a.seq || (a.id < b.id ? -1 : 1))[0] as Said;
        for (const { id } of history) {
          assert.deepEqual([...tree.supporters(id)].sort(), authors.filter((author) => standsOn(lastOf(author).id, id)).sort());
        }
      }),
      { numRuns: 200 },
    );
  });

  it('hears an author who comes back to what it had decided before', () => {
    const [x, y] = [hashOf('x'), hashOf('y')];
    const tree = new DecisionTree(ROOT);
    tree.add('ann', 1, x, bodyOf(ROOT, 1));
    tree.add('ann', 2, y, bodyOf(ROOT, 1));
    assert.deepEqual([...tree.supporters(y)], ['ann']);
    assert.equal(tree.add('ann', 3, x, bodyOf(ROOT, 1)), true);
    assert.deepEqual([[...tree.supporters(x)], [...tree.supporters(y)]], [['ann'], []]);
    assert.equal(tree.add('ann', 3, x, bodyOf(ROOT, 1)), false, 'the same again is no news');
  });

  it('breaks a tie by the lower hash and lets one more author outweigh it', () => {
    const [low, high] = [hashOf('x'), hashOf('y')].sort() as [string, string];
    const tree = treeOf([
      { author: 'ann', seq: 1, id: high, body: bodyOf(ROOT, 1) },
      { author: 'ben', seq: 1, id: low, body: bodyOf(ROOT, 1) },
    ]);
    assert.deepEqual(tree.best(), [low]);
    tree.add('cas', 1, high, bodyOf(ROOT, 1));
    assert.deepEqual(tree.best(), [high]);
  });

  it('takes a decision whose parent comes later once the parent is there', () => {
    const [parent, child] = [hashOf('parent'), hashOf('child')];
    const tree = new DecisionTree(ROOT);
    tree.add('ann', 2, child, bodyOf(parent, 2));
    assert.deepEqual(tree.best(), []);
    tree.add('ann', 1, parent, bodyOf(ROOT, 1));
    assert.deepEqual(tree.best(), [parent, child]);
  });
});
