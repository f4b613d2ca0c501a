import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StarlingError } from '../../../src/spec/index.ts';
import { BASES, BLOCKS, inspectTable, openBlocks, SEGMENTS } from '../../../src/storage/index.ts';
import { encodeSegment } from '../../../src/wire/index.ts';
import { baseAt, blockAt, segmentOf } from '../../support/archives.ts';

const corrupt = (e: unknown): boolean => e instanceof StarlingError && e.code === 'DATA_CORRUPT' && e.facts.fix !== undefined;

describe('the archive on a disk', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-archive-'));
    path = join(folder, 'blocks.db');
    using store = openBlocks(path);
    for (const epoch of [1, 2, 3, 4]) store.append(blockAt(epoch));
    store.archive([segmentOf(1, 2)], baseAt(2));
    store.archive([segmentOf(3, 3)], baseAt(3));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const rows = () => [SEGMENTS, BASES, BLOCKS].map((table) => inspectTable<unknown>(path, table));

  it('is there after a restart, with the blocks after it', () => {
    using store = openBlocks(path);
    assert.deepEqual([...store.segments()], [segmentOf(1, 2), segmentOf(3, 3)]);
    assert.deepEqual([store.base(), store.head(), store.get(3), store.get(4)], [baseAt(3), 4, undefined, blockAt(4)]);
    const bytes = [1, 2, 3, 4].map((epoch) => store.segment(epoch) && Buffer.from(store.segment(epoch) as Uint8Array));
    const [first, second] = [segmentOf(1, 2), segmentOf(3, 3)].map((segment) => Buffer.from(encodeSegment(segment)));
    assert.deepEqual(bytes, [first, first, second, undefined]);
    store.append(blockAt(5));
    store.archive([segmentOf(4, 5)], baseAt(5));
    assert.deepEqual([store.head(), [...store.segments()].length], [5, 3]);
  });

  it('is read as a whole by an inspection', () => {
    assert.deepEqual(rows(), [
      { rows: [segmentOf(1, 2), segmentOf(3, 3)], damages: [] },
      { rows: [baseAt(3)], damages: [] },
      { rows: [blockAt(4)], damages: [] },
    ]);
  });

  /** Changes the file under the store, and says which of its parts are read afterwards. */
  const damaged = (sql: string): string[] => {
    using db = new DatabaseSync(path);
    db.function('flip', (bytes) => (bytes as Uint8Array).map((byte, i) => (i === 9 ? byte ^ 1 : byte)));
    db.exec(sql);
    using store = openBlocks(path);
    const reads: readonly (readonly [string, () => unknown])[] = [
      ['segment 1', () => store.segment(1)],
      ['segment 3', () => store.segment(3)],
      ['segments', () => [...store.segments()]],
      ['base', () => store.base()],
    ];
    return reads.filter(([, read]) => throwsCorrupt(read)).map(([name]) => name);
  };
  const throwsCorrupt = (read: () => unknown): boolean => {
    try {
      read();
      return false;
    } catch (e) {
      assert.ok(corrupt(e), String(e));
      return true;
    }
  };

  const DAMAGES: readonly (readonly [what: string, sql: string, unread: string[], where: string])[] = [
    ['a byte of a segment', 'UPDATE segment SET bytes = flip(bytes) WHERE from_epoch = 3', ['segment 3', 'segments'], 'segment 3'],
    ['a segment cut short', 'UPDATE segment SET bytes = substr(bytes, 1, 20) WHERE from_epoch = 1', ['segment 1', 'segments'], 'segment 1'],
    ['the place of a segment', 'UPDATE segment SET from_epoch = 2 WHERE from_epoch = 1', ['segments'], 'segment 2'],
    ['the end of a segment', 'UPDATE segment SET to_epoch = 4 WHERE from_epoch = 3', ['segment 3', 'segments'], 'segment 3'],
    ['the leaves of a segment', 'UPDATE segment SET tree_size = 1 WHERE from_epoch = 3', ['segment 3', 'segments'], 'segment 3'],
    ['a checksum of a segment', 'UPDATE segment SET checksum = 1 WHERE from_epoch = 3', ['segment 3', 'segments'], 'segment 3'],
    ['a byte of the base', 'UPDATE base SET bytes = flip(bytes)', ['base'], 'base 3'],
    ['the epoch of the base', 'UPDATE base SET epoch = 2', ['base'], 'base 2'],
  ];
  for (const [what, sql, unread, where] of DAMAGES)
    it(`says DATA_CORRUPT for ${what}, and an inspection names it`, () => {
      assert.deepEqual(damaged(sql), unread);
      const damages = rows().flatMap((one) => one.damages);
      assert.deepEqual(
        damages.map((damage) => [damage.kind, damage.where]),
        [['row', `blocks.db ${where}`]],
      );
    });

  it('says DATA_CORRUPT for another sound segment in the place of one', () => {
    const other = join(folder, 'other.db');
    {
      using store = openBlocks(other);
      store.archive([segmentOf(1, 1), segmentOf(2, 3)], baseAt(3));
    }
    const row = `(SELECT bytes FROM other.segment WHERE from_epoch = 2)`;
    using db = new DatabaseSync(path);
    db.exec(`ATTACH '${other}' AS other; UPDATE segment SET bytes = ${row} WHERE from_epoch = 3`);
    using store = openBlocks(path);
    assert.throws(() => store.segment(3), corrupt);
  });

  it('grows with its segments alone: the place of old blocks and bases is written again', () => {
    using store = openBlocks(path);
    using db = new DatabaseSync(path);
    const stateBytes = 500_000;
    const pages = (): number => Number(db.prepare('PRAGMA page_count').get()?.page_count);
    const move = (epoch: number): void => {
      store.append(blockAt(epoch + 1));
      store.archive([segmentOf(epoch, epoch)], baseAt(epoch, stateBytes));
    };
    for (let epoch = 4; epoch < 7; epoch++) move(epoch);
    const filled = pages();
    for (let epoch = 7; epoch < 20; epoch++) move(epoch);
    // A segment takes a page here; each base 123.
    assert.ok(pages() - filled < 40, `${pages() - filled} pages more`);
  });
});
