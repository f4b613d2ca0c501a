import type { NodeStore } from '../epoch/ports.ts';
import { checksumOf } from './checksum.ts';
import { corrupt, guarded, lasting, openSqlite, type Table } from './sqlite.ts';

export interface Fact {
  readonly key: string;
  readonly value: Uint8Array;
}

/** 'SLNO'. A vote that rotted could be signed a second time with another value, so each row carries a checksum. */
export const FACTS: Table<Fact> = {
  layout: {
    applicationId: 0x534c4e4f,
    version: 3,
    // With rowids. A table without them is for small rows (sqlite.org/withoutrowid.html, section 4): a search reads all of every row that
    // it compares with, so that each vote would take as long as the largest fact beside it.
    schema: 'CREATE TABLE fact (key TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;',
  },
  columns: 'key, value, checksum',
  name: 'fact',
  key: 'key',
  read({ key, value, checksum }, path) {
    const fact = { key: key as string, value: value as Uint8Array };
    if (checksumOf(fact.key, fact.value) !== checksum) throw corrupt(path, `fact ${fact.key} does not match its checksum`);
    return fact;
  },
};

/** Opens or creates the small facts of this node. Throws DATA_CORRUPT, also for a fact that is not as it was written. */
export function openNodeStore(path: string): NodeStore & Disposable & { close(): void } {
  const db = openSqlite(path, FACTS.layout);
  const select = db.prepare(`SELECT ${FACTS.columns} FROM fact WHERE key = ?`);
  const upsert = db.prepare(
    'INSERT INTO fact (key, value, checksum) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum',
  );
  const remove = db.prepare('DELETE FROM fact WHERE key = ?');
  // Keys are ASCII: nothing sorts after the last code point.
  const under = db.prepare(`SELECT key FROM fact WHERE key >= ? AND key < ? || char(0x10ffff) ORDER BY key`);
  const close = (): void => {
    if (db.isOpen) db.close();
  };
  return {
    get: (key) =>
      guarded(path, () => {
        const row = select.get(key);
        return row === undefined ? undefined : FACTS.read(row, path).value;
      }),
    set(key, value, when = 'now') {
      guarded(path, () => lasting(db, when, () => upsert.run(key, value, checksumOf(key, value))));
    },
    delete(key, when = 'now') {
      guarded(path, () => lasting(db, when, () => remove.run(key)));
    },
    keys: (prefix) => guarded(path, () => under.all(prefix, prefix).map(({ key }) => key as string)),
    close,
    [Symbol.dispose]: close,
  };
}
