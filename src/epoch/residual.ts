/**
 * What this node learned and the swarm's model does not hold yet (PROTOCOL section 4). A contribution's integers
 * leave it when a chosen decision rosters them and come back when the choice changes; all of it survives a crash.
 */
import { bytesOf, dtypeBytes, float32Of, integersOf, type TensorSpan } from '../aggregation/index.ts';
import type { IntRow } from '../compute/api.ts';
import { fromHex } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import { type Hex, StarlingError, type UpdateDtype } from '../spec/index.ts';
import { decode, encode, readBytes, readHash, readInt, readList, readNullable, readOneOf, readTuple } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import { deleteLarge, PIECE_BYTES, pieces, readLarge, readPiece, writeLarge, writePiece } from './largeValues.ts';
import type { NodeStore } from './ports.ts';

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

interface Move {
  readonly updateHash: Hex;
  readonly inModel: boolean;
}

/** Epochs for which own updates are kept: a fork that reaches further back than this returns nothing to the residual. */
const EPOCHS_KEPT = 64;
const MAX_KEPT = 4 * EPOCHS_KEPT;
/** Bytes. A name and a hash for each update kept; a scale for each tensor. */
const RECORD_MAX_BYTES = 2 ** 20;

const RESIDUAL = 'residual/at';
const PENDING = 'residual/pending';
const INDEX = 'own-updates';
const ownKey = (updateHash: Hex): string => `own-update/${updateHash}`;
/** Values as they were left the n-th time. */
const valuesKey = (n: number): string => `residual/values/${n}`;

/** The residual of this node's data folder. A contribution on its own chain settles what a crash left open. */
export function residualOf(ctx: EpochContext): Residual {
  const { graph, tip } = ctx.replica;
  const committed = (updateHash: Hex): boolean =>
    graph.chain(tip?.id ?? '').some((id) => {
      const entry = graph.get(id);
      return entry !== undefined && isKind(entry, 'contribution') && entry.core.body.updateHash === updateHash;
    });
  return new Residual(ctx.ports.store, ctx.spans, committed);
}

export class Residual {
  readonly #store: NodeStore;
  readonly #spans: readonly TensorSpan[];
  readonly #sizeBytes: number;
  /** Which values are the present ones: 0 for none, which are zeros. */
  #at: number;
  /** Own updates whose integers have left the residual for the model. */
  readonly #settled: Set<Hex>;
  /** Epoch of every own update kept. */
  readonly #epochs: Map<Hex, number>;

