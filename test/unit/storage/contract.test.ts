/** What every store of entries and of blocks does, on a disk and in memory. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { BlockStore, EntryStore } from '../../../src/epoch/ports.ts';
import { MemoryBlockStore, MemoryEntryStore } from '../../../src/simulation/stores.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { openBlocks, openLedger } from '../../../src/storage/index.ts';
import { encodeSegment } from '../../../src/wire/index.ts';
import { baseAt, blockAt, segmentOf } from '../../support/archives.ts';
import { draft, hashOf } from '../ledger/entries.ts';

const folder = mkdtempSync(join(tmpdir(), 'starling-contract-'));
let files = 0;
const fresh = (): string => join(folder, `${files++}.db`);

/** Runs `use` on an empty store and closes it. */
type Kind<S> = readonly [name: string, withStore: (use: (store: S) => void) => void];
const ENTRY_STORES: readonly Kind<EntryStore>[] = [
  ['in memory', (use) => use(new MemoryEntryStore())],
  ['on a disk', (use) => onDisk(openLedger(fresh()), use)],
];
const BLOCK_STORES: readonly Kind<BlockStore>[] = [
  ['in memory', (use) => use(new MemoryBlockStore())],
  ['on a disk', (use) => onDisk(openBlocks(fresh()), use)],
];
function onDisk<S extends Disposable>(store: S, use: (store: S) => void): void {
  using open = store;
  use(open);
}

const regression = (e: unknown): boolean => e instanceof StarlingError && e.code === 'EPOCH_REGRESSION';
/** Epochs of a model at most: small, so that segments, blocks and refusals meet. */
const EPOCHS = 9;

after(() => rmSync(folder, { recursive: true }));

for (const [name, withStore] of ENTRY_STORES) {
  describe(`a store of entries ${name}`, () => {
    const entries = Array.from({ length: 8 }, (_, i) => draft({ author: hashOf('author'), salt: `${i}` }));
    const some = fc.subarray(entries).chain((list) => fc.shuffledSubarray(list, { minLength: list.length }));

    it('holds each entry once, in the order of appending, until it is dropped', () => {
      const step = fc.record({ drop: fc.boolean(), some });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 12 }), (steps) =>
          withStore((store) => {
            let model: typeof entries = [];
            for (const { drop, some: list } of steps) {
              const held = list.filter((entry) => model.includes(entry));
              if (drop) {
                assert.equal(store.drop(list.map(({ id }) => id)), held.length);
                model = model.filter((entry) => !held.includes(entry));
              } else {
                assert.equal(store.append([...list, ...list]), list.length - held.length);
                model.push(...list.filter((entry) => !held.includes(entry)));
              }
              assert.deepEqual([...store.all()], model);
              assert.equal(store.size(), model.length);
              for (const entry of entries) {
                assert.equal(store.has(entry.id), model.includes(entry));
                assert.deepEqual(store.get(entry.id), model.includes(entry) ? entry : undefined);
              }
            }
          }),
        ),
        { numRuns: 30 },
      );
    });
  });
}

