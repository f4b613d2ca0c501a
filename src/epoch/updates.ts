/** Contributions whose values this node has or wants: keys, sealed bytes and the integers they open to. */
import { bytesOf, decodePayload, payloadMaxBytes, type TensorSpan } from '../aggregation/index.ts';
import type { IntRow } from '../compute/api.ts';
import { fromHex, openSegments, sealedSize } from '../crypto/index.ts';
import type { EntryOf } from '../ledger/index.ts';
import { type ContentRoot, type EntryId, type Genesis, MIB, QMAX, StarlingError } from '../spec/index.ts';
import { decodeUpdate, type UpdateKey, type UpdatePlaintext, updateHash, updateMaxBytes } from '../wire/index.ts';
import { integerNorm } from './prepare.ts';

/** Epochs behind the current one whose sealed updates are kept for members that missed them. */
const EPOCHS_KEPT = 2;
/**
 * Bytes. Sealed updates that have been opened and are kept for others alone: one of a hundred million parameters, or those of a swarm
 * of ten members with ten million for one epoch. Beyond it those of other epochs go first, then whichever was asked for longest ago.
 */
const SEALED_MAX_BYTES = 256 * MIB;

/**
 * Bytes. What epochs that are over leave behind, values and sealed bytes together: those of eight members with two million parameters.
 * Whoever missed more of a larger model pulls the sum.
 */
const PAST_MAX_BYTES = 64 * MIB;

interface Sealed {
  readonly root: ContentRoot;
  readonly bytes: Uint8Array;
  readonly isOwn: boolean;
  /** Rises with every use of any. */
  used: number;
}

interface Held {
  readonly entry: EntryOf<'contribution'>;
  key?: UpdateKey;
  sealed?: Sealed;
  row?: IntRow;
  refused?: StarlingError;
}

export class Updates {
  readonly #genesis: Genesis;
  readonly #spans: readonly TensorSpan[];
  readonly #held = new Map<EntryId, Held>();
  readonly #byRoot = new Map<ContentRoot, EntryId>();
  /** Keys that came before the entry they open; one a contribution, dropped when the epoch after theirs begins. */
  #early = new Map<EntryId, UpdateKey>();
  #earlier: ReadonlyMap<EntryId, UpdateKey> = new Map();

  /** Roots that the manifests of this epoch's contributions name, each by the first. */
  readonly #announced = new Map<EntryId, ContentRoot>();
  readonly #sealedMaxBytes: number;
  readonly #pastMaxBytes: number;
  #epoch = 0;
  #uses = 0;

  constructor(genesis: Genesis, spans: readonly TensorSpan[], sealedMaxBytes = SEALED_MAX_BYTES, pastMaxBytes = PAST_MAX_BYTES) {
    this.#genesis = genesis;
    this.#spans = spans;
    this.#sealedMaxBytes = sealedMaxBytes;
    this.#pastMaxBytes = pastMaxBytes;
  }

