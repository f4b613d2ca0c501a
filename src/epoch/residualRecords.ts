/** What a residual writes down of itself beside its content: which of it counts, and whose integers it holds. */
import type { IntRow } from '../compute/api.ts';
import { fromHex } from '../crypto/index.ts';
import type { ContentRoot, Hex, UpdateDtype } from '../spec/index.ts';
import { decode, encode, readBytes, readHash, readInt, readList, readNullable, readOneOf, readTuple } from '../wire/index.ts';
import type { Durability, NodeStore } from './ports.ts';

/** An own contribution's integers, and what is needed to publish them again after a restart. */
export interface OwnUpdate {
  readonly updateHash: Hex;
  readonly epoch: number;
  readonly dtype: UpdateDtype;
  readonly salt: Uint8Array;
  readonly integers: IntRow;
  readonly exponents: readonly number[];
  /** What the rho of its commitment comes from; null where it has none. */
  readonly secret: Uint8Array | null;
}

/** All but its integers. */
export type OwnRecord = Omit<OwnUpdate, 'updateHash' | 'integers'>;

/** An own update that is kept, and the content that its integers are. */
export interface Kept {
  readonly epoch: number;
  readonly root: ContentRoot;
}

/** Which values are the present ones. */
export interface Standing {
  /** Undefined for zeros. */
  readonly at: ContentRoot | undefined;
  /** Own updates whose integers have left the residual for the model. */
  readonly settled: Iterable<Hex>;
  readonly generation: number;
}

/** With this update the values `from` become those at `to`. */
export interface Pending {
  readonly updateHash: Hex;
  readonly from: ContentRoot | undefined;
  readonly to: ContentRoot;
}

/** Own updates that are kept at most. */
export const MAX_KEPT = 256;
/** Bytes. Two hashes for each update kept; a scale for each tensor. */
const RECORD_MAX_BYTES = 2 ** 20;

const STANDING = 'residual/at';
const PENDING = 'residual/pending';
const INDEX = 'own-updates';
const ownKey = (updateHash: Hex): string => `own-update/${updateHash}`;

export class ResidualRecords {
  readonly #store: NodeStore;

  constructor(store: NodeStore) {
    this.#store = store;
  }

  get standing(): Standing {
    const bytes = this.#store.get(STANDING);
    if (bytes === undefined) return { at: undefined, settled: [], generation: 0 };
    const [at, settled, generation] = readTuple(decode(bytes, STANDING, RECORD_MAX_BYTES), STANDING, 3);
    return {
      at: readRoot(at, 'residual.at'),
      settled: readList(settled, 'residual.settled', MAX_KEPT, readHash),
      generation: readInt(generation, 'residual.generation'),
    };
  }

  saveStanding({ at, settled, generation }: Standing, when: Durability): void {
    this.#store.set(STANDING, encode([bytesOfRoot(at), [...settled].map((updateHash) => fromHex(updateHash)), generation]), when);
  }

  get pending(): Pending | undefined {
    const bytes = this.#store.get(PENDING);
    if (bytes === undefined) return undefined;
    const [hash, from, to] = readTuple(decode(bytes, PENDING, RECORD_MAX_BYTES), PENDING, 3);
    return { updateHash: readHash(hash, 'pending.updateHash'), from: readRoot(from, 'pending.from'), to: readHash(to, 'pending.to') };
  }

  /** Durable when it returns, with all that was saved before. */
  savePending({ updateHash, from, to }: Pending): void {
    this.#store.set(PENDING, encode([fromHex(updateHash), bytesOfRoot(from), fromHex(to)]));
  }

  endPending(when: Durability): void {
    this.#store.delete(PENDING, when);
  }

  /** Every update that is kept. */
  get kept(): Map<Hex, Kept> {
    const bytes = this.#store.get(INDEX);
    if (bytes === undefined) return new Map();
    return new Map(
      readList(decode(bytes, INDEX, RECORD_MAX_BYTES), INDEX, MAX_KEPT, (item, field) => {
        const [hash, epoch, root] = readTuple(item, field, 3);
        const kept = { epoch: readInt(epoch, `${field}.epoch`), root: readHash(root, `${field}.root`) };
        return [readHash(hash, `${field}.updateHash`), kept] as const;
      }),
    );
  }

  saveKept(kept: ReadonlyMap<Hex, Kept>): void {
    this.#store.set(INDEX, encode([...kept].map(([hash, { epoch, root }]) => [fromHex(hash), epoch, fromHex(root)])), 'soon');
  }

  own(updateHash: Hex): OwnRecord | undefined {
    const bytes = this.#store.get(ownKey(updateHash));
    if (bytes === undefined) return undefined;
    const [epoch, dtypeName, salt, exponents, secret] = readTuple(decode(bytes, 'ownUpdate', RECORD_MAX_BYTES), 'ownUpdate', 5);
    return {
      epoch: readInt(epoch, 'ownUpdate.epoch'),
      dtype: readOneOf(dtypeName, 'ownUpdate.dtype', ['int16', 'int8']),
      salt: readBytes(salt, 'ownUpdate.salt', 0, 64),
      exponents: readList(exponents, 'ownUpdate.exponents', 10_000, (item, field) => readInt(item, field, -1_000, 1_000)),
      secret: readNullable(secret, 'ownUpdate.secret', (value, field) => readBytes(value, field, 32)),
    };
  }

  saveOwn(updateHash: Hex, { epoch, dtype, salt, exponents, secret }: OwnRecord): void {
    this.#store.set(ownKey(updateHash), encode([epoch, dtype, salt, [...exponents], secret]), 'soon');
  }

  deleteOwn(updateHash: Hex): void {
    this.#store.delete(ownKey(updateHash), 'soon');
  }
}

const bytesOfRoot = (root: ContentRoot | undefined): Uint8Array | null => (root === undefined ? null : fromHex(root));
const readRoot = (value: unknown, field: string): ContentRoot | undefined => readNullable(value, field, readHash) ?? undefined;
