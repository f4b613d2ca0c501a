import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import type { Durability } from '../epoch/ports.ts';
import { StarlingError } from '../spec/index.ts';

/** The one place that names node:sqlite. Every call blocks. */
export type Sqlite = DatabaseSync;

/** Ms. One daemon owns its data folder; only a backup or a person's shell can hold a lock, and briefly. */
const BUSY_TIMEOUT_MS = 1_000;

/** Primary result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

/** What a database file is for: told apart by `application_id`, its layout by `user_version`. */
export interface Layout {
  /** Four ASCII letters as a 32-bit integer. */
  readonly applicationId: number;
  readonly version: number;
  /** Runs once, when the file is new. */
  readonly schema: string;
}

export type Row = Readonly<Record<string, SQLOutputValue>>;

/** A table of a database, and what a row of it stands for. */
export interface Table<R> {
  readonly layout: Layout;
  readonly name: string;
  readonly columns: string;
  /** What its rows are in the order of. */
  readonly key: string;
  /** Throws DATA_CORRUPT where the row is not as it was written. */
  read(row: Row, path: string): R;
}

/**
 * Opens or creates a database. WAL with synchronous=FULL: the log is synced at every commit (but see `lasting`)
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

/**
 * Runs a write. 'soon': its commit goes to the log and is not synced; the next synced commit syncs the log as far as it goes
 * (sqlite.org/pragma.html#pragma_synchronous, NORMAL in WAL mode: consistent whatever happens, the newest commits may roll back).
 */
export function lasting<T>(db: Sqlite, when: Durability, write: () => T): T {
  if (when === 'now') return write();
  db.exec('PRAGMA synchronous = NORMAL');
  try {
    return write();
  } finally {
    db.exec('PRAGMA synchronous = FULL');
  }
}

/** Syncs the log of the database at `path`: what was written 'soon' is durable when this returns. */
export function flushLog(path: string): void {
  const file = openSync(`${path}-wal`, 'r+');
  try {
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
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

/** Turns what SQLite reports about a damaged file, a locked one or a full disk into errors that say what to do. */
export function guarded<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (e) {
    throw translated(path, e);
  }
}

/** One error of SQLite as `guarded` throws it; any other as it is. */
export function translated(path: string, e: unknown): unknown {
  switch (sqliteCode(e)) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return corrupt(path, (e as Error).message, e);
    case SQLITE_FULL:
      return diskFull(path, e);
    case SQLITE_BUSY:
      return new StarlingError(
        'DATA_IN_USE',
        `${path} is locked by another process`,
        { field: path, fix: 'stop the other process' },
        { cause: e },
      );
    default:
      return e;
  }
}

export const corrupt = (path: string, reason: string, cause?: unknown): StarlingError =>
  new StarlingError(
    'DATA_CORRUPT',
    `${path} is damaged: ${reason}`,
    { field: path, fix: 'stop the daemon and run `starling fsck --repair`; what is lost then is fetched from peers' },
    { cause },
  );

/** Nothing of the write is there, and what was there before is whole. */
export const diskFull = (path: string, cause: unknown): StarlingError =>
  new StarlingError(
    'DISK_FULL',
    `no space left for ${path}`,
    { field: path, fix: 'free some disk space; the write is tried again' },
    { cause },
  );

/** What `decode` makes of stored bytes; DATA_CORRUPT for its StarlingErrors. */
export function decoded<T>(path: string, decode: () => T): T {
  try {
    return decode();
  } catch (e) {
    if (e instanceof StarlingError) throw corrupt(path, e.message, e);
    throw e;
  }
}

/** What the rows of a statement stand for: one statement, so one snapshot. SQLite reports damage at any step. */
export function* readRows<R>(path: string, statement: StatementSync, table: Table<R>): Generator<R> {
  const rows = statement.iterate();
  for (let next = guarded(path, () => rows.next()); next.done !== true; next = guarded(path, () => rows.next())) {
    yield table.read(next.value, path);
  }
}

/** Whether SQLite reports that someone else holds the lock. */
export const isBusy = (e: unknown): boolean => sqliteCode(e) === SQLITE_BUSY;

/** The primary result code of an error of node:sqlite, without the extended bits. */
function sqliteCode(e: unknown): number | undefined {
  if (!(e instanceof Error) || !('errcode' in e) || typeof e.errcode !== 'number') return undefined;
  return e.errcode & 0xff;
}
