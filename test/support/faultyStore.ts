import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Random } from '../../src/learning/random.ts';
import { type DataFolder, dataFolderAt, openBlobStore, openBlocks, openLedger, openNodeStore } from '../../src/storage/index.ts';
import type { Stores } from './ledgerWriter.ts';

/** Every operation of the stores that writes. */
export const WRITES = [
  'entries.append',
  'entries.drop',
  'blocks.append',
  'blocks.truncate',
  'blocks.archive',
  'blobs.put',
  'blobs.delete',
  'store.set',
  'store.delete',
] as const;
export type Write = (typeof WRITES)[number];

/** When the power goes: nothing of the write is on the disk, some of its sectors are, all of it is and nobody was told. */
export const MOMENTS = ['before', 'inside', 'after'] as const;
export type Moment = (typeof MOMENTS)[number];

/** Bytes that a disk writes as a whole or not at all. */
const SECTOR = 512;

export class PowerCut extends Error {}

type Files = ReadonlyMap<string, Buffer>;

/**
 * The real stores of a data folder on a disk whose power goes, or that is full, at a write of choice. After the cut nothing
 * has any effect; `remains` writes what the platters hold into another folder.
 */
export class FaultyDisk implements Disposable {
  readonly stores: Stores & { readonly entries: ReturnType<typeof openLedger> };
  readonly #folder: DataFolder;
  readonly #random: Random;
  readonly #databases: ReadonlyMap<string, DatabaseSync>;
  readonly #close: () => void;
  #cut: { readonly write: Write; readonly moment: Moment } | undefined;
  #full: Write | undefined;
  #left: Files | undefined;

