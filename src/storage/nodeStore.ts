import type { NodeStore } from '../epoch/ports.ts';
import { guarded, openSqlite } from './sqlite.ts';

/** 'SLNO' */
const LAYOUT = {
  applicationId: 0x534c4e4f,
  version: 1,
  schema: 'CREATE TABLE fact (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;',
};

/** Opens or creates the small facts of this node. Throws DATA_CORRUPT. */
export function openNodeStore(path: string): NodeStore & Disposable & { close(): void } {
  const db = openSqlite(path, LAYOUT);
  const select = db.prepare('SELECT value FROM fact WHERE key = ?');
  const upsert = db.prepare('INSERT INTO fact (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value');
  const remove = db.prepare('DELETE FROM fact WHERE key = ?');
  const close = (): void => {
    if (db.isOpen) db.close();
  };
  return {
    get: (key) => guarded(path, () => select.get(key)?.value as Uint8Array | undefined),
    set(key, value) {
      guarded(path, () => upsert.run(key, value));
    },
    delete(key) {
      guarded(path, () => remove.run(key));
    },
    close,
    [Symbol.dispose]: close,
  };
}
