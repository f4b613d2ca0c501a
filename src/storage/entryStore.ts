import { fromHex, toHex } from '../crypto/index.ts';
import type { EntryStore } from '../epoch/ports.ts';
import { type EntryId, type SignedEntry, StarlingError } from '../spec/index.ts';
import { decodeCore, entryId } from '../wire/index.ts';
import { corrupt, guarded, inTransaction, openSqlite } from './sqlite.ts';

/**
 * 'SLLE'. `position` is the order of appending. The composite signature stands in a column of its own, since it may
 * be pruned while the entry stays.
 */
const LAYOUT = {
  applicationId: 0x534c4c45,
  version: 1,
  schema: `CREATE TABLE entry (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    core BLOB NOT NULL,
    signature BLOB NOT NULL,
    composite BLOB
  ) STRICT;`,
};

interface Row {
  readonly id: Uint8Array;
  readonly core: Uint8Array;
  readonly signature: Uint8Array;
  readonly composite: Uint8Array | null;
}

/**
 * Opens or creates the ledger on disk. What is read is hashed again: an entry that does not match its id throws
 * DATA_CORRUPT, as does a file that SQLite finds damaged.
 */
export function openLedger(path: string): EntryStore & Disposable & { close(): void } {
  const db = openSqlite(path, LAYOUT);
  const columns = 'SELECT id, core, signature, composite FROM entry';
  const insert = db.prepare('INSERT INTO entry (id, core, signature, composite) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING');
  const byId = db.prepare(`${columns} WHERE id = ?`);
  const inOrder = db.prepare(`${columns} ORDER BY position`);
  const exists = db.prepare('SELECT 1 FROM entry WHERE id = ?');
  const count = db.prepare('SELECT count(*) AS n FROM entry');

  const entryOf = (row: Row): SignedEntry => {
    const id = entryId(row.core);
    if (toHex(row.id) !== id) throw corrupt(path, `entry ${id} stands under another id`);
    try {
      const entry = { id, core: decodeCore(row.core), coreBytes: row.core, signature: row.signature };
      return row.composite === null ? entry : { ...entry, composite: row.composite };
    } catch (e) {
      if (e instanceof StarlingError) throw corrupt(path, e.message, e);
      throw e;
    }
  };
  const close = (): void => {
    if (db.isOpen) db.close();
  };

  return {
    append(entries) {
      if (entries.length === 0) return 0;
      return guarded(path, () =>
        inTransaction(db, () => {
          let added = 0;
          for (const { id, coreBytes, signature, composite } of entries) {
            added += Number(insert.run(fromHex(id), coreBytes, signature, composite ?? null).changes);
          }
          return added;
        }),
      );
    },
    get: (id) =>
      guarded(path, () => {
        const row = byId.get(fromHex(id));
        return row === undefined ? undefined : entryOf(row as unknown as Row);
      }),
    has: (id: EntryId) => guarded(path, () => exists.get(fromHex(id)) !== undefined),
    *all() {
      // One statement, so one snapshot; SQLite reports damage at any step.
      const rows = inOrder.iterate();
      for (let next = guarded(path, () => rows.next()); next.done !== true; next = guarded(path, () => rows.next())) {
        yield entryOf(next.value as unknown as Row);
      }
    },
    size: () => guarded(path, () => count.get()?.n as number),
    close,
    [Symbol.dispose]: close,
  };
}
