/** Content that only this node names, and nobody else is given: written in chunks, and checked as it is read. */
import { type ContentIndex, verifyChunk } from '../crypto/index.ts';
import { CHUNK_BYTES, type ContentRoot, StarlingError } from '../spec/index.ts';
import type { BlobStore } from './ports.ts';

export class OwnContent {
  readonly #blobs: BlobStore;
  /** Leaves of what has been written or read, by root. */
  readonly #indices = new Map<ContentRoot, ContentIndex>();

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** Durable when it resolves. Other work runs while each part is written; it may lie where the next one will. */
  async put(parts: AsyncIterable<Uint8Array>): Promise<ContentRoot> {
    const index = await this.#blobs.putParts(parts);
    this.#indices.set(index.root, index);
    return index.root;
  }

  putWhole(bytes: Uint8Array): Promise<ContentRoot> {
    return this.put(inChunks(bytes));
  }

  /** All of it, undefined where it is not there. Throws DATA_CORRUPT. */
  get(root: ContentRoot): Promise<Uint8Array | undefined> {
    return this.#blobs.get(root);
  }

  has(root: ContentRoot): Promise<boolean> {
    return this.#blobs.has(root);
  }

  /** Chunk `i`. Throws DATA_CORRUPT also where it is not there. */
  async chunk(root: ContentRoot, i: number): Promise<Uint8Array> {
    const index = this.#indices.get(root) ?? (await this.#blobs.index(root));
    const chunk = await this.#blobs.readChunk(root, i);
    if (index === undefined || chunk === undefined || !verifyChunk(index.leaves, i, chunk)) throw lost(root);
    this.#indices.set(root, index);
    return chunk;
  }

  /** Whether it is there as it was written, and so many bytes. */
  async isSound(root: ContentRoot, sizeBytes: number): Promise<boolean> {
    try {
      const index = await this.#blobs.index(root);
      return index?.sizeBytes === sizeBytes;
    } catch (error) {
      if (error instanceof StarlingError && error.code === 'DATA_CORRUPT') return false;
      throw error;
    }
  }

  async delete(root: ContentRoot): Promise<void> {
    this.#indices.delete(root);
    await this.#blobs.delete(root);
  }

  /** Deletes everything else. */
  async keepOnly(wanted: ReadonlySet<ContentRoot | undefined>): Promise<void> {
    for (const root of await this.#blobs.roots()) if (!wanted.has(root)) await this.delete(root);
  }
}

async function* inChunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

const lost = (root: ContentRoot): StarlingError =>
  new StarlingError('DATA_CORRUPT', `content ${root} of this node's own has rotted on disk, or is gone`, {
    field: root,
    fix: 'restart the daemon: it goes on without what it was owed; check the disk if this repeats',
  });
