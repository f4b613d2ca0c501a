/** Models by epoch: the newest at hand, snapshots on disk, everything between from the sums. */
import { float32Of } from '../aggregation/index.ts';
import { contentOf } from '../crypto/content.ts';
import { type ContentRoot, type Genesis, StarlingError } from '../spec/index.ts';
import type { BlobStore } from './ports.ts';
import type { Model } from './storedModel.ts';

/**
 * Models kept in memory: what a newcomer or a fork asks for is almost always among them. The newest and the pinned one stay whatever
 * their size, others as long as all together are within this many bytes: the older ones of large models come from snapshots and sums.
 */
const MODELS_KEPT = 4;
const KEPT_MAX_BYTES = 256 * 2 ** 20;
/** Models on disk: whoever reads one has the time of another epoch for it. */
const STORED_KEPT = 2;

/** How the models of a chain follow from each other. */
interface Line {
  rootOf(epoch: number): ContentRoot | undefined;
  /** Whether that is the model of this epoch still. */
  isOf(epoch: number, root: ContentRoot): boolean;
  /** The epoch whose model `epoch` came from, and whether a sum lies between; undefined where what led there is archived. */
  from(epoch: number): { readonly epoch: number; readonly bySum: boolean } | undefined;
  /** The model of `epoch` from the one before; undefined where the sum is not at hand. */
  next(theta: Model, epoch: number): Promise<Model | undefined>;
}

/** A model that a sum led to. */
export interface MadeModel {
  readonly model: Model;
  readonly modelRoot: ContentRoot;
}

export class Models {
  readonly #blobs: BlobStore;
  readonly #scratch: BlobStore | undefined;
  #pinned = 0;
  readonly #kept = new Map<number, { readonly root: ContentRoot; readonly model: Model }>();
  /** Made in `scratch`, and of no epoch yet. */
  readonly #drafts = new Set<ContentRoot>();

  /**
   * `initial`: the model of the genesis, which is content in `blobs` as well; undefined where it is too large for memory. `scratch`: where
   * there is one, models are made and kept there and not in memory.
   */
  constructor(blobs: BlobStore, initialRoot: ContentRoot, initial: Float32Array | undefined, scratch?: BlobStore) {
    this.#blobs = blobs;
    this.#scratch = scratch;
    if (initial !== undefined && scratch === undefined) this.#kept.set(0, { root: initialRoot, model: initial });
  }

  /** Models are on disk, and in memory a part at a time. */
  get areLarge(): boolean {
    return this.#scratch !== undefined;
  }

