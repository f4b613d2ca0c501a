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
import { deleteLarge, isHeld, PIECE_BYTES, pieces, readLarge, readPiece, writeLarge, writePiece } from './largeValues.ts';
import type { Durability, NodeStore } from './ports.ts';
import { inTurns, noTurn, type Turn, turn } from './turns.ts';

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

/** All but its integers, and how many they are. */
type OwnRecord = Omit<OwnUpdate, 'updateHash' | 'integers'> & { readonly length: number };

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
  return new Residual(ctx.ports.store, ctx.spans, committed, () => turn(ctx.ports.clock));
}

export class Residual {
  readonly #store: NodeStore;
  readonly #spans: readonly TensorSpan[];
  readonly #sizeBytes: number;
  /** Which values are the present ones: 0 for none, which are zeros. */
  #at: number;
  #generation: number;
  /** Own updates whose integers have left the residual for the model. */
  readonly #settled: Set<Hex>;
  /** Epoch of every own update kept. */
  readonly #epochs: Map<Hex, number>;
  readonly #turn: Turn;
  /** What was contributed or asked for last: the exchange of its epoch asks for it again. */
  #recent: OwnUpdate | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** `onLedger` tells whether a contribution with this update hash was committed: it settles what a crash left open. */
  constructor(store: NodeStore, spans: readonly TensorSpan[], onLedger: (updateHash: Hex) => boolean, turn: Turn = noTurn) {
    this.#store = store;
    this.#spans = spans;
    this.#turn = turn;
    this.#sizeBytes = 4 * (spans.at(-1)?.end ?? 0);
    const saved = store.get(RESIDUAL);
    const { at, settled, generation } = saved === undefined ? { at: 0, settled: [], generation: 0 } : decodeResidual(saved);
    this.#at = at;
    this.#generation = generation;
    this.#epochs = decodeIndex(store.get(INDEX));
    this.#settled = new Set(settled.filter((updateHash) => this.#epochs.has(updateHash)));
    const pending = store.get(PENDING);
    if (pending !== undefined) {
      const [updateHash, next] = decodePending(pending);
      if (onLedger(updateHash)) {
        this.#at = next;
        this.#save();
      } else store.delete(PENDING);
    }
    // What a crash left half written, or not yet removed.
    const present = valuesKey(this.#at);
    for (const key of store.keys('residual/values/')) if (!key.startsWith(`${present}/`)) store.delete(key, 'soon');
  }

  /** Changes whenever the values do. */
  get version(): number {
    return this.#at;
  }

  /** How often values moved between this and what is kept beside it. */
  get generation(): number {
    return this.#generation;
  }

  /** A copy of all of it: f32, P elements. */
  get values(): Float32Array {
    const bytes = this.#at === 0 ? new Uint8Array(this.#sizeBytes) : readLarge(this.#store, valuesKey(this.#at), this.#sizeBytes);
    if (bytes === undefined) throw lost();
    return float32Of(bytes);
  }

  /** In pieces of less than a megabyte, in order; none where nothing is owed. The elements from `start` on. */
  *parts(): Generator<{ readonly start: number; readonly values: Float32Array }> {
    if (this.#at !== 0) yield* this.all();
  }

  /** The same also where nothing is owed, and all is zeros. */
  *all(): Generator<{ readonly start: number; readonly values: Float32Array }> {
    for (const [start] of pieces(this.#sizeBytes)) yield { start: start / 4, values: this.#part(start) };
  }

  /**
   * Moves values between the residual and what is kept beside it, at once: `change` turns the values from element `start` on, alone in
   * their memory, into what they are from here on, and writes to the same store what the other side is in the next generation, which
   * counts, and is durable, when `moved` is called. In turns: what is kept beside it MUST NOT change meanwhile.
   */
  exchange(change: (values: Float32Array, start: number) => void, moved: () => void): Promise<void> {
    return this.#alone(async () => {
      const before = this.#at;
      await deleteLarge(this.#store, valuesKey(before + 1), this.#turn);
      for await (const [start] of inTurns(pieces(this.#sizeBytes), this.#turn)) {
        const values = this.#part(start);
        change(values, start / 4);
        writePiece(this.#store, valuesKey(before + 1), start, bytesOf(values));
      }
      this.#write(before + 1, this.#generation + 1, 'now');
      this.#at++;
      this.#generation++;
      moved();
      if (before > 0) await deleteLarge(this.#store, valuesKey(before), this.#turn);
    });
  }

  /**
   * Makes a contribution: its integers, and the residual it will leave behind, are on disk before `append` puts its entry on the ledger;
   * after that all that was prepared is owed until a decision rosters it. `append` says, by what it throws, that its time is over; nothing
   * of it stays then.
   */
  contribute<T>(update: OwnUpdate, prepared: Float32Array, append: () => T): Promise<T> {
    return this.#alone(async () => {
      await this.#keep(update, prepared);
      let appended: T;
      try {
        appended = append();
      } catch (error) {
        if (error instanceof StarlingError && error.code === 'EPOCH_PAST') await this.#drop(update.updateHash);
        throw error;
      }
      this.#recent = update;
      await this.#goTo(this.#at + 1);
      return appended;
    });
  }

  async #keep(update: OwnUpdate, prepared: Float32Array): Promise<void> {
    if (this.#epochs.size >= MAX_KEPT) await this.#forget([...this.#epochs.keys()].slice(0, 1));
    this.#epochs.set(update.updateHash, update.epoch);
    // The index first: what it does not list is never deleted. The last of these makes all of them durable.
    this.#saveIndex();
    await writeLarge(this.#store, ownKey(update.updateHash), bytesOf(update.integers), this.#turn);
    this.#store.set(
      ownKey(update.updateHash),
      encode([update.epoch, update.dtype, update.salt, update.integers.length, [...update.exponents], update.secret]),
      'soon',
    );
    await deleteLarge(this.#store, valuesKey(this.#at + 1), this.#turn);
    await writeLarge(this.#store, valuesKey(this.#at + 1), bytesOf(prepared), this.#turn);
    this.#store.set(PENDING, encode([fromHex(update.updateHash), this.#at + 1]));
  }

  async #drop(updateHash: Hex): Promise<void> {
    this.#store.delete(PENDING, 'soon');
    await this.#forget([updateHash]);
    await deleteLarge(this.#store, valuesKey(this.#at + 1), this.#turn);
  }

  /** From memory what was made or asked for last, until its epoch is over; else from disk, at a stretch. */
  get(updateHash: Hex): OwnUpdate | undefined {
    if (this.#recent?.updateHash === updateHash) return this.#recent;
    const saved = this.#record(updateHash);
    if (saved === undefined) return undefined;
    const { length, ...own } = saved;
    const bytes = readLarge(this.#store, ownKey(updateHash), length * dtypeBytes(own.dtype));
    if (bytes === undefined) return undefined;
    this.#recent = { updateHash, ...own, integers: integersOf(bytes, own.dtype) };
    return this.#recent;
  }

  #record(updateHash: Hex): OwnRecord | undefined {
    const saved = this.#store.get(ownKey(updateHash));
    return saved === undefined ? undefined : decodeOwn(saved);
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
   * where that is archived and stays as it was found last. Idempotent. Waits for a contribution that is being made.
   */
  settle(rostered: (updateHash: Hex, epoch: number) => boolean | undefined, currentEpoch: number): Promise<void> {
    return this.#alone(async () => {
      const moves: Move[] = [];
      for (const [updateHash, epoch] of this.#epochs) {
        const inModel = rostered(updateHash, epoch);
        if (inModel !== undefined && inModel !== this.#settled.has(updateHash)) moves.push({ updateHash, inModel });
      }
      if (moves.length > 0) await this.#move(moves);
      if (this.#recent !== undefined && this.#recent.epoch <= currentEpoch) this.#recent = undefined;
      const old = [...this.#epochs].filter(([, epoch]) => epoch <= currentEpoch - EPOCHS_KEPT);
      if (old.length > 0) await this.#forget(old.map(([updateHash]) => updateHash));
    });
  }

  /** One after the other: each writes the values anew from those that the one before left. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** What left the residual with these stays in the model for good, and what did not stays owed. */
  async #forget(updateHashes: readonly Hex[]): Promise<void> {
    for (const updateHash of updateHashes) {
      await deleteLarge(this.#store, ownKey(updateHash), this.#turn);
      this.#store.delete(ownKey(updateHash), 'soon');
      this.#epochs.delete(updateHash);
      this.#settled.delete(updateHash);
    }
    this.#saveIndex();
    this.#save();
  }

  async #move(moves: readonly Move[]): Promise<void> {
    const next = this.#at + 1;
    const updates = moves.flatMap(({ updateHash, inModel }) => {
      const own = this.#record(updateHash);
      const isHere = own !== undefined && isHeld(this.#store, ownKey(updateHash), own.length * dtypeBytes(own.dtype));
      return isHere ? [{ ...own, updateHash, sign: inModel ? -1 : 1 }] : [];
    });
    await deleteLarge(this.#store, valuesKey(next), this.#turn);
    for await (const [start] of inTurns(pieces(this.#sizeBytes), this.#turn)) {
      const values = this.#part(start);
      for (const own of updates) this.#add(values, start / 4, own);
      writePiece(this.#store, valuesKey(next), start, bytesOf(values));
    }
    for (const { updateHash, inModel } of moves)
      if (inModel) this.#settled.add(updateHash);
      else this.#settled.delete(updateHash);
    await this.#goTo(next);
  }

  #add(values: Float32Array, first: number, own: OwnRecord & { readonly updateHash: Hex; readonly sign: number }): void {
    const integers = this.#integers(own, first, values.length);
    for (const [t, span] of this.#spans.entries()) {
      const scale = own.sign * 2 ** (own.exponents[t] as number);
      const end = Math.min(span.end - first, values.length);
      for (let k = Math.max(0, span.start - first); k < end; k++) values[k] = (values[k] as number) + (integers[k] as number) * scale;
    }
  }

  /** Integers [first, first + count) of an own update. All of them lie in one piece, since an integer is no larger than a value. */
  #integers({ updateHash, dtype, length }: OwnRecord & { readonly updateHash: Hex }, first: number, count: number): IntRow {
    const at = first * dtypeBytes(dtype);
    const start = at - (at % PIECE_BYTES);
    const piece = readPiece(this.#store, ownKey(updateHash), start);
    if (piece?.byteLength !== Math.min(PIECE_BYTES, length * dtypeBytes(dtype) - start)) throw lost();
    return integersOf(piece.slice(at - start, at - start + count * dtypeBytes(dtype)), dtype);
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
  async #goTo(next: number): Promise<void> {
    const before = this.#at;
    this.#at = next;
    this.#save();
    if (before > 0) await deleteLarge(this.#store, valuesKey(before), this.#turn);
  }

  #write(at: number, generation: number, when: Durability): void {
    const moved = generation === 0 ? [] : [generation];
    this.#store.set(RESIDUAL, encode([at, [...this.#settled].map((h) => fromHex(h)), ...moved]), when);
  }

  /** Durable soon: the ledger says again what becomes of it. */
  #save(): void {
    this.#write(this.#at, this.#generation, 'soon');
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

function decodeResidual(bytes: Uint8Array): { readonly at: number; readonly settled: readonly Hex[]; readonly generation: number } {
  const [at, settled, generation = 0] = readList(decode(bytes, RESIDUAL, RECORD_MAX_BYTES), RESIDUAL, 3, (item) => item);
  return {
    at: readInt(at, 'residual.at'),
    settled: readList(settled, 'residual.settled', MAX_KEPT, readHash),
    generation: readInt(generation, 'residual.generation'),
  };
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

function decodeOwn(bytes: Uint8Array): OwnRecord {
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
