import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../../../src/learning/random.ts';
import { type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { BASES, BLOCKS, dataFolderAt, ENTRIES, inspectTable, prepareDataFolder, SEGMENTS } from '../../../src/storage/index.ts';
import { baseAt, blockAt, segmentOf } from '../../support/archives.ts';
import { openStores } from '../../support/dataFolder.ts';
import { FaultyDisk, MOMENTS, PowerCut, type Write } from '../../support/faultyStore.ts';
import { draft, hashOf } from '../../unit/ledger/entries.ts';

const CRASHES = 120;
const CRASHING = [
  'blocks.archive',
  'entries.drop',
  'blocks.append',
  'entries.append',
  'blocks.truncate',
] as const satisfies readonly Write[];
/** Crashes that one folder lives through, each of what the one before left. */
const LIVES = 6;
/** Actions until the power goes at the latest; every kind comes long before. */
const MAX_ACTIONS = 200;
/** Blocks and entries that stay behind the head when the base moves. */
const KEPT = 2;

/** What a folder holds, as far as moving the base goes. */
interface Held {
  readonly base: number;
  readonly segments: readonly number[];
  readonly head: number;
  readonly blocks: readonly number[];
  readonly entries: readonly string[];
}

describe('a base that moves when the power goes', function () {
  this.timeout(60_000);
  const root = mkdtempSync(join(tmpdir(), 'starling-moving-'));
  after(() => rmSync(root, { recursive: true }));

  const entryOf = (n: number): SignedEntry => draft({ author: hashOf('author'), salt: `${n}` });

  function heldIn({ entries, blocks }: Pick<FaultyDisk['stores'], 'entries' | 'blocks'>): Held {
    const base = blocks.base()?.epoch ?? 0;
    const head = blocks.head();
    return {
      base,
      segments: [...blocks.segments()].flatMap(({ headers }) => headers.map(({ epoch }) => epoch)),
      head,
      blocks: Array.from({ length: head }, (_, i) => i + 1).filter((epoch) => blocks.get(epoch) !== undefined),
      entries: [...entries.all()].map(({ id }) => id),
    };
  }

  /** Runs until the power goes. Returns what was held before the last write, and what it would have left. */
  function live(disk: FaultyDisk, random: Random): { readonly before: Held; readonly full: number } {
    const { entries, blocks } = disk.stores;
    const pick = (n: number): number => Math.floor(random.uniform() * n);
    let [next, full] = [entries.size(), 0];
    const actions: readonly (() => void)[] = [
      () => blocks.append(blockAt(blocks.head() + 1)),
      () => void entries.append([entryOf(next++), entryOf(next++)]),
      () => blocks.truncate(Math.max(blocks.base()?.epoch ?? 0, blocks.head() - pick(2))),
      () => {
        const [from, to] = [(blocks.base()?.epoch ?? 0) + 1, blocks.head() - KEPT];
        if (from <= to) blocks.archive([segmentOf(from, to)], baseAt(to, 1 + pick(20_000)));
      },
      () => void entries.drop([...entries.all()].slice(0, -KEPT).map(({ id }) => id)),
    ];
    for (let i = 0; i < MAX_ACTIONS; i++) {
      const before = heldIn(disk.stores);
      try {
        // Blocks come twice as often as the rest.
        actions[pick(2) * pick(actions.length)]?.();
      } catch (e) {
        if (e instanceof PowerCut) return { before, full };
        if (!(e instanceof StarlingError) || e.code !== 'DISK_FULL') throw e;
        full += 1;
        assert.deepEqual(heldIn(disk.stores), before, 'a write that found no space left a part of itself');
      }
    }
    throw new Error('the power never went');
  }

  it(`is moved or not through ${CRASHES} crashes, never half; nothing is damaged`, () => {
    let path = '';
    const tally = { done: 0, undone: 0, full: 0, base: 0 };
    for (let crash = 0; crash < CRASHES; crash++) {
      const random = Random.from('moving', crash);
      const write = CRASHING[crash % CRASHING.length] as Write;
      const moment = MOMENTS[Math.floor(crash / CRASHING.length) % MOMENTS.length] as (typeof MOMENTS)[number];
      if (crash % LIVES === 0) path = prepareDataFolder(join(root, `${crash}-new`)).path;
      const next = join(root, String(crash));
      let before: Held;
      let full: number;
      let after: Held;
      {
        using disk = new FaultyDisk(path, random);
        disk.fillAt(CRASHING[Math.floor(random.uniform() * CRASHING.length)] as Write);
        disk.cutAt(write, moment);
        ({ before, full } = live(disk, random));
        disk.remains(next);
        // The file of the dead process: what the write did where it was done.
        after = heldIn(disk.stores);
      }
      const { blocks, ledger } = dataFolderAt(next);
      const found = [inspectTable(ledger, ENTRIES), ...[BLOCKS, SEGMENTS, BASES].map((table) => inspectTable<unknown>(blocks, table))];
      // A commit of which the log holds a part is one that nobody was told of.
      const isTorn = moment === 'inside';
      assert.deepEqual(
        found.flatMap(({ damages }) => damages).filter(({ kind }) => !(isTorn && kind === 'log')),
        [],
      );
      using stores = openStores(dataFolderAt(next));
      const held = heldIn(stores);
      const isDone = JSON.stringify(held) === JSON.stringify(after);
      if (!isDone) assert.deepEqual(held, before, `crash ${crash}, ${moment} ${write}`);
      if (moment === 'after') assert.ok(isDone, `crash ${crash} after ${write}: it is gone`);
      assert.deepEqual(
        held.segments,
        Array.from({ length: held.base }, (_, i) => i + 1),
      );
      assert.deepEqual(
        held.blocks,
        Array.from({ length: held.head - held.base }, (_, i) => held.base + i + 1),
      );
      if (moment === 'inside') tally[isDone ? 'done' : 'undone'] += 1;
      tally.full += full;
      tally.base = Math.max(tally.base, held.base);
      rmSync(path, { recursive: true });
      path = next;
    }
    assert.ok(tally.done > 0 && tally.undone > 0, JSON.stringify(tally));
    assert.ok(tally.full > 0 && tally.base > LIVES, JSON.stringify(tally));
  });
});