for (const [name, withStore] of BLOCK_STORES) {
  describe(`a store of blocks ${name}`, () => {
    /** What a caller sees of a store, epoch by epoch. */
    const seen = (store: BlockStore) => ({
      head: store.head(),
      blocks: Array.from({ length: EPOCHS + 3 }, (_, epoch) => store.get(epoch)),
      base: store.base(),
      segments: [...store.segments()],
      bytes: Array.from({ length: EPOCHS + 3 }, (_, epoch) => store.segment(epoch)),
    });

    it('is as a list of segments and one of blocks, whatever is done to it', () => {
      const step = fc.oneof(
        fc.record({ kind: fc.constant('append' as const), epoch: fc.option(fc.nat(EPOCHS), { nil: undefined }), salt: fc.nat(3) }),
        fc.record({ kind: fc.constant('truncate' as const), epoch: fc.integer({ min: -1, max: EPOCHS }) }),
        fc.record({
          kind: fc.constant('archive' as const),
          // Where each segment begins, counted from the end of the one before: 1 but for mistakes.
          lengths: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 3 }),
          gap: fc.constantFrom(1, 1, 1, 0, 2),
          beyond: fc.constantFrom(0, 0, 0, 1),
        }),
      );
      fc.assert(
        fc.property(fc.array(step, { maxLength: 20 }), (steps) =>
          withStore((store) => {
            let blocks: ReturnType<typeof blockAt>[] = [];
            let base = 0;
            const segments: (readonly [from: number, to: number])[] = [];
            const headOf = (): number => base + blocks.length;
            const expectOf = (isRight: boolean, run: () => void): boolean => {
              if (isRight) run();
              else assert.throws(run, regression);
              return isRight;
            };
            for (const one of steps) {
              if (one.kind === 'append') {
                const epoch = one.epoch ?? headOf() + 1;
                if (epoch > EPOCHS) continue;
                const block = blockAt(epoch, one.salt);
                if (expectOf(epoch === headOf() + 1, () => store.append(block))) blocks.push(block);
              } else if (one.kind === 'truncate') {
                if (expectOf(one.epoch >= base, () => store.truncate(one.epoch))) blocks = blocks.slice(0, one.epoch - base);
              } else {
                const added: (readonly [number, number])[] = [];
                let to = base + one.gap - 1;
                for (const length of one.lengths) {
                  added.push([to + 1, to + length]);
                  to += length;
                }
                const target = to + one.beyond;
                if (to > EPOCHS || added.some(([from]) => from < 1) || target < 1) continue;
                const isRight = added.length === 0 ? target === base : one.gap === 1 && target === to;
                const archive = (): void =>
                  store.archive(
                    added.map((range) => segmentOf(...range)),
                    baseAt(target),
                  );
                if (!expectOf(isRight, archive)) continue;
                segments.push(...added);
                blocks = blocks.slice(target - base);
                base = target;
              }
              const rangeOf = (epoch: number) => segments.find(([from, to]) => from <= epoch && epoch <= to);
              assert.deepEqual(seen(store), {
                head: headOf(),
                blocks: Array.from({ length: EPOCHS + 3 }, (_, epoch) => blocks.find(({ block }) => block.header.epoch === epoch)),
                base: base === 0 ? undefined : baseAt(base),
                segments: segments.map((range) => segmentOf(...range)),
                bytes: Array.from({ length: EPOCHS + 3 }, (_, epoch) => {
                  const range = rangeOf(epoch);
                  return range && new Uint8Array(encodeSegment(segmentOf(...range)));
                }),
              });
            }
          }),
        ),
        { numRuns: 40 },
      );
    });

    it('takes the archive of others in the place of its own old blocks, and goes on after the base', () => {
      withStore((store) => {
        for (const epoch of [1, 2]) store.append(blockAt(epoch));
        store.archive([segmentOf(1, 3), segmentOf(4, 4)], baseAt(4));
        assert.deepEqual([store.head(), store.get(1), store.get(2), store.get(4)], [4, undefined, undefined, undefined]);
        assert.throws(() => store.append(blockAt(4)), regression);
        assert.throws(() => store.append(blockAt(3)), regression);
        store.append(blockAt(5));
        assert.deepEqual([store.head(), store.get(5)], [5, blockAt(5)]);
      });
    });

    it('refuses segments that leave out an epoch or a leaf, overlap, or end elsewhere than their base, and keeps what it has', () => {
      withStore((store) => {
        store.archive([segmentOf(1, 2)], baseAt(2));
        store.append(blockAt(3));
        const before = seen(store);
        const third = segmentOf(3, 3);
        const wrong: readonly Parameters<BlockStore['archive']>[] = [
          [[segmentOf(4, 4)], baseAt(4)],
          [[segmentOf(2, 3)], baseAt(3)],
          [[segmentOf(1, 3)], baseAt(3)],
          [[third, segmentOf(5, 5)], baseAt(5)],
          [[segmentOf(4, 4), third], baseAt(3)],
          [[third], baseAt(4)],
          [[third], baseAt(2)],
          [[], baseAt(3)],
          [[], baseAt(1)],
          [[{ ...third, headers: [] }], baseAt(2)],
          [[{ ...third, treeSize: third.treeSize + 1, leaves: third.leaves.slice(1) }], baseAt(3)],
          [[{ ...third, leaves: third.leaves.slice(1) }], baseAt(3)],
          [[{ ...segmentOf(3, 5), headers: [3, 5].flatMap((epoch) => segmentOf(epoch, epoch).headers) }], baseAt(5)],
        ];
        for (const [i, args] of wrong.entries()) assert.throws(() => store.archive(...args), regression, `case ${i}`);
        assert.deepEqual(seen(store), before);
        store.archive([third], baseAt(3));
        assert.equal(store.head(), 3);
      });
    });

    it('takes no block away that stands before the base', () => {
      withStore((store) => {
        store.archive([segmentOf(1, 2)], baseAt(2));
        store.append(blockAt(3));
        assert.throws(() => store.truncate(1), regression);
        assert.throws(() => store.truncate(0), regression);
        assert.equal(store.head(), 3);
        store.truncate(2);
        assert.deepEqual([store.head(), store.base()], [2, baseAt(2)]);
      });
    });
  });
}
