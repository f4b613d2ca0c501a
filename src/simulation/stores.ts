/** Memory in the place of disk. A crash in the simulated world drops the node and keeps its stores. */
import { type ContentIndex, chunkAt, contentOf } from '../crypto/index.ts';
import type { BlobStore, BlockStore, EntryStore, NodeStore } from '../epoch/ports.ts';
import {
  type ArchiveBase,
  type ArchiveSegment,
  type BlockHeader,
  type ContentRoot,
  type EntryId,
  type SignedEntry,
  StarlingError,
} from '../spec/index.ts';
import { type ArchiveEnd, requireConsecutive } from '../storage/archiveOrder.ts';
import { type BlockRecord, decodeBase, decodeSegment, encodeBase, encodeSegment } from '../wire/index.ts';

export class MemoryEntryStore implements EntryStore {
  readonly #entries = new Map<EntryId, SignedEntry>();

  append(entries: readonly SignedEntry[]): number {
    const before = this.#entries.size;
    for (const entry of entries) if (!this.#entries.has(entry.id)) this.#entries.set(entry.id, entry);
    return this.#entries.size - before;
  }
  get(id: EntryId): SignedEntry | undefined {
    return this.#entries.get(id);
  }
  has(id: EntryId): boolean {
    return this.#entries.has(id);
  }
  all(): IterableIterator<SignedEntry> {
    return this.#entries.values();
  }
  size(): number {
    return this.#entries.size;
  }
  flush(): void {}
  drop(ids: Iterable<EntryId>): number {
    let dropped = 0;
    for (const id of ids) if (this.#entries.delete(id)) dropped++;
    return dropped;
  }
}

/** What comes back of the archive has been through its encoding, as on a disk. */
export class MemoryBlockStore implements BlockStore {
  /** Of the epochs after the base. */
  #records: BlockRecord[] = [];
  readonly #segments: { readonly end: ArchiveEnd; readonly bytes: Uint8Array }[] = [];
  #base: { readonly epoch: number; readonly bytes: Uint8Array } | undefined;

  append(record: BlockRecord): void {
    const { epoch } = record.block.header;
    if (epoch !== this.head() + 1)
      throw new StarlingError('EPOCH_REGRESSION', `block ${epoch} does not follow block ${this.head()}`, {
        field: 'epoch',
        phase: 'store',
      });
    this.#records.push(record);
  }
  get(epoch: number): BlockRecord | undefined {
    return this.#records[epoch - this.#start - 1];
  }
  head(): number {
    return this.#start + this.#records.length;
  }
  truncate(epoch: number): void {
    if (epoch < this.#start)
      throw new StarlingError('EPOCH_REGRESSION', `epoch ${epoch} is before the base, ${this.#start}`, { field: 'epoch', phase: 'store' });
    this.#records = this.#records.slice(0, epoch - this.#start);
  }
  base(): ArchiveBase | undefined {
    return this.#base === undefined ? undefined : decodeBase(this.#base.bytes);
  }
  archive(segments: readonly ArchiveSegment[], base: ArchiveBase): void {
    requireConsecutive(this.#segments.at(-1)?.end ?? { epoch: 0, treeSize: 0 }, segments, base);
    const added = segments.map((segment) => ({ end: segment.headers.at(-1) as BlockHeader, bytes: encodeSegment(segment) }));
    const bytes = encodeBase(base);
    this.#segments.push(...added);
    this.#records = this.#records.slice(base.epoch - this.#start);
    this.#base = { epoch: base.epoch, bytes };
  }
  segment(epoch: number): Uint8Array | undefined {
    return epoch < 1 ? undefined : this.#segments.find(({ end }) => epoch <= end.epoch)?.bytes;
  }
  *segments(): Generator<ArchiveSegment> {
    for (const { bytes } of this.#segments) yield decodeSegment(bytes);
  }
  /** Epoch of the base. */
  get #start(): number {
    return this.#base?.epoch ?? 0;
  }
}

export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<ContentRoot, Uint8Array>();

  async put(content: Uint8Array): Promise<ContentRoot> {
    const { root } = contentOf(content);
    // Not slice: that of a Buffer is a view of the caller's bytes.
    this.#blobs.set(root, Uint8Array.from(content));
    return root;
  }
  async putParts(parts: AsyncIterable<Uint8Array>): Promise<ContentIndex> {
    const content = await joined(parts);
    await this.put(content);
    return contentOf(content);
  }
  async get(root: ContentRoot): Promise<Uint8Array | undefined> {
    return this.#blobs.get(root);
  }
  async index(root: ContentRoot): Promise<ContentIndex | undefined> {
    const content = this.#blobs.get(root);
    return content === undefined ? undefined : contentOf(content);
  }
  async readChunk(root: ContentRoot, i: number): Promise<Uint8Array | undefined> {
    const chunk = chunkAt(this.#blobs.get(root) ?? new Uint8Array(), i);
    return chunk.byteLength === 0 ? undefined : Uint8Array.from(chunk);
  }
  async has(root: ContentRoot): Promise<boolean> {
    return this.#blobs.has(root);
  }
  async delete(root: ContentRoot): Promise<void> {
    this.#blobs.delete(root);
  }
  async roots(): Promise<ContentRoot[]> {
    return [...this.#blobs.keys()];
  }
}

export async function joined(parts: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  // Each may lie where the next one will.
  for await (const part of parts) all.push(Uint8Array.from(part));
  return new Uint8Array(Buffer.concat(all));
}

export class MemoryNodeStore implements NodeStore {
  readonly #values = new Map<string, Uint8Array>();

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key);
  }
  set(key: string, value: Uint8Array): void {
    this.#values.set(key, Uint8Array.from(value));
  }
  delete(key: string): void {
    this.#values.delete(key);
  }
  keys(prefix: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix)).sort();
  }
}
