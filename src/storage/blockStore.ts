import type { BlockStore } from '../epoch/ports.ts';
import { StarlingError } from '../spec/index.ts';
import { encodeBase, encodeBlockRecord, encodeSegment } from '../wire/index.ts';
import { type ArchiveEnd, requireConsecutive } from './archiveOrder.ts';
import { BASES, BLOCKS, BLOCKS_LAYOUT, endOf, readSegmentRow, SEGMENTS, segmentChecksum } from './blockTables.ts';
import { checksumOf } from './checksum.ts';
import { guarded, inTransaction, openSqlite, readRows } from './sqlite.ts';

/**
 * Opens or creates the final blocks on disk. What is read is checked again: a block, a segment or a base that is not as it
 * was written throws DATA_CORRUPT, as does a file that SQLite finds damaged. Throws DISK_FULL where a write finds no space.
 */
export function openBlocks(path: string): BlockStore & Disposable & { close(): void } {
  const db = openSqlite(path, BLOCKS_LAYOUT);
  const insert = db.prepare('INSERT INTO block (epoch, record, checksum) VALUES (?, ?, ?)');
  const byEpoch = db.prepare(`SELECT ${BLOCKS.columns} FROM block WHERE epoch = ?`);
  const newest = db.prepare('SELECT max(epoch) AS epoch FROM block');
  const forget = db.prepare('DELETE FROM block WHERE epoch > ?');
  const archived = db.prepare('DELETE FROM block WHERE epoch <= ?');

  const insertSegment = db.prepare('INSERT INTO segment (from_epoch, to_epoch, tree_size, bytes, checksum) VALUES (?, ?, ?, ?, ?)');
  const segmentOf = db.prepare(`SELECT ${SEGMENTS.columns} FROM segment WHERE from_epoch <= ? ORDER BY from_epoch DESC LIMIT 1`);
  const inOrder = db.prepare(`SELECT ${SEGMENTS.columns} FROM segment ORDER BY from_epoch`);
  const last = db.prepare('SELECT to_epoch AS epoch, tree_size AS treeSize FROM segment ORDER BY from_epoch DESC LIMIT 1');

  const insertBase = db.prepare('INSERT INTO base (epoch, bytes, checksum) VALUES (?, ?, ?)');
  const forgetBase = db.prepare('DELETE FROM base');
  const held = db.prepare(`SELECT ${BASES.columns} FROM base`);
  const baseEpoch = db.prepare('SELECT max(epoch) AS epoch FROM base');

  // A copy in SQLite's memory says nothing of the disk.
  const forgetPages = db.prepare('PRAGMA shrink_memory');

  const epochOf = (statement: typeof newest): number | undefined => (statement.get()?.epoch as number | null) ?? undefined;
  const head = (): number => guarded(path, () => epochOf(newest) ?? epochOf(baseEpoch) ?? 0);
  const close = (): void => {
    if (db.isOpen) db.close();
  };
  return {
    append(record) {
      const { epoch } = record.block.header;
      const before = head();
      if (epoch !== before + 1)
        throw new StarlingError('EPOCH_REGRESSION', `block ${epoch} cannot follow block ${before}`, {
          field: 'epoch',
          fix: `append block ${before + 1} first`,
        });
      const bytes = encodeBlockRecord(record);
      guarded(path, () => insert.run(epoch, bytes, checksumOf(bytes)));
    },
    get: (epoch) =>
      guarded(path, () => {
        forgetPages.get();
        const row = byEpoch.get(epoch);
        return row === undefined ? undefined : BLOCKS.read(row, path);
      }),
    head,
    truncate(epoch) {
      const base = guarded(path, () => epochOf(baseEpoch) ?? 0);
      if (epoch < base)
        throw new StarlingError('EPOCH_REGRESSION', `no block after ${epoch} can be forgotten: this node starts from ${base}`, {
          field: 'epoch',
          fix: `roll back to epoch ${base} or later`,
        });
      guarded(path, () => forget.run(epoch));
    },
    base: () =>
      guarded(path, () => {
        forgetPages.get();
        const row = held.get();
        return row === undefined ? undefined : BASES.read(row, path);
      }),
    archive(segments, base) {
      const end = guarded(path, () => last.get() as ArchiveEnd | undefined) ?? { epoch: 0, treeSize: 0 };
      requireConsecutive(end, segments, base);
      const rows = segments.map((segment) => ({
        from: segment.headers[0]?.epoch ?? 0,
        end: endOf(segment),
        bytes: encodeSegment(segment),
      }));
      const bytes = encodeBase(base);
      guarded(path, () =>
        inTransaction(db, () => {
          for (const row of rows) insertSegment.run(row.from, row.end.epoch, row.end.treeSize, row.bytes, segmentChecksum(row));
          forgetBase.run();
          insertBase.run(base.epoch, bytes, checksumOf(bytes));
          archived.run(base.epoch);
        }),
      );
    },
    segment: (epoch) =>
      guarded(path, () => {
        forgetPages.get();
        const row = segmentOf.get(epoch);
        if (row === undefined) return undefined;
        const { end, bytes } = readSegmentRow(row, path);
        return epoch <= end.epoch ? bytes : undefined;
      }),
    segments: () => readRows(path, inOrder, SEGMENTS),
    close,
    [Symbol.dispose]: close,
  };
}
