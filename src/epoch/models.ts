/** Models by epoch: the newest in memory, snapshots on disk, everything between from the sums. */
import { float32Of } from '../aggregation/index.ts';
import { contentOf } from '../crypto/content.ts';
import { type ContentRoot, type Genesis, StarlingError } from '../spec/index.ts';
import type { BlobStore } from './ports.ts';

/**
 * Models kept in memory: what a newcomer or a fork asks for is almost always among them. The newest and the pinned one stay whatever
 * their size, others as long as all together are within this many bytes: the older ones of large models come from snapshots and sums.
 */
const MODELS_KEPT = 4;
const KEPT_MAX_BYTES = 256 * 2 ** 20;

/** How the models of a chain follow from each other. */
interface Line {
  rootOf(epoch: number): ContentRoot | undefined;
  /** The epoch whose model `epoch` came from, and whether a sum lies between; undefined where what led there is archived. */
  from(epoch: number): { readonly epoch: number; readonly bySum: boolean } | undefined;
  /** The model of `epoch` from the one before; undefined where the sum is not at hand. */
  next(theta: Float32Array, epoch: number): Promise<Float32Array | undefined>;
}

export class Models {
  readonly #blobs: BlobStore;
  #pinned = 0;
  readonly #kept = new Map<number, { readonly root: ContentRoot; readonly values: Float32Array }>();

  /** `initial`: the model of the genesis. A large one is kept as any other is; it is content in `blobs` as well. */
  constructor(blobs: BlobStore, initialRoot: ContentRoot, initial: Float32Array) {
    this.#blobs = blobs;
    this.#kept.set(0, { root: initialRoot, values: initial });
  }

  keep(epoch: number, root: ContentRoot, values: Float32Array): void {
    this.#kept.delete(epoch);
    this.#kept.set(epoch, { root, values });
    this.#fit(epoch, values.byteLength);
  }

  /** The newest final model stays in memory, however many provisional ones follow it: it is what newcomers pull. */
  pin(epoch: number): void {
    this.#pinned = epoch;
    const pinned = this.#kept.get(epoch);
    if (pinned !== undefined) this.#fit(epoch, pinned.values.byteLength);
  }

  /** The first model stays where it is small: everything can be made from it. */
  #fit(newest: number, sizeBytes: number): void {
    const most = Math.min(MODELS_KEPT, Math.floor(KEPT_MAX_BYTES / sizeBytes));
    const first = most === MODELS_KEPT ? [0] : [];
    for (const epoch of this.#kept.keys())
      if (this.#kept.size > most + first.length && ![newest, this.#pinned, ...first].includes(epoch)) this.#kept.delete(epoch);
  }

  forgetAfter(epoch: number): void {
    for (const kept of this.#kept.keys()) if (kept > epoch) this.#kept.delete(kept);
  }

  /** A model in memory by its root: what is served to whoever pulls it. */
  byRoot(root: ContentRoot): Float32Array | undefined {
    for (const kept of this.#kept.values()) if (kept.root === root) return kept.values;
    return undefined;
  }

  /**
   * Back to the nearest epoch whose model is at hand, then forward sum by sum. Throws NOT_FOUND beyond the chain,
   * AGGREGATE_MISSING where a sum is not held.
   */
  async at(epoch: number, line: Line): Promise<Float32Array> {
    const wanted = line.rootOf(epoch);
    if (wanted === undefined) throw new StarlingError('NOT_FOUND', `epoch ${epoch} is not applied here`, { field: 'epoch' });
    const ahead: number[] = [];
    let values: Float32Array | undefined;
    for (let n = epoch; values === undefined; ) {
      values = await this.#held(line.rootOf(n) as ContentRoot);
      if (values !== undefined) break;
      const from = line.from(n);
      if (from === undefined) throw missing(epoch, `what led to epoch ${n}`);
      if (from.bySum) ahead.push(n);
      n = from.epoch;
    }
    for (let n = ahead.pop(); n !== undefined; n = ahead.pop()) {
      values = await line.next(values, n);
      if (values === undefined) throw missing(epoch, `the sum of epoch ${n}`);
    }
    if (!this.#kept.has(epoch)) this.keep(epoch, wanted, values);
    return values;
  }

  async #held(root: ContentRoot): Promise<Float32Array | undefined> {
    const kept = this.byRoot(root);
    if (kept !== undefined) return kept;
    const bytes = await this.#blobs.get(root);
    return bytes === undefined ? undefined : float32Of(bytes);
  }
}

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
