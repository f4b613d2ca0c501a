import { closeSync, cpSync, existsSync, mkdtempSync, openSync, readSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StarlingError } from '../spec/index.ts';
import type { Damage, DamageKind } from './damage.ts';
import { findLogDamage } from './log.ts';
import { guarded, type Row, type Table } from './sqlite.ts';

/** Findings of SQLite's own check that are worth printing: the first ones tell what happened. */
const STRUCTURE_FINDINGS = 5;

export interface Inspection<R> {
  /** What can be read and is as it was written, in the order of the key. */
  readonly rows: readonly R[];
  readonly damages: readonly Damage[];
}

/**
 * Reads everything that can be read of a database, and names what cannot. Changes nothing: a log is read, not written
 * back. No other process may have the database open. A missing file is an empty one.
 */
export function inspectTable<R>(path: string, table: Table<R>): Inspection<R> {
  const damages: Damage[] = [];
  const found = (kind: DamageKind, message: string, row?: unknown): void => {
    damages.push({ kind, where: row === undefined ? basename(path) : `${basename(path)} ${table.name} ${String(row)}`, message });
  };
  if (!existsSync(path)) return { rows: [], damages };
  const log = findLogDamage(`${path}-wal`);
  if (log !== undefined) damages.push({ kind: 'log', where: `${basename(path)}-wal`, message: log });

  using whole = atFullLength(path, found);
  const db = openForReading(whole.path, found);
  if (db === undefined) return { rows: [], damages };
  try {
    if (db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n === 0) {
      found('missing', 'it has no table: cut off, or never written');
      return { rows: [], damages };
    }
    const { application_id: id } = db.prepare('PRAGMA application_id').get() as Row;
    if (id !== table.layout.applicationId) {
      found('unreadable', 'it belongs to something else');
      return { rows: [], damages };
    }
    const { user_version: version } = db.prepare('PRAGMA user_version').get() as Row;
    if (version !== table.layout.version) {
      found('unreadable', `it has layout ${String(version)}, this version of Starling reads ${table.layout.version}`);
      return { rows: [], damages };
    }
    const before = damages.length;
    checkStructure(db, found);
    const rows = readRows(db, path, table, found);
    // A page that breaks a scan is almost always one that the check named already.
    if (damages.length === before && rows.broken !== undefined) found('structure', rows.broken);
    return { rows: rows.read, damages };
  } catch (e) {
    found('unreadable', (e as Error).message);
    return { rows: [], damages };
  } finally {
    db.close();
  }
}

/** Bytes of a database's header up to what is read of it (sqlite.org/fileformat2.html#the_database_header). */
const HEADER_BYTES = 32;

/**
 * SQLite opens no file that is shorter than its header says. The pages that are left can be read in a copy that has zeros
 * for the others; the copy is gone when this is disposed of.
 */
function atFullLength(path: string, found: (kind: DamageKind, message: string) => void): { readonly path: string } & Disposable {
  const header = Buffer.alloc(HEADER_BYTES);
  const file = openSync(path, 'r');
  readSync(file, header, 0, HEADER_BYTES, 0);
  closeSync(file);
  const { size } = statSync(path);
  const pageBytes = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16);
  const wanted = header.toString('latin1', 0, 15) === 'SQLite format 3' ? pageBytes * header.readUInt32BE(28) : 0;
  if (size >= wanted || size < pageBytes) return { path, [Symbol.dispose]: () => {} };
  found('structure', `it is cut short: ${size} of ${wanted} bytes`);
  const folder = mkdtempSync(join(tmpdir(), 'starling-salvage-'));
  const copy = join(folder, basename(path));
  cpSync(path, copy);
  if (existsSync(`${path}-wal`)) cpSync(`${path}-wal`, `${copy}-wal`);
  truncateSync(copy, wanted);
  return { path: copy, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

function openForReading(path: string, found: (kind: DamageKind, message: string) => void): DatabaseSync | undefined {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return db;
  } catch (e) {
    db?.close();
    found('unreadable', (e as Error).message);
    return undefined;
  }
}

function checkStructure(db: DatabaseSync, found: (kind: DamageKind, message: string) => void): void {
  try {
    for (const row of db.prepare(`PRAGMA integrity_check(${STRUCTURE_FINDINGS})`).iterate())
      if (row.integrity_check !== 'ok')
        found(
          'structure',
          String(row.integrity_check)
            .replace(/^\*{3}.*\n/, '')
            .replaceAll('\n', '; '),
        );
  } catch (e) {
    found('structure', (e as Error).message);
  }
}

/** From the front until a page cannot be read, then from the back until one cannot. */
function readRows<R>(db: DatabaseSync, path: string, table: Table<R>, found: (kind: DamageKind, message: string, row: unknown) => void) {
  const { key, columns, name } = table;
  const read = new Map<unknown, R>();
  const broken: string[] = [];
  const seen = new Set<unknown>();
  const scan = (order: 'ASC' | 'DESC'): void => {
    try {
      for (const row of db.prepare(`SELECT ${key} AS at, ${columns} FROM ${name} ORDER BY ${key} ${order}`).iterate()) {
        if (seen.has(row.at)) return;
        seen.add(row.at);
        try {
          read.set(
            row.at,
            guarded(path, () => table.read(row, path)),
          );
        } catch (e) {
          found('row', reasonOf(e), row.at);
        }
      }
    } catch (e) {
      broken.push((e as Error).message);
    }
  };
  scan('ASC');
  const front = read.size;
  if (broken.length > 0) scan('DESC');
  const inOrder = [...read.values()];
  return { read: [...inOrder.slice(0, front), ...inOrder.slice(front).reverse()], broken: broken[0] };
}

/** The reason without the path, which stands in `where`. */
const reasonOf = (e: unknown): string =>
  e instanceof StarlingError ? e.message.replace(/^.* is damaged: /, '') : e instanceof Error ? e.message : String(e);
