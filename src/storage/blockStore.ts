import type { BlockStore } from '../epoch/ports.ts';
import { StarlingError } from '../spec/index.ts';
import { type BlockRecord, decodeBlockRecord, encodeBlockRecord } from '../wire/index.ts';
import { checksumOf } from './checksum.ts';
import { corrupt, guarded, openSqlite, type Table } from './sqlite.ts';

/**
 * 'SLBL', in a file of its own: a block is written after the entries of its cut are durable, so that a crash between the
 * two leaves entries without a block, never a block without entries. The checksum covers the certificate too, which the
 * block's hash does not.
 */
export const BLOCKS: Table<BlockRecord> = {
  layout: {
    applicationId: 0x534c424c,
    version: 1,
    schema: 'CREATE TABLE block (epoch INTEGER PRIMARY KEY, record BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;',
  },
  name: 'block',
  columns: 'epoch, record, checksum',
  key: 'epoch',
  read({ epoch, record: stored, checksum }, path) {
    const bytes = stored as Uint8Array;
    if (checksumOf(bytes) !== checksum) throw corrupt(path, `block ${String(epoch)} does not match its checksum`);
    let record: BlockRecord;
    try {
      record = decodeBlockRecord(bytes);
    } catch (e) {
      if (e instanceof StarlingError) throw corrupt(path, e.message, e);
      throw e;
    }
    const found = record.block.header.epoch;
    if (found !== epoch) throw corrupt(path, `block ${found} stands in the place of block ${String(epoch)}`);
    return record;
  },
};

/**
 * Opens or creates the final blocks on disk. What is read is hashed again: a block that is not as it was written throws
 * DATA_CORRUPT, as does a file that SQLite finds damaged. Throws DISK_FULL where an append finds no space.
 */
export function openBlocks(path: string): BlockStore & Disposable & { close(): void } {
  const db = openSqlite(path, BLOCKS.layout);
  const insert = db.prepare('INSERT INTO block (epoch, record, checksum) VALUES (?, ?, ?)');
  const byEpoch = db.prepare(`SELECT ${BLOCKS.columns} FROM block WHERE epoch = ?`);
  const newest = db.prepare('SELECT max(epoch) AS epoch FROM block');
  const forget = db.prepare('DELETE FROM block WHERE epoch > ?');

  // A copy in SQLite's memory says nothing of the disk.
  const forgetPages = db.prepare('PRAGMA shrink_memory');

  const head = (): number => guarded(path, () => (newest.get()?.epoch as number | null) ?? 0);
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
      guarded(path, () => forget.run(epoch));
    },
    close,
    [Symbol.dispose]: close,
  };
}