  constructor(path: string, random: Random) {
    this.#folder = dataFolderAt(path);
    this.#random = random;
    const [entries, ledgerDb] = withDatabase(() => openLedger(this.#folder.ledger));
    const [blocks, blocksDb] = withDatabase(() => openBlocks(this.#folder.blocks));
    const [store, nodeDb] = withDatabase(() => openNodeStore(this.#folder.node));
    const blobs = openBlobStore(this.#folder.blobs);
    this.#databases = new Map([
      ['entries', ledgerDb],
      ['blocks', blocksDb],
      ['store', nodeDb],
    ]);
    this.#close = () => {
      for (const one of [entries, blocks, store]) one.close();
    };
    this.stores = {
      entries: {
        ...entries,
        append: (added) => this.#write('entries.append', () => entries.append(added)),
        drop: (ids) => this.#write('entries.drop', () => entries.drop(ids)),
      },
      blocks: {
        ...blocks,
        append: (record) => this.#write('blocks.append', () => blocks.append(record)),
        truncate: (epoch) => this.#write('blocks.truncate', () => blocks.truncate(epoch)),
        archive: (segments, base) => this.#write('blocks.archive', () => blocks.archive(segments, base)),
      },
      store: {
        ...store,
        set: (key, value) => this.#write('store.set', () => store.set(key, value)),
        delete: (key) => this.#write('store.delete', () => store.delete(key)),
      },
      blobs: {
        ...blobs,
        put: (content) => this.#writeFile('blobs.put', () => blobs.put(content)),
        putParts: (parts) => this.#writeFile('blobs.put', () => blobs.putParts(parts)),
        delete: (root) => this.#writeFile('blobs.delete', () => blobs.delete(root)),
      },
    };
  }

  /** The power goes at the next write of this kind, which throws PowerCut. */
  cutAt(write: Write, moment: Moment): void {
    this.#cut = { write, moment };
  }

  /** The next write of this kind finds no space, if it needs any; the one after it does. */
  fillAt(write: Write): void {
    this.#full = write;
  }

  /** Writes what was left when the power went. */
  remains(path: string): void {
    if (this.#left === undefined) throw new Error('the power is on');
    writeFiles(path, this.#left);
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  #write<T>(write: Write, run: () => T): T {
    const moment = this.#momentOf(write);
    if (this.#full === write) {
      this.#full = undefined;
      return onFullDatabase(this.#databases.get(write.split('.')[0] as string) as DatabaseSync, run);
    }
    if (moment === undefined) return run();
    const before = readFiles(this.#folder.path);
    if (moment !== 'before') run();
    this.#die(moment, before);
  }

  async #writeFile<T>(write: Write, run: () => Promise<T>): Promise<T> {
    const moment = this.#momentOf(write);
    if (this.#full === write) {
      this.#full = undefined;
      return await onFullFolder(run);
    }
    if (moment === undefined) return await run();
    const before = readFiles(this.#folder.path);
    if (moment !== 'before') await run();
    this.#die(moment, before);
  }

  #momentOf(write: Write): Moment | undefined {
    if (this.#left !== undefined) throw new PowerCut('a dead process writes');
    return this.#cut?.write === write ? this.#cut.moment : undefined;
  }

  #die(moment: Moment, before: Files): never {
    const after = readFiles(this.#folder.path);
    this.#left = moment === 'before' ? before : moment === 'after' ? after : torn(before, after, this.#random);
    throw new PowerCut(moment);
  }
}

/** Any of the states in which a write may leave a disk when nothing that it wrote was synced yet. */
function torn(before: Files, after: Files, random: Random): Files {
  const coin = (): boolean => random.uniform() < 0.5;
  // A database outside its log is written by a checkpoint alone, whose order matters: all of that happened, or nothing.
  const isCheckpoint = [...after].some(([path, bytes]) => path.endsWith('.db') && before.get(path)?.equals(bytes) === false);
  if (isCheckpoint) return coin() ? before : after;
  const left = new Map(before);
  for (const path of before.keys()) if (!after.has(path) && coin()) left.delete(path);
  for (const [path, bytes] of after) {
    const old = before.get(path);
    if (old?.equals(bytes) === true) continue;
    if (path.endsWith('-wal')) left.set(path, mixed(old ?? Buffer.alloc(0), bytes, random));
    else for (const [name, content] of tornFile(path, bytes, random)) left.set(name, content);
  }
  return left;
}

/** Each sector old or new, and the length anything between. */
function mixed(old: Buffer, now: Buffer, random: Random): Buffer {
  const grown = now.length - old.length;
  const length = grown <= 0 ? now.length : old.length + Math.floor(random.uniform() * (grown + 1));
  const left = Buffer.alloc(length);
  old.copy(left);
  for (let at = 0; at < length; at += SECTOR) if (random.uniform() < 0.5) now.copy(left, at, at, Math.min(at + SECTOR, length));
  return left;
}

/** A new blob: not there; begun under its first name; or, where a disk lies about what it has synced, half of it under the last. */
function tornFile(path: string, bytes: Buffer, random: Random): [string, Buffer][] {
  const half = bytes.subarray(0, Math.floor(random.uniform() * bytes.length));
  const unfinished = join('blobs', 'unfinished', `${path.slice(-64)}.0`);
  const states: [string, Buffer][][] = [
    [],
    [[unfinished, half]],
    [[unfinished, bytes]],
    [[path, half]],
    [[path, mixed(Buffer.alloc(bytes.length), bytes, random)]],
    [[path, bytes]],
  ];
  return states[Math.floor(random.uniform() * states.length)] as [string, Buffer][];
}

/** Everything but the lock and the logs' indexes, which a machine that starts has not. */
function readFiles(folder: string): Files {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const paths = files.map(({ parentPath, name }) => relative(folder, join(parentPath, name)));
  return new Map(paths.filter((path) => !/^lock\.db|-shm$/.test(path)).map((path) => [path, readFileSync(join(folder, path))]));
}

function writeFiles(folder: string, files: Files): void {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, path), bytes, { mode: 0o600 });
  }
}

/** What `open` opens, with its connection: node:sqlite has no way to reach under a store, but the first statement passes here. */
function withDatabase<T>(open: () => T): [T, DatabaseSync] {
  const { exec } = DatabaseSync.prototype;
  let database: DatabaseSync | undefined;
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    database = this;
    exec.call(this, sql);
  };
  try {
    return [open(), database as unknown as DatabaseSync];
  } finally {
    DatabaseSync.prototype.exec = exec;
  }
}

/** SQLite raises a limit below the size that a database has to that size: no page more. */
function onFullDatabase<T>(database: DatabaseSync, run: () => T): T {
  database.prepare('PRAGMA max_page_count = 1').get();
  try {
    return run();
  } finally {
    database.prepare('PRAGMA max_page_count = 4294967294').get();
  }
}

/** Half of what is written fits. */
export async function onFullFolder<T>(run: () => Promise<T>): Promise<T> {
  const probe = await open('/dev/null');
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const { writeFile } = prototype;
  prototype.writeFile = async function (this: FileHandle, content: unknown) {
    const bytes = content as Uint8Array;
    await writeFile.call(this, bytes.subarray(0, bytes.byteLength >> 1));
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  try {
    return await run();
  } finally {
    prototype.writeFile = writeFile;
  }
}
