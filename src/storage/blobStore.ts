import { mkdirSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ContentHasher, type ContentIndex, chunkCount, leafHash, verifyIndex } from '../crypto/index.ts';
import type { BlobStore } from '../epoch/ports.ts';
import { CHUNK_BYTES, type ContentRoot, MIB, StarlingError } from '../spec/index.ts';
import { syncFolder } from './dataFolder.ts';
import { diskFull } from './sqlite.ts';

export const ROOT = /^[0-9a-f]{64}$/;
export const SHELF = /^[0-9a-f]{2}$/;
/** Where files are written before they have their name. */
export const UNFINISHED = 'unfinished';
/** Bytes hashed in one turn of the event loop: a few milliseconds. */
const TURN_BYTES = 4 * MIB;
/** What a system call says when no space is left, for anyone or for this user. */
const FULL = ['ENOSPC', 'EDQUOT'];

/**
 * Content in files `<folder>/<first two digits>/<root>`. A file appears under its name when all of it is on disk.
 * `get` recomputes the root: a file that rotted is removed, and DATA_CORRUPT says so once.
 */
export const openBlobStore = (folder: string): BlobStore => openStore(folder, true);

/** The same for what is only wanted while this process runs: empty at first, and never synced. */
export function openScratch(folder: string): BlobStore {
  rmSync(folder, { recursive: true, force: true });
  return openStore(folder, false);
}

function openStore(folder: string, isLasting: boolean): BlobStore {
  const unfinished = join(folder, UNFINISHED);
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true, mode: 0o700 });
  let writes = 0;
  const shelfOf = (root: ContentRoot): string => join(folder, root.slice(0, 2));
  const pathOf = (root: ContentRoot): string => {
    if (!ROOT.test(root)) throw new StarlingError('MALFORMED', 'a content root is 64 lower-case hex digits', { field: 'root' });
    return join(shelfOf(root), root);
  };

  /** Under a first name until it is all on disk; `rootOf` is asked then. */
  const write = async (name: string, parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, rootOf: () => ContentRoot): Promise<void> => {
    const temporary = join(unfinished, name);
    try {
      await writeFileParts(temporary, parts, isLasting);
      const root = rootOf();
      const made = await mkdir(shelfOf(root), { recursive: true, mode: 0o700 });
      await rename(temporary, pathOf(root));
      if (isLasting) syncFolder(shelfOf(root));
      if (isLasting && made !== undefined) syncFolder(folder);
    } catch (e) {
      await rm(temporary, { force: true }); // half a file would take the space that is missing
      throw FULL.includes((e as NodeJS.ErrnoException).code ?? '') ? diskFull(folder, e) : e;
    }
  };

  const rotten = async (root: ContentRoot): Promise<StarlingError> => {
    await rm(pathOf(root), { force: true });
    return new StarlingError('DATA_CORRUPT', `content ${root} on disk does not hash to its root; it was removed`, {
      field: root,
      fix: 'it is fetched again from a peer when it is needed; check the disk if this repeats',
    });
  };

  return {
    async put(content) {
      const { root } = await hashOf(content);
      if ((await sizeOf(pathOf(root))) === content.byteLength) return root;
      await write(`${root}.${writes++}`, [content], () => root);
      return root;
    },

    async putParts(parts) {
      const hasher = new ContentHasher();
      const hashed = async function* (): AsyncGenerator<Uint8Array> {
        for await (const part of parts) {
          hasher.update(part);
          yield part;
        }
      };
      let index: ContentIndex | undefined;
      await write(`parts.${writes++}`, hashed(), () => {
        index = hasher.finish();
        return index.root;
      });
      return index as ContentIndex;
    },

    async get(root) {
      const content = await readIfThere(pathOf(root));
      if (content !== undefined && (await hashOf(content)).root !== root) throw await rotten(root);
      return content;
    },

    async has(root) {
      return (await sizeOf(pathOf(root))) !== undefined;
    },

    async delete(root) {
      await rm(pathOf(root), { force: true });
    },

    async roots() {
      const shelves = (await readdir(folder)).filter((name) => SHELF.test(name));
      const names = await Promise.all(shelves.map((shelf) => readdir(join(folder, shelf))));
      return names.flat().filter((name) => ROOT.test(name));
    },

    async index(root) {
      const index = await indexFile(pathOf(root), root);
      if (index === 'rotten') throw await rotten(root);
      return index;
    },

    async readChunk(root, i) {
      const path = pathOf(root);
      if (!Number.isSafeInteger(i) || i < 0) return undefined;
      const chunk = await withFile(path, (file) => readAt(file, i));
      return chunk === undefined || chunk.byteLength === 0 ? undefined : chunk;
    },
  };
}

/** What a file holds, chunk by chunk; `rotten` when that is not what `root` stands for, `undefined` when there is none. */
export async function indexFile(path: string, root: ContentRoot): Promise<ContentIndex | 'rotten' | undefined> {
  const index = await withFile(path, async (file) => {
    const sizeBytes = (await file.stat()).size;
    const leaves: Uint8Array[] = [];
    for (let i = 0; i < chunkCount(sizeBytes); i++) leaves.push(leafHash(await readAt(file, i)));
    return { root, sizeBytes, leaves };
  });
  return index === undefined || verifyIndex(root, index.sizeBytes, index.leaves) ? index : 'rotten';
}

/** Hashed in turns: a model of ten million parameters takes a while. */
async function hashOf(content: Uint8Array): Promise<ContentIndex> {
  const hasher = new ContentHasher();
  for (let at = 0; at < content.byteLength; at += TURN_BYTES) {
    if (at > 0) await setImmediate();
    hasher.update(content.subarray(at, at + TURN_BYTES));
  }
  return hasher.finish();
}

async function writeFileParts(path: string, parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, isLasting: boolean): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const part of parts) await file.writeFile(part);
    if (isLasting) await file.sync();
  } finally {
    await file.close();
  }
}

/** Up to CHUNK_BYTES from the start of chunk `i`. */
async function readAt(file: FileHandle, i: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES, i * CHUNK_BYTES);
  return bytesRead === CHUNK_BYTES ? buffer : buffer.slice(0, bytesRead);
}

async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T | undefined> {
  const file = await ifThere(open(path, 'r'));
  if (file === undefined) return undefined;
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

const readIfThere = (path: string): Promise<Uint8Array | undefined> => ifThere(readFile(path));
const sizeOf = async (path: string): Promise<number | undefined> => (await ifThere(stat(path)))?.size;

/** The result, or `undefined` when the file does not exist. */
async function ifThere<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw e;
  }
}
