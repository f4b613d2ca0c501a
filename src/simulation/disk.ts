/** What a machine keeps when its process dies, and a power cut that takes what was not yet kept. */
import { contentOf } from '../crypto/index.ts';
import type { BlobStore, BlockStore, Clock, Durability, EntryStore, NodeStore } from '../epoch/ports.ts';
import type { Random } from '../learning/random.ts';
import { joined, MemoryBlobStore, MemoryBlockStore, MemoryEntryStore, MemoryNodeStore } from './stores.ts';

export interface DiskPorts {
  readonly entries: EntryStore;
  readonly blocks: BlockStore;
  readonly blobs: BlobStore;
  readonly own: BlobStore;
  readonly store: NodeStore;
}

/** A write to a store whose writes reach the disk in their order. */
interface Ordered {
  readonly log: (() => unknown)[];
  readonly when: Durability;
  readonly takeBack: () => unknown;
}

export interface DiskOptions {
  /** Ms of virtual time that a blob takes to become durable, at most: uniform from 0. The other stores are synchronous. */
  readonly writeMs: number;
  readonly random: Random;
  readonly clock: Clock;
  /** The power went in the middle of a write. */
  readonly onCut: () => void;
}

/** One machine's disk. It outlives processes; `wipe` is a new disk. */
export class Disk implements DiskPorts {
  entries = new MemoryEntryStore();
  blocks = new MemoryBlockStore();
  blobs = new MemoryBlobStore();
  own = new MemoryBlobStore();
  store = new MemoryNodeStore();
  /** That of a founder before its first block. */
  founding: boolean;

  constructor(founding = false) {
    this.founding = founding;
  }

  wipe(): void {
    this.entries = new MemoryEntryStore();
    this.blocks = new MemoryBlockStore();
    this.blobs = new MemoryBlobStore();
    this.own = new MemoryBlobStore();
    this.store = new MemoryNodeStore();
    this.founding = false;
  }
}

/**
 * The disk as one process sees it. What a call of the ports promised when it returned stays. A power cut comes in the
 * middle of a write: that write is there as a whole or not at all (one transaction, one renamed file), some of the newest
 * writes that were durable 'soon' are taken back, its caller never hears of it, and nothing that the dead process still
 * tries has any effect.
 */
export class MountedDisk implements DiskPorts {
  readonly entries: EntryStore;
  readonly blocks: BlockStore;
  readonly blobs: BlobStore;
  readonly own: BlobStore;
  readonly store: NodeStore;
  readonly #options: DiskOptions;
  #mounted = true;
  /** What takes back each write that is durable 'soon', the newest last. */
  readonly #unsyncedEntries: (() => unknown)[] = [];
  readonly #unsyncedFacts: (() => unknown)[] = [];
  /** Writes until the power goes. */
  #cutAfter = Number.POSITIVE_INFINITY;

  constructor(disk: Disk, options: DiskOptions) {
    this.#options = options;
    const { entries, blocks, store } = disk;
    const write = <T>(run: () => T): T => this.#write(run);
    this.entries = {
      append: (added, when = 'now') => {
        const news = added.filter(({ id }) => !entries.has(id));
        const takeBack = (): unknown => entries.drop(news.map(({ id }) => id));
        return this.#write(() => entries.append(added), { log: this.#unsyncedEntries, when, takeBack });
      },
      flush: () => write(() => void this.#unsyncedEntries.splice(0)),
      get: (id) => entries.get(id),
      has: (id) => entries.has(id),
      all: () => entries.all(),
      size: () => entries.size(),
      drop: (ids) => this.#write(() => entries.drop(ids), { log: this.#unsyncedEntries, when: 'now', takeBack: () => undefined }),
    };
    this.blocks = {
      append: (record) => write(() => blocks.append(record)),
      get: (epoch) => blocks.get(epoch),
      head: () => blocks.head(),
      truncate: (epoch) => write(() => blocks.truncate(epoch)),
      base: () => blocks.base(),
      archive: (segments, base) => write(() => blocks.archive(segments, base)),
      segment: (epoch) => blocks.segment(epoch),
      segments: () => blocks.segments(),
    };
    this.blobs = this.#files(disk.blobs);
    this.own = this.#files(disk.own);
    this.store = {
      get: (key) => store.get(key),
      set: (key, value, when = 'now') =>
        this.#write(() => store.set(key, value), { log: this.#unsyncedFacts, when, takeBack: restore(store, key) }),
      delete: (key, when = 'now') =>
        this.#write(() => store.delete(key), { log: this.#unsyncedFacts, when, takeBack: restore(store, key) }),
      keys: (prefix) => store.keys(prefix),
    };
  }

  /** The power goes in the middle of the `writes`-th write from now, 1 for the next. */
  cutAt(writes: number): void {
    this.#cutAfter = writes;
  }

  /** The process is dead. */
  unmount(): void {
    this.#mounted = false;
  }

  #write<T>(run: () => T, order?: Ordered): T {
    this.#requireMounted();
    const { random } = this.#options;
    const written = (): T => {
      const result = run();
      if (order?.when === 'now') order.log.length = 0;
      else order?.log.push(order.takeBack);
      return result;
    };
    if (--this.#cutAfter > 0) return written();
    if (random.uniform() < 0.5) written();
    for (const log of [this.#unsyncedEntries, this.#unsyncedFacts])
      for (let lost = Math.floor(random.uniform() * (log.length + 1)); lost > 0; lost--) log.pop()?.();
    this.unmount();
    this.#options.onCut();
    throw new PowerCut();
  }

  #files(blobs: MemoryBlobStore): BlobStore {
    return {
      put: (content) => this.#put(blobs, Uint8Array.from(content)),
      putParts: async (parts) => {
        const content = await joined(parts);
        await this.#put(blobs, content);
        return contentOf(content);
      },
      get: (root) => blobs.get(root),
      index: (root) => blobs.index(root),
      readChunk: (root, i) => blobs.readChunk(root, i),
      has: (root) => blobs.has(root),
      delete: async (root) => this.#write(() => blobs.delete(root)),
      roots: () => blobs.roots(),
    };
  }

  async #put(blobs: MemoryBlobStore, content: Uint8Array): Promise<string> {
    const { writeMs, random, clock } = this.#options;
    if (writeMs > 0) await new Promise<void>((resolve) => clock.after(random.uniform() * writeMs, resolve));
    return this.#write(() => blobs.put(content));
  }

  #requireMounted(): void {
    if (!this.#mounted) throw new PowerCut();
  }
}

/** Puts back what this key holds now. */
function restore(store: NodeStore, key: string): () => void {
  const before = store.get(key);
  return () => (before === undefined ? store.delete(key) : store.set(key, before));
}

/** What a process would see if it were still there to see it. */
export class PowerCut extends Error {
  constructor() {
    super('the power went');
    this.name = 'PowerCut';
  }
}
