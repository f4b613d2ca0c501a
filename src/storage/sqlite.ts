import { DatabaseSync } from 'node:sqlite';
import { StarlingError } from '../spec/index.ts';

/** The one place that names node:sqlite. Every call blocks: a commit has reached the disk when it returns. */
export type Sqlite = DatabaseSync;

/** Ms. One daemon owns its data folder; only a backup or a person's shell can hold a lock, and briefly. */
const BUSY_TIMEOUT_MS = 1_000;

/** Primary result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** What a database file is for: told apart by `application_id`, its layout by `user_version`. */
export interface Layout {
  /** Four ASCII letters as a 32-bit integer. */
  readonly applicationId: number;
  readonly version: number;
  /** Runs once, when the file is new. */
  readonly schema: string;
}

/**
 * Opens or creates a database. WAL with synchronous=FULL: the log is synced at every commit
 * (sqlite.org/pragma.html#pragma_synchronous). Throws DATA_CORRUPT when the file is damaged or of another layout.
 */
export function openSqlite(path: string, { applicationId, version, schema }: Layout): Sqlite {
  return guarded(path, () => {
    const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    try {
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      const isNew = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n === 0;
      if (isNew) {
        db.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}; COMMIT;`);
      }
      if (db.prepare('PRAGMA application_id').get()?.application_id !== applicationId) throw corrupt(path, 'it belongs to something else');
      const found = db.prepare('PRAGMA user_version').get()?.user_version;
      if (found !== version) {
        throw new StarlingError('DATA_CORRUPT', `${path} has layout ${String(found)}, this version of Starling reads ${version}`, {
          field: path,
          fix: 'run the version of Starling that wrote it, or start with an empty data folder',
        });
      }
      return db;
    } catch (e) {
      db.close();
      throw e;
    }
  });
}

/** Runs `body` inside BEGIN IMMEDIATE; all of it is durable when this returns, none of it when it throws. */
export function inTransaction<T>(db: Sqlite, body: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    db.exec('COMMIT');
    return result;
  } catch (e) {
    // A failed COMMIT (disk full) may have rolled back by itself.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw e;
  }
}

/** Turns what SQLite reports about a damaged or locked file into errors that say what to do. */
export function guarded<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (e) {
    const code = sqliteCode(e);
    if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) throw corrupt(path, (e as Error).message, e);
    if (code === SQLITE_BUSY) {
      throw new StarlingError(
        'DATA_IN_USE',
        `${path} is locked by another process`,
        { field: path, fix: 'stop the other process' },
        { cause: e },
      );
    }
    throw e;
  }
}

export const corrupt = (path: string, reason: string, cause?: unknown): StarlingError =>
  new StarlingError(
    'DATA_CORRUPT',
    `${path} is damaged: ${reason}`,
    { field: path, fix: 'move it away and start again: the ledger is fetched from peers; or restore a backup' },
    { cause },
  );

/** Whether SQLite reports that someone else holds the lock. */
export const isBusy = (e: unknown): boolean => sqliteCode(e) === SQLITE_BUSY;

/** The primary result code of an error of node:sqlite, without the extended bits. */
function sqliteCode(e: unknown): number | undefined {
  if (!(e instanceof Error) || !('errcode' in e) || typeof e.errcode !== 'number') return undefined;
  return e.errcode & 0xff;
}