  /** Makes a large model of its parts, in order. */
  async make(parts: AsyncIterable<Uint8Array>): Promise<MadeModel> {
    const store = this.#scratch as BlobStore;
    const index = await store.putParts(parts);
    if (!this.#isKept(index.root)) this.#drafts.add(index.root);
    return { model: { index, store }, modelRoot: index.root };
  }

  keep(epoch: number, root: ContentRoot, model: Model): void {
    const before = this.#kept.get(epoch);
    this.#kept.delete(epoch);
    this.#kept.set(epoch, { root, model });
    this.#drafts.delete(root);
    if (before !== undefined) this.#letGo(before.root);
    this.#fit(epoch);
  }

  /** What was made and not taken is not wanted any more. */
  dropDrafts(): void {
    const drafts = [...this.#drafts];
    this.#drafts.clear();
    for (const root of drafts) this.#letGo(root);
  }

  /** The newest final model stays at hand, however many provisional ones follow it: it is what newcomers pull. */
  pin(epoch: number): void {
    this.#pinned = epoch;
    if (this.#kept.has(epoch)) this.#fit(epoch);
  }

  /** The first model stays where it is small: everything can be made from it. */
  #fit(newest: number): void {
    const sizeBytes = sizeOf((this.#kept.get(newest) as { readonly model: Model }).model);
    const most = this.areLarge ? STORED_KEPT : Math.min(MODELS_KEPT, Math.floor(KEPT_MAX_BYTES / sizeBytes));
    const first = most === MODELS_KEPT ? [0] : [];
    for (const [epoch, { root }] of this.#kept) {
      if (this.#kept.size <= most + first.length || [newest, this.#pinned, ...first].includes(epoch)) continue;
      this.#kept.delete(epoch);
      this.#letGo(root);
    }
  }

  #isKept(root: ContentRoot): boolean {
    return [...this.#kept.values()].some((kept) => kept.root === root);
  }

  /** A file that cannot be removed now goes at the next start. */
  #letGo(root: ContentRoot): void {
    if (!this.#isKept(root)) void this.#scratch?.delete(root).catch(() => undefined);
  }

  forgetAfter(epoch: number): void {
    for (const [kept, { root }] of this.#kept) {
      if (kept <= epoch) continue;
      this.#kept.delete(kept);
      this.#letGo(root);
    }
  }

  /** A model at hand by its root: what is served to whoever pulls it. */
  byRoot(root: ContentRoot): Model | undefined {
    for (const kept of this.#kept.values()) if (kept.root === root) return kept.model;
    return undefined;
  }

  /**
   * Back to the nearest epoch whose model is at hand, then forward sum by sum. Throws NOT_FOUND beyond the chain,
   * AGGREGATE_MISSING where a sum is not held.
   */
  async at(epoch: number, line: Line): Promise<Model> {
    const wanted = line.rootOf(epoch);
    if (wanted === undefined) throw new StarlingError('NOT_FOUND', `epoch ${epoch} is not applied here`, { field: 'epoch' });
    const ahead: number[] = [];
    let model: Model | undefined;
    for (let n = epoch; model === undefined; ) {
      model = await this.#held(line.rootOf(n) as ContentRoot);
      if (model !== undefined) break;
      const from = line.from(n);
      if (from === undefined) throw missing(epoch, `what led to epoch ${n}`);
      if (from.bySum) ahead.push(n);
      n = from.epoch;
    }
    const isOnDisk = ahead.length === 0;
    for (let n = ahead.pop(); n !== undefined; n = ahead.pop()) {
      const before: Model = model;
      model = await line.next(before, n);
      if (!(before instanceof Float32Array) && this.#drafts.delete(before.index.root)) this.#letGo(before.index.root);
      if (model === undefined) throw missing(epoch, `the sum of epoch ${n}`);
    }
    // A large one that lies on disk for good is read there.
    const isNew = this.areLarge ? !isOnDisk : !this.#kept.has(epoch);
    if (isNew && line.isOf(epoch, wanted)) this.keep(epoch, wanted, model);
    return model;
  }

  async #held(root: ContentRoot): Promise<Model | undefined> {
    const kept = this.byRoot(root);
    if (this.#scratch === undefined) {
      const bytes = kept === undefined ? await this.#blobs.get(root) : undefined;
      return bytes === undefined ? kept : float32Of(bytes);
    }
    // What was made, let go and taken after all is gone.
    if (kept !== undefined && (await this.#scratch.has(root))) return kept;
    const index = await this.#blobs.index(root);
    return index === undefined ? undefined : { index, store: this.#blobs };
  }
}

const sizeOf = (model: Model): number => (model instanceof Float32Array ? model.byteLength : model.index.sizeBytes);

const missing = (epoch: number, what: string): StarlingError =>
  new StarlingError('AGGREGATE_MISSING', `the model of epoch ${epoch} needs ${what}, which is not held`, {
    phase: 'apply',
    fix: 'wait until a peer that holds the model is connected',
  });

/** The model of a genesis from its bytes. Throws HASH_MISMATCH unless they are what the genesis names. */
export function initialModelOf(genesis: Genesis, bytes: Uint8Array): Float32Array {
  const { root } = contentOf(bytes);
  if (root !== genesis.initialModelRoot)
    throw new StarlingError('HASH_MISMATCH', `the initial model has root ${root}, the genesis names ${genesis.initialModelRoot}`, {
      field: 'initialModelRoot',
      fix: 'fetch the model again from another peer',
    });
  return float32Of(bytes);
}

/** The model of a genesis from this node's disk; undefined where it `isLarge`, and was only looked at. Throws HASH_MISMATCH, DATA_CORRUPT. */
export async function openInitialModel(
  genesis: Genesis,
  blobs: Pick<BlobStore, 'get' | 'index'>,
  isLarge: boolean,
): Promise<Float32Array | undefined> {
  if (isLarge && (await blobs.index(genesis.initialModelRoot)) !== undefined) return undefined;
  return initialModelOf(genesis, (await blobs.get(genesis.initialModelRoot)) ?? new Uint8Array());
}
