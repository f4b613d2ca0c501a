/**
 * What this node learned and the swarm's model does not hold yet (PROTOCOL section 4). A contribution's integers
 * leave it when a chosen decision rosters them and come back when the choice changes; all of it survives a crash.
 */
import { bytesOf, float32Of, integersOf, type TensorSpan } from '../aggregation/index.ts';
import type { IntRow } from '../compute/api.ts';
import { fromHex } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import { type Hex, MAX_PARAMETERS, type UpdateDtype } from '../spec/index.ts';
import { decode, encode, readBytes, readHash, readInt, readList, readNullable, readOneOf, readTuple } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
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

/** Epochs for which own updates are kept: a fork that reaches further back than this returns nothing to the residual. */
const EPOCHS_KEPT = 64;
/** Bytes. Own updates of EPOCHS_KEPT epochs and a little more, in the largest model. */
const RECORD_MAX_BYTES = 8 * MAX_PARAMETERS;
const MAX_KEPT = 4 * EPOCHS_KEPT;

const RESIDUAL = 'residual';
const PENDING = 'residual-pending';
const INDEX = 'own-updates';
const ownKey = (updateHash: Hex): string => `own-update/${updateHash}`;

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
  #values: Float32Array;
  /** Own updates whose integers have left the residual for the model. */
  readonly #settled: Set<Hex>;
  /** Epoch of every own update kept. */
  readonly #epochs: Map<Hex, number>;

  /** `onLedger` tells whether a contribution with this update hash was committed: it settles what a crash left open. */
  constructor(store: NodeStore, spans: readonly TensorSpan[], onLedger: (updateHash: Hex) => boolean) {
    this.#store = store;
    this.#spans = spans;
    const saved = store.get(RESIDUAL);
    const [values, settled] = saved === undefined ? [new Float32Array(spans.at(-1)?.end ?? 0), []] : decodeResidual(saved);
    this.#values = values;
    this.#epochs = decodeIndex(store.get(INDEX));
    this.#settled = new Set(settled.filter((updateHash) => this.#epochs.has(updateHash)));
    const pending = store.get(PENDING);
    if (pending !== undefined) {
      const [updateHash, prepared] = decodePending(pending);
      if (onLedger(updateHash)) this.commit(prepared);
      else store.delete(PENDING);
    }
  }

  /** f32, P elements. MUST not be changed. */
  get values(): Float32Array {
    return this.#values;
  }

  /** Before the contribution is signed: its integers, and the residual it will leave behind, are on disk. */
  keep(update: OwnUpdate, prepared: Float32Array): void {
    if (this.#epochs.size >= MAX_KEPT) this.#forget([...this.#epochs.keys()].slice(0, 1));
    this.#epochs.set(update.updateHash, update.epoch);
    // The index first: what it does not list is never deleted. The last of these makes all of them durable.
    this.#saveIndex();
    this.#store.set(
      ownKey(update.updateHash),
      encode([update.epoch, update.dtype, update.salt, bytesOf(update.integers), [...update.exponents], update.secret]),
      'soon',
    );
    this.#store.set(PENDING, encode([fromHex(update.updateHash), bytesOf(prepared)]));
  }

  /** After it: all that was prepared is owed, until a decision rosters it. */
  commit(prepared: Float32Array): void {
    this.#values = prepared;
    this.#save();
  }

  get(updateHash: Hex): OwnUpdate | undefined {
    const saved = this.#store.get(ownKey(updateHash));
    return saved === undefined ? undefined : decodeOwn(updateHash, saved);
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
    let changed = false;
    for (const [updateHash, epoch] of this.#epochs) {
      const inModel = rostered(updateHash, epoch);
      if (inModel === undefined || inModel === this.#settled.has(updateHash)) continue;
      this.#move(updateHash, inModel ? -1 : 1);
      if (inModel) this.#settled.add(updateHash);
      else this.#settled.delete(updateHash);
      changed = true;
    }
    if (changed) this.#save();
    const old = [...this.#epochs].filter(([, epoch]) => epoch <= currentEpoch - EPOCHS_KEPT);
    if (old.length > 0) this.#forget(old.map(([updateHash]) => updateHash));
  }

  /** What left the residual with these stays in the model for good, and what did not stays owed. */
  #forget(updateHashes: readonly Hex[]): void {
    for (const updateHash of updateHashes) {
      this.#store.delete(ownKey(updateHash), 'soon');
      this.#epochs.delete(updateHash);
      this.#settled.delete(updateHash);
    }
    this.#saveIndex();
    this.#save();
  }

  #move(updateHash: Hex, sign: 1 | -1): void {
    const own = this.get(updateHash);
    if (own === undefined) return;
    const next = this.#values.slice();
    for (const [t, span] of this.#spans.entries()) {
      const scale = sign * 2 ** (own.exponents[t] as number);
      for (let k = span.start; k < span.end; k++) next[k] = (next[k] as number) + (own.integers[k] as number) * scale;
    }
    this.#values = next;
  }

  /**
   * What was pending is part of the residual from here on, even where its removal failed the first time. Durable soon: the
   * ledger says again what becomes of both.
   */
  #save(): void {
    this.#store.set(RESIDUAL, encode([bytesOf(this.#values), [...this.#settled].map((h) => fromHex(h))]), 'soon');
    this.#store.delete(PENDING, 'soon');
  }

  #saveIndex(): void {
    this.#store.set(INDEX, encode([...this.#epochs].map(([hash, epoch]) => [fromHex(hash), epoch])), 'soon');
  }
}

function decodeResidual(bytes: Uint8Array): [Float32Array, Hex[]] {
  const [values, settled] = readTuple(decode(bytes, RESIDUAL, RECORD_MAX_BYTES), RESIDUAL, 2);
  return [float32Of(readBytes(values, 'residual.values', 0, RECORD_MAX_BYTES)), readList(settled, 'residual.settled', MAX_KEPT, readHash)];
}

function decodePending(bytes: Uint8Array): [Hex, Float32Array] {
  const [hash, prepared] = readTuple(decode(bytes, PENDING, RECORD_MAX_BYTES), PENDING, 2);
  return [readHash(hash, 'pending.updateHash'), float32Of(readBytes(prepared, 'pending.prepared', 0, RECORD_MAX_BYTES))];
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

function decodeOwn(updateHash: Hex, bytes: Uint8Array): OwnUpdate {
  const [epoch, dtypeName, salt, integers, exponents, secret] = readTuple(decode(bytes, 'ownUpdate', RECORD_MAX_BYTES), 'ownUpdate', 6);
  const dtype = readOneOf(dtypeName, 'ownUpdate.dtype', ['int16', 'int8']);
  return {
    updateHash,
    epoch: readInt(epoch, 'ownUpdate.epoch'),
    dtype,
    salt: readBytes(salt, 'ownUpdate.salt', 0, 64),
    integers: integersOf(readBytes(integers, 'ownUpdate.integers', 0, RECORD_MAX_BYTES), dtype),
    exponents: readList(exponents, 'ownUpdate.exponents', 10_000, (item, field) => readInt(item, field, -1_000, 1_000)),
    secret: readNullable(secret, 'ownUpdate.secret', (value, field) => readBytes(value, field, 32)),
  };
}
