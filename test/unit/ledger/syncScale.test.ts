import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LedgerGraph } from '../../../src/ledger/index.ts';
import type { SignedEntry } from '../../../src/spec/index.ts';
import { draft, hashOf } from './entries.ts';
import { bareChains, extend, idsOf, pairOf, sync } from './syncing.ts';

const authorsOf = (count: number): string[] => Array.from({ length: count }, (_, i) => hashOf(`author ${i}`));

describe('ledger/sync at scale', () => {
  describe('with 200 authors and 100,000 entries on both sides', () => {
    const authors = authorsOf(200);
    let base: SignedEntry[];
    before(() => {
      base = bareChains(authors, 100_000);
    });
    after(() => {
      base = [];
    });
    const hundredDifferences = (a: LedgerGraph, b: LedgerGraph): void => {
      for (let k = 0; k < 50; k++) {
        extend(a, authors[2 * k] as string, 'a');
        extend(b, authors[2 * k + 1] as string, 'b');
      }
    };

    it('says that both are equal in 200 bytes', () => {
      const [a, b] = pairOf(base);
      const { metadataBytes, rounds } = sync(a, b);
      assert.equal(rounds, 1);
      assert.ok(metadataBytes <= 200, `${metadataBytes} bytes`);
    });

    it('tells 100 differences over all authors in 6 KiB', () => {
      const [a, b] = pairOf(base);
      hundredDifferences(a, b);
      const { metadataBytes, pulled, pushed } = sync(a, b);
      assert.deepEqual([pulled.length, pushed.length], [50, 50]);
      assert.deepEqual(idsOf(a), idsOf(b));
      assert.ok(metadataBytes <= 6 * 1024, `${metadataBytes} bytes`);
    });

    // The peer has all that is new: the longest lists. Forks: at the ends, with branches of one length and of others.
    for (const [depths, lengths] of [
      [
        [499, 499, 499],
        [1, 1, 1],
      ],
      [
        [3, 250, 480],
        [9, 4, 2],
      ],
      [
        [3, 250, 480],
        [2, 4, 9],
      ],
    ] as const) {
      it(`finds three forked authors besides, after ${depths}, in 8 KiB`, () => {
        const last = new Map(depths.map((depth, i) => [authors[190 + i], depth]));
        for (const sides of [
          [0, 1],
          [1, 1],
        ] as const) {
          const pair = pairOf(base.filter(({ core }) => core.seq <= (last.get(core.author) ?? Number.POSITIVE_INFINITY)));
          for (let k = 0; k < 100; k++) extend(pair[sides[k % 2] as 0 | 1], authors[k] as string, 'new');
          lengths.forEach((length, i) => {
            extend(pair[0], authors[190 + i] as string, 'one side', length);
            extend(pair[1], authors[190 + i] as string, 'other side', 4);
          });
          const { metadataBytes } = sync(...pair);
          for (const graph of pair) {
            assert.deepEqual(
              [0, 1, 2].map((i) => graph.forksOf(authors[190 + i] as string).map((fork) => fork.seq)),
              depths.map((depth) => [depth + 1]),
            );
          }
          assert.deepEqual(idsOf(pair[0]), idsOf(pair[1]));
          assert.ok(metadataBytes <= 8 * 1024, `${metadataBytes} bytes`);
        }
      });
    }
  });

  it('costs what differs, not what is there: of 1,500 or of 6,000 authors twenty differ', () => {
    const bytes = [1_500, 6_000].map((count) => {
      const authors = authorsOf(count);
      const [a, b] = pairOf(bareChains(authors, 2 * count));
      for (let k = 0; k < 20; k++) extend(k % 2 === 0 ? a : b, authors[(k * count) / 20] as string, 'new');
      const { metadataBytes, pulled, pushed, rounds } = sync(a, b);
      assert.deepEqual([pulled.length, pushed.length], [10, 10]);
      assert.deepEqual(idsOf(a), idsOf(b));
      assert.ok(rounds <= 7, `${rounds} rounds`);
      return metadataBytes;
    }) as [number, number];
    assert.ok(bytes[0] <= 6 * 1024 && bytes[1] <= 6 * 1024 && bytes[1] <= 1.5 * bytes[0], `${bytes} bytes`);
  });

  it('brings thousands of authors to the union whatever differs: chains, whole authors, forks, either side', () => {
    const all = authorsOf(1_300);
    const chains = all.flatMap((author) => {
      const first = draft({ author });
      return [first, draft({ author, prev: first })];
    });
    const change = fc.record({
      author: fc.nat(1_299),
      side: fc.nat(2),
      count: fc.integer({ min: 1, max: 3 }),
      /** -2: a second first entry. */
      after: fc.constantFrom(undefined, undefined, 0, 1, -2),
    });
    const setting = fc.record({
      changes: fc.array(change, { maxLength: 60 }),
      /** Author names from here on the left, or on the right, are unknown to the other side. */
      strangers: fc.tuple(fc.integer({ min: 0, max: 16 }), fc.integer({ min: 0, max: 16 })),
      pageTips: fc.constantFrom(20, 16_384),
      pageBytes: fc.constantFrom(2_000, 500_000),
    });
    fc.assert(
      fc.property(setting, ({ changes, strangers, ...limits }) => {
        const known = (side: 0 | 1): SignedEntry[] =>
          chains.filter(({ core }) => Number.parseInt(core.author[0] as string, 16) < strangers[side]);
        const [a, b] = [new LedgerGraph(), new LedgerGraph()];
        for (const entry of known(0)) a.add(entry);
        for (const entry of known(1)) b.add(entry);
        changes.forEach(({ author, side, count, after }, i) => {
          for (const graph of [a, b].slice(side % 2, side === 2 ? 2 : (side % 2) + 1))
            extend(graph, all[author] as string, `change ${i}`, count, after);
        });
        const union = [...new Set([...idsOf(a), ...idsOf(b)])].sort();
        const moved = 2 * union.length - a.size - b.size;
        const { pulled, pushed } = sync(a, b, limits);
        assert.deepEqual(idsOf(a), union);
        assert.deepEqual(idsOf(b), union);
        assert.equal(pulled.length + pushed.length, moved, 'each entry travels once');
        assert.equal(sync(a, b, limits).rounds, 1);
      }),
      { numRuns: 8 },
    );
  });

  it('lists all of thousands of authors to a newcomer in five rounds, at the price of a list', () => {
    const authors = authorsOf(4_000);
    const [a, b] = [new LedgerGraph(), new LedgerGraph()];
    for (const author of authors) b.add(draft({ author }));
    extend(a, hashOf('newcomer'), 'a');
    const { metadataBytes, rounds, pulled } = sync(a, b, { pageBytes: 1e9, pageTips: 16_384 });
    assert.equal(pulled.length, 4_000);
    // A tip of 10 bytes, a want of the same, and 8 that CBOR puts around an entry.
    assert.ok(rounds <= 5 && metadataBytes <= (10 + 10 + 8) * 4_000 + 1_000, `${rounds} rounds, ${metadataBytes} bytes`);
  });

  it('takes an author with thousands of forks for what it is: many tips, a round more for each digit of its name', () => {
    const author = hashOf('hydra');
    const first = draft({ author });
    const [a, b] = pairOf([first]);
    for (let i = 0; i < 17_000; i++) {
      for (const graph of i % 1_000 === 0 ? [a] : i % 1_000 === 1 ? [b] : [a, b]) graph.add(draft({ author, prev: first, salt: `${i}` }));
    }
    const { pulled, pushed, rounds } = sync(a, b);
    assert.deepEqual([pulled.length, pushed.length], [17, 17]);
    assert.equal(a.size, 17_001);
    assert.ok(rounds <= 16, `${rounds} rounds`);
  });
});
