/**
 * Content that only this node names, and nobody else is given, checked as it is read. Up to a chunk of it is a fact of the store, written
 * with those that name it; more is a file: what goes through a log of SQLite is written and synced twice, by the thread that answers everybody.
 */
import { type ContentIndex, contentOf, verifyChunk } from '../crypto/index.ts';
import { CHUNK_BYTES, type ContentRoot, StarlingError } from '../spec/index.ts';
import type { BlobStore, NodeStore } from './ports.ts';

const FACTS = 'own/';

export class OwnContent {
  readonly #store: NodeStore;
  readonly #files: BlobStore;
  /** Leaves of what has been written to files or read from them, by root. */
  readonly #indices = new Map<ContentRoot, ContentIndex>();

  constructor(store: NodeStore, files: BlobStore) {
    this.#store = store;
    this.#files = files;
  }

  /**
   * Parts of at most a chunk, `sizeBytes` together. Durable when it resolves, or with the next fact that is. Other work runs while a part
   * is written; it may lie where the next one will.
   */
  async put(parts: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<ContentRoot> {
    if (sizeBytes > CHUNK_BYTES) {
      const index = await this.#files.putParts(parts);
      this.#indices.set(index.root, index);
      return index.root;
    }
    let bytes: Uint8Array = new Uint8Array();
    for await (const part of parts) bytes = part;
    const { root } = contentOf(bytes);
    this.#store.set(FACTS + root, bytes, 'soon');
    return root;
  }

  putWhole(bytes: Uint8Array): Promise<ContentRoot> {
    return this.put(inChunks(bytes), bytes.byteLength);
  }

  /** All of it, undefined where it is not there. Throws DATA_CORRUPT. */
  async get(root: ContentRoot): Promise<Uint8Array | undefined> {
    return this.#store.get(FACTS + root) ?? (await this.#files.get(root));
  }

  async has(root: ContentRoot): Promise<boolean> {
    return this.#store.get(FACTS + root) !== undefined || (await this.#files.has(root));
  }

  /** Chunk `i`, alone in its memory. Throws DATA_CORRUPT also where it is not there. */
  async chunk(root: ContentRoot, i: number): Promise<Uint8Array> {
    const fact = this.#store.get(FACTS + root);
    if (fact !== undefined) return Uint8Array.from(fact);
    const index = this.#indices.get(root) ?? (await this.#files.index(root));
    const chunk = await this.#files.readChunk(root, i);
    if (index === undefined || chunk === undefined || !verifyChunk(index.leaves, i, chunk)) throw lost(root);
    this.#indices.set(root, index);
    return chunk;
  }

  /** Whether it is there as it was written, and so many bytes. */
  async isSound(root: ContentRoot, sizeBytes: number): Promise<boolean> {
    try {
      const found = this.#store.get(FACTS + root)?.byteLength ?? (await this.#files.index(root))?.sizeBytes;
      return found === sizeBytes;
    } catch (error) {
      if (error instanceof StarlingError && error.code === 'DATA_CORRUPT') return false;
      throw error;
    }
  }

  async delete(root: ContentRoot): Promise<void> {
    if (this.#store.get(FACTS + root) !== undefined) {
      this.#store.delete(FACTS + root, 'soon');
      return;
    }
    this.#indices.delete(root);
    await this.#files.delete(root);
  }

  /** Deletes everything else. */
  async keepOnly(wanted: ReadonlySet<ContentRoot | undefined>): Promise<void> {
    const facts = this.#store.keys(FACTS).map((key) => key.slice(FACTS.length));
    for (const root of [...facts, ...(await this.#files.roots())]) if (!wanted.has(root)) await this.delete(root);
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
