import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LedgerGraph, parentsOf } from '../../../src/ledger/index.ts';
import { MAX_DEPS, type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { draft, grow, hashOf } from './entries.ts';

const steps = fc.array(fc.record({ author: fc.nat(4), back: fc.nat(40), deps: fc.array(fc.nat(), { maxLength: 3 }) }), { maxLength: 60 });

/** What the indexes should say, by looking at every entry. */
const bruteForce = {
  heads: (all: readonly SignedEntry[], author: string) =>
    all.filter((e) => e.core.author === author && !all.some((c) => c.core.prev === e.id)).map((e) => e.id),
  forks: (all: readonly SignedEntry[]) =>
    [...Map.groupBy(all, (e) => `${e.core.author} ${e.core.prev}`).values()]
      .filter((group) => group.length > 1)
      .map((group) => `${group[0]?.core.author} ${group[0]?.core.seq} ${group.map((e) => e.id).sort()}`)
      .sort(),
  chain: (graph: LedgerGraph, id: string | null): string[] =>
    id === null ? [] : [...bruteForce.chain(graph, (graph.get(id) as SignedEntry).core.prev), id],
  closure: (graph: LedgerGraph, id: string, excluded: (id: string) => boolean): string[] =>
    excluded(id) ? [] : [id, ...parentsOf(graph.get(id) as SignedEntry).flatMap((p) => bruteForce.closure(graph, p, excluded))],
};

describe('ledger/graph', () => {
  it('answers as a search over all entries would', () => {
    fc.assert(
      fc.property(steps, fc.nat(), (history, pick) => {
        const graph = new LedgerGraph();
        history.forEach((step, i) => {
          grow(graph, step, `${i}`);
        });
        const all = [...graph.entries()];
        for (const author of graph.authors()) {
          assert.deepEqual(graph.heads(author).sort(), bruteForce.heads(all, author).sort());
          for (let seq = 0; seq < 5; seq++) {
            const expected = all.filter((e) => e.core.author === author && e.core.seq === seq).map((e) => e.id);
            assert.deepEqual(graph.at(author, seq).sort(), expected.sort());
          }
        }
        assert.deepEqual(
          graph
            .forks()
            .map((f) => `${f.author} ${f.seq} ${f.ids}`)
            .sort(),
          bruteForce.forks(all),
        );
        for (const { id } of all) {
          const chain = bruteForce.chain(graph, id);
          assert.deepEqual(graph.chain(id), chain);
          for (const other of all) assert.equal(graph.precedes(other.id, id), chain.includes(other.id));
          assert.deepEqual(
            [...graph.children(id)].sort(),
            all
              .filter((e) => parentsOf(e).includes(id))
              .map((e) => e.id)
              .sort(),
          );
        }
        const some = all[pick % Math.max(all.length, 1)];
        if (some !== undefined) {
          const excluded = (id: string): boolean => id !== some.id && id < '4';
          assert.deepEqual(graph.closure([some.id], excluded).sort(), [...new Set(bruteForce.closure(graph, some.id, excluded))].sort());
        }
      }),
      { numRuns: 60 },
    );
  });

  it('takes parents first and nothing twice', () => {
    const graph = new LedgerGraph();
    const first = draft({ author: hashOf('a') });
    const second = draft({ author: hashOf('a'), prev: first });
    assert.deepEqual(graph.missingParents(second), [first.id]);
    assert.throws(
      () => graph.add(second),
      (e: unknown) => e instanceof StarlingError && e.code === 'MISSING_PARENT' && e.facts.field === first.id,
    );
    assert.equal(graph.add(first), true);
    assert.equal(graph.add(second), true);
    assert.equal(graph.add(second), false);
    assert.equal(graph.size, 2);
    assert.throws(
      () => graph.closure([hashOf('?')], () => false),
      (e: unknown) => e instanceof StarlingError && e.code === 'MISSING_PARENT',
    );
  });

  it('offers as deps what others wrote and nobody named, the latest ones when there are many', () => {
    const graph = new LedgerGraph();
    const authors = Array.from({ length: 12 }, (_, i) => hashOf(`author ${i}`));
    const own = authors[0] as string;
    const entries = authors.map((author, i) => {
      let entry = draft({ author });
      graph.add(entry);
      for (let n = 0; n < i; n++) {
        entry = draft({ author, prev: entry });
        graph.add(entry);
      }
      return entry;
    });
    const deps = graph.freshDeps(own);
    assert.deepEqual(
      deps,
      entries
        .slice(-MAX_DEPS)
        .map((e) => e.id)
        .sort(),
    );
    graph.add(draft({ author: own, prev: entries[0], deps: deps.map((id) => graph.get(id) as SignedEntry) }));
    assert.deepEqual(
      graph.freshDeps(own),
      entries
        .slice(1, -MAX_DEPS)
        .map((e) => e.id)
        .sort(),
    );
  });

  it('finds entries by kind, epoch and prefix', () => {
    const graph = new LedgerGraph();
    const author = hashOf('a');
    const one = draft({ author, epoch: 1 });
    const two = draft({ author, epoch: 2, prev: one });
    const decision = draft({
      author,
      prev: two,
      change: { kind: 'decision', body: { epoch: 1, prev: hashOf(''), roster: [], weights: [], aggregateHash: hashOf(''), dropped: [] } },
    });
    for (const entry of [one, two, decision]) graph.add(entry);
    assert.deepEqual(graph.contributionsOf(2), [two]);
    assert.deepEqual(graph.contributionsOf(3), []);
    assert.deepEqual(graph.decisionsAfter(0), [decision]);
    assert.deepEqual(graph.decisionsAfter(1), []);
    assert.equal(graph.certificateOf(author), undefined);
  });
});
