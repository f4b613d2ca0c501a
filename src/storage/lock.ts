import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StarlingError } from '../spec/index.ts';
import { isBusy, translated } from './sqlite.ts';

export interface DataLock extends Disposable {
  /** Idempotent. */
  release(): void;
}

/** Locks of this process: a handle that nobody refers to is collected, and its lock is gone. */
const held = new Set<DatabaseSync>();

/**
 * Takes a data folder for this process. The lock is SQLite's exclusive one on `path`: the kernel drops it when the
 * process ends, however it ends, so a dead process leaves nothing to clean up and no pid can be mistaken for
 * another. `<path>.pid` beside it is only for the message. Throws DATA_IN_USE at once, naming the holder's pid, and
 * DATA_CORRUPT when `path` is no lock.
 */
export function lockDataFolder(path: string, pid: number = process.pid): DataLock {
  const pidPath = `${path}.pid`;
  const db = new DatabaseSync(path, { timeout: 0 });
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (e) {
    db.close();
    if (!isBusy(e)) throw translated(path, e);
    const holder = holderOf(pidPath);
    throw new StarlingError(
      'DATA_IN_USE',
      `another process${holder === undefined ? '' : ` (pid ${holder})`} uses this data folder`,
      { field: path, ...(holder === undefined ? {} : { pid: holder }), fix: 'stop it, or give this daemon its own --data folder' },
      { cause: e },
    );
  }
  held.add(db);
  writeFileSync(pidPath, `${pid}\n`);
  const release = (): void => {
    if (!db.isOpen) return;
    rmSync(pidPath, { force: true });
    held.delete(db);
    db.close();
  };
  return { release, [Symbol.dispose]: release };
}

function holderOf(pidPath: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidPath, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined; // between taking the lock and writing the pid
  }
}
