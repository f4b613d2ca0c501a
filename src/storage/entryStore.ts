import { fromHex, toHex } from '../crypto/index.ts';
import type { EntryStore } from '../epoch/ports.ts';
import type { EntryId, SignedEntry } from '../spec/index.ts';
import { decodeCore, entryId } from '../wire/index.ts';
import { checksumOf } from './checksum.ts';
import { corrupt, decoded, flushLog, guarded, inTransaction, lasting, openSqlite, readRows, type Table } from './sqlite.ts';

/**
 * 'SLLE'. `position` is the order of appending. The id covers the core; the checksum covers both signatures, or the one that
 * there is.
 */
export const ENTRIES: Table<SignedEntry> = {
  layout: {
    applicationId: 0x534c4c45,
    version: 2,
    schema: `CREATE TABLE entry (
      position INTEGER PRIMARY KEY,
      id BLOB NOT NULL UNIQUE,
      core BLOB NOT NULL,
      signature BLOB NOT NULL,
      composite BLOB,
      checksum INTEGER NOT NULL
    ) STRICT;`,
  },
  columns: 'id, core, signature, composite, checksum',
  name: 'entry',
  key: 'position',
  read(row, path) {
    const { id: held, core, signature, composite, checksum } = row as EntryRow;
    const id = entryId(core);
    if (toHex(held) !== id) throw corrupt(path, `entry ${toHex(held)} hashes to another id`);
    if (signaturesChecksum(signature, composite) !== checksum) throw corrupt(path, `a signature of entry ${id} is not as it was written`);
    const entry = { id, core: decoded(path, () => decodeCore(core)), coreBytes: core, signature };
    return composite === null ? entry : { ...entry, composite };
  },
};

type EntryRow = {
  readonly id: Uint8Array;
  readonly core: Uint8Array;
  readonly signature: Uint8Array;
  readonly composite: Uint8Array | null;
  readonly checksum: number;
};

const signaturesChecksum = (signature: Uint8Array, composite: Uint8Array | null): number =>
  composite === null ? checksumOf(signature) : checksumOf(signature, composite);

/**
 * Opens or creates the ledger on disk. What is read is hashed again: an entry that is not as it was written throws
 * DATA_CORRUPT, as does a file that SQLite finds damaged. Throws DISK_FULL where an append finds no space.
 */
export function openLedger(path: string): EntryStore & Disposable & { close(): void } {
  const db = openSqlite(path, ENTRIES.layout);
  const insert = db.prepare(
    'INSERT INTO entry (id, core, signature, composite, checksum) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
  );
  const byId = db.prepare(`SELECT ${ENTRIES.columns} FROM entry WHERE id = ?`);
  const inOrder = db.prepare(`SELECT ${ENTRIES.columns} FROM entry ORDER BY position`);
  const exists = db.prepare('SELECT 1 FROM entry WHERE id = ?');
  const count = db.prepare('SELECT count(*) AS n FROM entry');
  // Pages that this empties are written again before the file grows (sqlite.org/fileformat2.html#the_freelist).
  const remove = db.prepare('DELETE FROM entry WHERE id = ?');

  // A copy in SQLite's memory says nothing of the disk, and this is asked only of what somebody doubts.
  const forgetPages = db.prepare('PRAGMA shrink_memory');
  const close = (): void => {
    if (db.isOpen) db.close();
  };

  return {
    append(entries, when = 'now') {
      if (entries.length === 0) return 0;
      return guarded(path, () =>
        lasting(db, when, () =>
          inTransaction(db, () => {
            let added = 0;
            for (const { id, coreBytes, signature, composite = null } of entries) {
              added += Number(insert.run(fromHex(id), coreBytes, signature, composite, signaturesChecksum(signature, composite)).changes);
            }
            return added;
          }),
        ),
      );
    },
    flush: () => flushLog(path),
    get: (id) =>
      guarded(path, () => {
        forgetPages.get();
        const row = byId.get(fromHex(id));
        return row === undefined ? undefined : ENTRIES.read(row, path);
      }),
    has: (id: EntryId) => guarded(path, () => exists.get(fromHex(id)) !== undefined),
    all: () => readRows(path, inOrder, ENTRIES),
    size: () => guarded(path, () => count.get()?.n as number),
    drop: (ids) =>
      guarded(path, () =>
        inTransaction(db, () => {
          let dropped = 0;
          for (const id of ids) dropped += Number(remove.run(fromHex(id)).changes);
          return dropped;
        }),
      ),
    close,
    [Symbol.dispose]: close,
  };
}