  /** `onLedger` tells whether a contribution with this update hash was committed: it settles what a crash left open. */
  constructor(store: NodeStore, spans: readonly TensorSpan[], onLedger: (updateHash: Hex) => boolean) {
    this.#store = store;
    this.#spans = spans;
    this.#sizeBytes = 4 * (spans.at(-1)?.end ?? 0);
    const saved = store.get(RESIDUAL);
    const [at, settled] = saved === undefined ? [0, []] : decodeResidual(saved);
    this.#at = at;
    this.#epochs = decodeIndex(store.get(INDEX));
    this.#settled = new Set(settled.filter((updateHash) => this.#epochs.has(updateHash)));
    const pending = store.get(PENDING);
    if (pending !== undefined) {
      const [updateHash, next] = decodePending(pending);
      if (onLedger(updateHash)) this.#goTo(next);
      else store.delete(PENDING);
    }
    // What a crash left half written, or not yet removed.
    const present = valuesKey(this.#at);
    for (const key of store.keys('residual/values/')) if (!key.startsWith(`${present}/`)) store.delete(key, 'soon');
  }

  /** Changes whenever the values do. */
  get version(): number {
    return this.#at;
  }

  /** A copy of all of it: f32, P elements. */
  get values(): Float32Array {
    const bytes = this.#at === 0 ? new Uint8Array(this.#sizeBytes) : readLarge(this.#store, valuesKey(this.#at), this.#sizeBytes);
    if (bytes === undefined) throw lost();
    return float32Of(bytes);
  }

  /** In pieces of less than a megabyte, in order; none where nothing is owed. The elements from `start` on. */
  *parts(): Generator<{ readonly start: number; readonly values: Float32Array }> {
    if (this.#at === 0) return;
    for (const [start] of pieces(this.#sizeBytes)) yield { start: start / 4, values: this.#part(start) };
  }

  /** Before the contribution is signed: its integers, and the residual it will leave behind, are on disk. */
  keep(update: OwnUpdate, prepared: Float32Array): void {
    if (this.#epochs.size >= MAX_KEPT) this.#forget([...this.#epochs.keys()].slice(0, 1));
    this.#epochs.set(update.updateHash, update.epoch);
    // The index first: what it does not list is never deleted. The last of these makes all of them durable.
    this.#saveIndex();
    writeLarge(this.#store, ownKey(update.updateHash), bytesOf(update.integers));
    this.#store.set(
      ownKey(update.updateHash),
      encode([update.epoch, update.dtype, update.salt, update.integers.length, [...update.exponents], update.secret]),
      'soon',
    );
    deleteLarge(this.#store, valuesKey(this.#at + 1));
    writeLarge(this.#store, valuesKey(this.#at + 1), bytesOf(prepared));
    this.#store.set(PENDING, encode([fromHex(update.updateHash), this.#at + 1]));
  }

  /** After it: all that was prepared, and kept with the newest update, is owed until a decision rosters it. */
  commit(): void {
    this.#goTo(this.#at + 1);
  }

  get(updateHash: Hex): OwnUpdate | undefined {
    const saved = this.#store.get(ownKey(updateHash));
    if (saved === undefined) return undefined;
    const { length, ...own } = decodeOwn(saved);
    const bytes = readLarge(this.#store, ownKey(updateHash), length * dtypeBytes(own.dtype));
    return bytes === undefined ? undefined : { updateHash, ...own, integers: integersOf(bytes, own.dtype) };
  }

  /**
   * Epochs from the oldest own update that is committed and in no model, and in no later one that is, to `epoch`: what an update
   * of it brings late. 0 where there is none.
   */
  staleness(epoch: number): number {
    const inModel = Math.max(0, ...[...this.#settled].map((updateHash) => this.#epochs.get(updateHash) ?? 0));
    const owed = [...this.#epochs].flatMap(([updateHash, of]) =>
      of > inModel && of < epoch && !this.#settled.has(updateHash) ? [of] : [],
    );
    return owed.length === 0 ? 0 : epoch - Math.min(...owed);
  }

  /**
   * Brings the residual in line with the chosen decisions: `rostered` says whether one of them holds an update, undefined
   * where that is archived and stays as it was found last. Idempotent.
   */
  settle(rostered: (updateHash: Hex, epoch: number) => boolean | undefined, currentEpoch: number): void {
    const moves: Move[] = [];
    for (const [updateHash, epoch] of this.#epochs) {
      const inModel = rostered(updateHash, epoch);
      if (inModel !== undefined && inModel !== this.#settled.has(updateHash)) moves.push({ updateHash, inModel });
    }
    if (moves.length > 0) this.#move(moves);
    const old = [...this.#epochs].filter(([, epoch]) => epoch <= currentEpoch - EPOCHS_KEPT);
    if (old.length > 0) this.#forget(old.map(([updateHash]) => updateHash));
  }

  /** What left the residual with these stays in the model for good, and what did not stays owed. */
  #forget(updateHashes: readonly Hex[]): void {
    for (const updateHash of updateHashes) {
      deleteLarge(this.#store, ownKey(updateHash));
      this.#store.delete(ownKey(updateHash), 'soon');
      this.#epochs.delete(updateHash);
      this.#settled.delete(updateHash);
    }
    this.#saveIndex();
    this.#save();
  }

  #move(moves: readonly Move[]): void {
    const next = this.#at + 1;
    const updates = moves.map(({ updateHash, inModel }) => ({ own: this.get(updateHash), sign: inModel ? -1 : 1 }));
    deleteLarge(this.#store, valuesKey(next));
    for (const [start] of pieces(this.#sizeBytes)) {
      const values = this.#part(start);
      for (const { own, sign } of updates) if (own !== undefined) this.#add(values, start / 4, own, sign);
      writePiece(this.#store, valuesKey(next), start, bytesOf(values));
    }
    for (const { updateHash, inModel } of moves)
      if (inModel) this.#settled.add(updateHash);
      else this.#settled.delete(updateHash);
    this.#goTo(next);
  }

  #add(values: Float32Array, first: number, { integers, exponents }: OwnUpdate, sign: number): void {
    for (const [t, span] of this.#spans.entries()) {
      const scale = sign * 2 ** (exponents[t] as number);
      const end = Math.min(span.end - first, values.length);
      for (let k = Math.max(0, span.start - first); k < end; k++)
        values[k] = (values[k] as number) + (integers[first + k] as number) * scale;
    }
  }

  /** Values from byte `start` on, alone in their memory. */
  #part(start: number): Float32Array {
    const length = Math.min(PIECE_BYTES, this.#sizeBytes - start);
    if (this.#at === 0) return new Float32Array(length / 4);
    const piece = readPiece(this.#store, valuesKey(this.#at), start);
    if (piece?.byteLength !== length) throw lost();
    return new Float32Array(float32Of(piece));
  }

  /** What was pending is part of the residual from here on, even where its removal failed the first time. */
  #goTo(next: number): void {
    const before = this.#at;
    this.#at = next;
    this.#save();
    if (before > 0 && before !== next) deleteLarge(this.#store, valuesKey(before));
  }

  /** Durable soon: the ledger says again what becomes of it. */
  #save(): void {
    this.#store.set(RESIDUAL, encode([this.#at, [...this.#settled].map((h) => fromHex(h))]), 'soon');
    this.#store.delete(PENDING, 'soon');
  }

  #saveIndex(): void {
    this.#store.set(INDEX, encode([...this.#epochs].map(([hash, epoch]) => [fromHex(hash), epoch])), 'soon');
  }
}

const lost = (): StarlingError =>
  new StarlingError('DATA_CORRUPT', 'a part of the residual is gone', {
    field: RESIDUAL,
    fix: 'stop the daemon and run `starling fsck --repair`',
  });

function decodeResidual(bytes: Uint8Array): [number, Hex[]] {
  const [at, settled] = readTuple(decode(bytes, RESIDUAL, RECORD_MAX_BYTES), RESIDUAL, 2);
  return [readInt(at, 'residual.at'), readList(settled, 'residual.settled', MAX_KEPT, readHash)];
}

function decodePending(bytes: Uint8Array): [Hex, number] {
  const [hash, next] = readTuple(decode(bytes, PENDING, RECORD_MAX_BYTES), PENDING, 2);
  return [readHash(hash, 'pending.updateHash'), readInt(next, 'pending.next')];
}

function decodeIndex(bytes: Uint8Array | undefined): Map<Hex, number> {
  if (bytes === undefined) return new Map();
  return new Map(
    readList(decode(bytes, INDEX, RECORD_MAX_BYTES), INDEX, MAX_KEPT, (item, field) => {
      const [hash, epoch] = readTuple(item, field, 2);
      return [readHash(hash, `${field}.updateHash`), readInt(epoch, `${field}.epoch`)] as const;
    }),
  );
}

function decodeOwn(bytes: Uint8Array): Omit<OwnUpdate, 'updateHash' | 'integers'> & { readonly length: number } {
  const [epoch, dtypeName, salt, length, exponents, secret] = readTuple(decode(bytes, 'ownUpdate', RECORD_MAX_BYTES), 'ownUpdate', 6);
  return {
    epoch: readInt(epoch, 'ownUpdate.epoch'),
    dtype: readOneOf(dtypeName, 'ownUpdate.dtype', ['int16', 'int8']),
    salt: readBytes(salt, 'ownUpdate.salt', 0, 64),
    length: readInt(length, 'ownUpdate.length'),
    exponents: readList(exponents, 'ownUpdate.exponents', 10_000, (item, field) => readInt(item, field, -1_000, 1_000)),
    secret: readNullable(secret, 'ownUpdate.secret', (value, field) => readBytes(value, field, 32)),
  };
}