  /** A contribution on the ledger whose values are wanted. Idempotent. */
  expect(entry: EntryOf<'contribution'>): void {
    if (this.#held.has(entry.id)) return;
    const key = this.#early.get(entry.id) ?? this.#earlier.get(entry.id);
    this.#held.set(entry.id, key === undefined ? { entry } : { entry, key });
    this.#early.delete(entry.id);
  }

  wanted(id: EntryId): boolean {
    const held = this.#held.get(id);
    return held !== undefined && held.row === undefined && held.refused === undefined;
  }

  /** Why an update was refused, if it was. */
  refusal(id: EntryId): StarlingError | undefined {
    return this.#held.get(id)?.refused;
  }

  row(id: EntryId): IntRow | undefined {
    return this.#held.get(id)?.row;
  }

  key(id: EntryId): UpdateKey | undefined {
    return this.#held.get(id)?.key;
  }

  /** The sealed bytes behind a content root, for serving them. */
  sealed(root: ContentRoot): Uint8Array | undefined {
    const id = this.#byRoot.get(root);
    const sealed = id === undefined ? undefined : this.#held.get(id)?.sealed;
    if (sealed !== undefined) sealed.used = ++this.#uses;
    return sealed?.bytes;
  }

  /** A key handed over by its author or a holder. Bounded by what is expected, plus a few early ones. */
  offerKey(key: UpdateKey): void {
    const held = this.#held.get(key.id);
    if (held !== undefined) held.key ??= key;
    else if (this.#early.size < MAX_EARLY) this.#early.set(key.id, key);
  }

  /**
   * Whether this root may be announced further: the first that a manifest names for a contribution, or the one that its key
   * vouches for. Manifests are unsigned: anybody can make more of them from one entry.
   */
  announce(id: EntryId, root: ContentRoot): boolean {
    if (!this.#announced.has(id)) this.#announced.set(id, root);
    return this.#announced.get(id) === root || this.key(id)?.cipherRoot === root;
  }

  /** A key that turned out not to open the update: the next holder may have the right one. */
  forgetKey(id: EntryId): void {
    const held = this.#held.get(id);
    if (held !== undefined && held.row === undefined) delete held.key;
  }

  /** Sealed bytes that hash to `root`. A manifest names its root unsigned, the key's holder vouches for another: the key's counts. */
  offerSealed(id: EntryId, root: ContentRoot, bytes: Uint8Array): void {
    const held = this.#held.get(id);
    if (held === undefined || held.row !== undefined || (held.key !== undefined && held.key.cipherRoot !== root)) return;
    this.#dropSealed(held);
    held.sealed = { root, bytes, isOwn: false, used: ++this.#uses };
    this.#byRoot.set(root, id);
  }

  /** This node's own update, which needs no opening. */
  own(entry: EntryOf<'contribution'>, key: UpdateKey, sealed: Uint8Array, row: IntRow): void {
    const before = this.#held.get(entry.id);
    if (before !== undefined) this.#dropSealed(before);
    const kept = { root: key.cipherRoot, bytes: sealed, isOwn: true, used: ++this.#uses };
    this.#held.set(entry.id, { entry, key, sealed: kept, row });
    this.#byRoot.set(key.cipherRoot, entry.id);
    this.#keepWithin();
  }

  /** Bytes a sealed update of this swarm can have at most: what a manifest may claim. */
  maxSealedBytes(): number {
    return sealedSize(updateMaxBytes(payloadMaxBytes(this.#spans, this.#genesis)));
  }

  /**
   * Opens an update once key and bytes are here, and checks it: root, type, size, norm. Returns true when its
   * integers are held. A wrong key is its giver's fault and forgotten; integers that match their root and break a bound are the author's, and the contribution is refused for good.
   */
  open(id: EntryId, exponents: readonly number[]): boolean {
    const held = this.#held.get(id);
    if (held === undefined || held.refused !== undefined) return false;
    if (held.row !== undefined) return true;
    if (held.key === undefined || held.sealed === undefined) return false;
    if (held.sealed.root !== held.key.cipherRoot) {
      this.#dropSealed(held);
      return false;
    }
    const { body } = held.entry.core;
    const maxBytes = payloadMaxBytes(this.#spans, this.#genesis);
    let row: IntRow;
    try {
      const plaintext = openSegments(held.key.key, fromHex(id), held.sealed.bytes, updateMaxBytes(maxBytes));
      const update = decodeUpdate(plaintext, maxBytes);
      this.#requireForm(update);
      row = decodePayload(update.payload, this.#spans, this.#genesis);
      if (updateHash(update.salt, bytesOf(row)) !== body.updateHash)
        throw new StarlingError('HASH_MISMATCH', 'the update is not the one its ledger entry names', {
          field: 'updateHash',
          phase: 'verify',
        });
    } catch (error) {
      // The bytes may be the right ones, under another key: they are not pulled again for it.
      delete held.key;
      throw error;
    }
    const problem = this.#brokenBound(row, exponents);
    if (problem !== undefined) {
      held.refused = new StarlingError('BOUNDS_EXCEEDED', problem, { field: 'update', phase: 'verify', peer: held.entry.core.author });
      throw held.refused;
    }
    held.row = row;
    this.#keepWithin();
    return true;
  }

  /** Forgets what epochs before the kept ones left behind, and of those what is too large to be kept on the chance. */
  prune(currentEpoch: number): void {
    this.#epoch = currentEpoch;
    let pastBytes = 0;
    for (const [id, held] of this.#held) {
      const { epoch } = held.entry.core.body;
      if (epoch < currentEpoch) pastBytes += (held.row?.byteLength ?? 0) + (held.sealed?.bytes.byteLength ?? 0);
      if (epoch > currentEpoch - EPOCHS_KEPT && (epoch >= currentEpoch || pastBytes <= this.#pastMaxBytes)) continue;
      this.#held.delete(id);
      this.#dropSealed(held);
    }
    this.#announced.clear();
    this.#earlier = this.#early;
    this.#early = new Map();
  }

  /** What has been opened is kept for others within a budget; others may have it too, but for the own one. */
  #keepWithin(): void {
    const opened = [...this.#held.values()].flatMap((held) =>
      held.row === undefined || held.sealed === undefined ? [] : [{ held, sealed: held.sealed }],
    );
    let bytes = opened.reduce((sum, { sealed }) => sum + sealed.bytes.byteLength, 0);
    const place = ({ held, sealed }: (typeof opened)[number]): number =>
      held.entry.core.body.epoch < this.#epoch ? 0 : sealed.isOwn ? 2 : 1;
    for (const one of opened.sort((a, b) => place(a) - place(b) || a.sealed.used - b.sealed.used)) {
      if (bytes <= this.#sealedMaxBytes || place(one) === 2) return;
      bytes -= one.sealed.bytes.byteLength;
      this.#dropSealed(one.held);
    }
  }

  #dropSealed(held: Held): void {
    if (held.sealed !== undefined) this.#byRoot.delete(held.sealed.root);
    delete held.sealed;
  }

  /** What no honest node would have committed to: an integer past saturation (it could overflow a sum), or too long a row. */
  #brokenBound(row: IntRow, exponents: readonly number[]): string | undefined {
    const { updateDtype, clipNorm } = this.#genesis;
    if (row.includes(-QMAX[updateDtype] - 1))
      return `the update holds ${-QMAX[updateDtype] - 1}, the least integer is ${-QMAX[updateDtype]}`;
    const norm = integerNorm(row, { spans: this.#spans, exponents });
    return norm > clipNorm ? `the update has norm ${norm}, the swarm's bound is ${clipNorm}` : undefined;
  }

  #requireForm({ encoding, dtype }: Pick<UpdatePlaintext, 'encoding' | 'dtype'>): void {
    const genesis = this.#genesis;
    if (encoding === genesis.encoding && dtype === genesis.updateDtype) return;
    throw new StarlingError(
      'INCOMPATIBLE',
      `the update is ${encoding} ${dtype}, the swarm's are ${genesis.encoding} ${genesis.updateDtype}`,
      {
        field: encoding === genesis.encoding ? 'dtype' : 'encoding',
        phase: 'verify',
      },
    );
  }
}

/** Keys kept for entries not seen yet: gossip and streams race, so some come early. */
const MAX_EARLY = 1_024;
