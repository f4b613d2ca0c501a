import { closeSync, copyFileSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type DataFolder, syncFolder } from './dataFolder.ts';

/** Beside a database: its log, and the index of the log. */
const BESIDE = ['-wal', '-shm'];
/** A database that a repair is writing; a crash may leave one. */
export const REPAIRED = '.repaired';

/** Where a repair puts what it takes away: nothing is deleted. */
export class Quarantine {
  readonly #root: string;
  readonly #folder: string;

  /** `atMs`: milliseconds since 1970, the name of this repair's folder. */
  constructor(folder: DataFolder, atMs: number) {
    this.#root = folder.path;
    this.#folder = join(folder.damaged, new Date(atMs).toISOString().replaceAll(':', '-'));
  }

  /** The folder, once something lies in it. */
  get path(): string | undefined {
    return existsSync(this.#folder) ? this.#folder : undefined;
  }

  /** Moves a file of the data folder, or a folder of it, aside. Nothing happens where there is none. */
  take(path: string): void {
    if (!existsSync(path)) return;
    renameSync(path, this.#placeFor(path));
    syncFolder(dirname(path));
  }

  /**
   * Puts a new database, which `write` makes at the path it is given, in the place of the one at `path`. The old file is
   * copied, not moved: a crash on the way leaves it in its place. Its log goes first, since a log MUST not meet another
   * database than its own.
   */
  replaceDatabase(path: string, write: (path: string) => void): void {
    const next = `${path}${REPAIRED}`;
    for (const leftover of ['', ...BESIDE]) rmSync(`${next}${leftover}`, { force: true });
    write(next);
    syncFile(next);
    if (existsSync(path)) copyFileSync(path, this.#placeFor(path));
    for (const beside of BESIDE) this.take(`${path}${beside}`);
    renameSync(next, path);
    syncFolder(dirname(path));
  }

  #placeFor(path: string): string {
    const place = join(this.#folder, relative(this.#root, path));
    mkdirSync(dirname(place), { recursive: true, mode: 0o700 });
    return place;
  }
}

function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
