import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { Frontier, pointOf, resolvePoints, tagOf } from '../../../src/ledger/frontier.ts';
import { LedgerGraph, SyncClient } from '../../../src/ledger/index.ts';
import { decodeRequest } from '../../../src/ledger/syncMessages.ts';
import { draft, grow, hashOf } from './entries.ts';
import { HEAD, idsOf, sync } from './syncing.ts';

const SALT = '0011223344556677';
const steps = fc.array(fc.record({ author: fc.nat(6), back: fc.nat(40), deps: fc.array(fc.nat(), { maxLength: 2 }) }), { maxLength: 60 });
const graphOf = (history: typeof steps extends fc.Arbitrary<infer T> ? T : never): LedgerGraph => {
  const graph = new LedgerGraph();
  history.forEach((step, i) => {
    grow(graph, step, `${i}`);
  });
  return graph;
};

describe('ledger/frontier', () => {
  it('finds branch ends by the beginning of their place, and entries by their point, as a search over all would', () => {
    fc.assert(
      fc.property(steps, fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), maxLength: 3 }), (history, prefix) => {
        const graph = graphOf(history);
        const all = [...graph.entries()];
        const ends = all.filter((entry) => !all.some((child) => child.core.prev === entry.id));
        const placed = ends
          .map((entry) => [entry.core.author.slice(0, 6) + entry.id, entry] as const)
          .sort((x, y) => (x[0] < y[0] ? -1 : 1));
        const within = placed.filter(([place]) => place.startsWith(prefix)).map(([, entry]) => entry);
        assert.deepEqual(new Frontier(graph).within(prefix), within);

        const points = all.map((entry) => pointOf(SALT, entry));
        assert.deepEqual(resolvePoints(graph, SALT, points), all);
        const wrong = points.flatMap((point) => [
          { ...point, seq: point.seq + 1 },
          { ...point, key: '000000' },
          { ...point, tag: `${point.tag.startsWith('0') ? 1 : 0}${point.tag.slice(1)}` },
        ]);
        assert.ok(resolvePoints(graph, SALT, wrong).every((entry) => entry === undefined));
      }),
      { numRuns: 60 },
    );
  });

  it('salts tags with what the asker holds, so that no tag is known before', () => {
    const entry = draft({ author: hashOf('a') });
    const expected = (salt: string): string =>
      createHash('sha256').update('starling/tag/1\0').update(Buffer.from(salt, 'hex')).update(Buffer.from(entry.id, 'hex')).digest('hex');
    for (const salt of [SALT, '0000000000000000']) assert.equal(tagOf(salt, [entry.id]), expected(salt).slice(0, 12));
    const graph = new LedgerGraph();
    const digests = [0, 1].map((i) => {
      graph.add(draft({ author: hashOf(`${i}`) }));
      const hello = decodeRequest(new SyncClient(graph, HEAD).next() as Uint8Array);
      return hello.type === 'hello' ? hello.digest : '';
    });
    assert.notEqual(digests[0], digests[1]);
    assert.equal(digests[1], new Frontier(graph).digest());
  });

  it('tells authors apart who share the three bytes that name them', () => {
    const authors = [1, 2, 3].map((i) => `deadbeef${hashOf(`${i}`).slice(8)}`);
    const step = fc.record({ author: fc.nat(2), fork: fc.boolean() });
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 15 }), { minLength: 3, maxLength: 3 }), ([shared = [], left = [], right = []]) => {
        const [a, b] = [new LedgerGraph(), new LedgerGraph()];
        const write = (graph: LedgerGraph, history: typeof shared, salt: string): void =>
          history.forEach(({ author, fork }, i) => {
            const name = authors[author] as string;
            const head = graph.get(graph.heads(name)[0] ?? '');
            const prev = fork && head !== undefined ? graph.get(head.core.prev ?? '') : head;
            graph.add(draft({ author: name, prev, salt: `${salt} ${i}` }));
          });
        write(a, shared, 'both');
        for (const entry of a.entries()) b.add(entry);
        write(a, left, 'left');
        write(b, right, 'right');
        const union = [...new Set([...idsOf(a), ...idsOf(b)])].sort();
        sync(a, b);
        assert.deepEqual([idsOf(a), idsOf(b)], [union, union]);
      }),
      { numRuns: 100 },
    );
  });
});
