/**
 * What this node learned and the swarm's model does not hold yet (PROTOCOL section 4). A contribution's integers
 * leave it when a chosen decision rosters them and come back when the choice changes; all of it survives a crash:
 * what is as large as a model is content of this node's own, and small facts say which of it counts.
 */
import { bytesOf, dtypeBytes, float32Of, integersOf, type TensorSpan } from '../aggregation/index.ts';
import type { IntRow } from '../compute/api.ts';
import { isKind } from '../ledger/index.ts';
import { CHUNK_BYTES, type ContentRoot, type Hex, StarlingError, type UpdateDtype } from '../spec/index.ts';
import type { EpochContext } from './context.ts';
import { OwnContent } from './ownContent.ts';
import type { BlobStore, Durability, Journal, NodeStore } from './ports.ts';
import type { ResidualPart } from './prepare.ts';
import { type Kept, MAX_KEPT, type OwnRecord, type OwnUpdate, ResidualRecords } from './residualRecords.ts';

interface Move {
  readonly updateHash: Hex;
  readonly inModel: boolean;
}

/** Epochs for which own updates are kept: a fork that reaches further back than this returns nothing to the residual. */
const EPOCHS_KEPT = 64;
/** Elements of a part: those of a chunk. */
const PART = CHUNK_BYTES / Float32Array.BYTES_PER_ELEMENT;

/** The residual of this node's data folder. A contribution on its own chain settles what a crash left open. */
export function residualOf(ctx: EpochContext): Residual {
  const { graph, tip } = ctx.replica;
  const onLedger = (updateHash: Hex): boolean =>
    graph.chain(tip?.id ?? '').some((id) => {
      const entry = graph.get(id);
      return entry !== undefined && isKind(entry, 'contribution') && entry.core.body.updateHash === updateHash;
    });
  return new Residual({ ...ctx.ports, spans: ctx.spans, onLedger });
}

export interface ResidualInit {
  readonly store: NodeStore;
  /** Files that nobody else names, and nobody else is given. */
  readonly own: BlobStore;
  readonly journal: Pick<Journal, 'log'>;
  readonly spans: readonly TensorSpan[];
  /** Whether a contribution with this update hash was committed: it settles what a crash left open. */
  readonly onLedger: (updateHash: Hex) => boolean;
}

export class Residual {
  readonly #records: ResidualRecords;
  readonly #content: OwnContent;
  readonly #journal: Pick<Journal, 'log'>;
  readonly #spans: readonly TensorSpan[];
  readonly #elements: number;
  readonly #sizeBytes: number;
  /** The present values; undefined for zeros. */
  #at: ContentRoot | undefined;
  #version = 0;
  #generation: number;
  /** Own updates whose integers have left the residual for the model. */
  readonly #settled: Set<Hex>;
  readonly #kept: Map<Hex, Kept>;
  /** What was contributed or asked for last: the exchange of its epoch asks for it again. */
  #recent: OwnUpdate | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ store, own, journal, spans, onLedger }: ResidualInit) {
    this.#records = new ResidualRecords(store);
    this.#content = new OwnContent(store, own);
    this.#journal = journal;
    this.#spans = spans;
    this.#elements = spans.at(-1)?.end ?? 0;
    this.#sizeBytes = this.#elements * Float32Array.BYTES_PER_ELEMENT;
    const { at, settled, generation } = this.#records.standing;
    this.#at = at;
    this.#generation = generation;
    this.#kept = this.#records.kept;
    this.#settled = new Set([...settled].filter((updateHash) => this.#kept.has(updateHash)));
    const { pending } = this.#records;
    if (pending !== undefined) {
      if (this.#at === pending.from && onLedger(pending.updateHash)) this.#at = pending.to;
      this.#save();
    }
  }

  /** Changes whenever the values do. */
  get version(): number {
    return this.#version;
  }

  /** How often values moved between this and what is kept beside it. */
  get generation(): number {
    return this.#generation;
  }

  /** In parts, in order, each alone in its memory and as it is when it comes; none where nothing is owed. The elements from `start` on. */
  async *parts(): AsyncGenerator<ResidualPart> {
    if (this.#at !== undefined) yield* this.all();
  }

  /** The same also where nothing is owed, and all is zeros. */
  async *all(): AsyncGenerator<ResidualPart> {
    for (let start = 0; start < this.#elements; start += PART) yield { start, values: await this.#part(start) };
  }

  /**
   * Moves values between the residual and what is kept beside it, at once: `change` turns the values from element `start` on, alone in
   * their memory, into what they are from here on, and writes to the same store what the other side is in the next generation, which
   * counts, and is durable, when `moved` is called. In turns: what is kept beside it MUST NOT change meanwhile.
   */
  exchange(change: (values: Float32Array, start: number) => void, moved: () => void): Promise<void> {
    return this.#alone(async () => {
      const before = this.#at;
      const after = await this.#content.put(this.#changed(change), this.#sizeBytes);
      this.#records.saveStanding({ at: after, settled: this.#settled, generation: this.#generation + 1 }, 'now');
      this.#become(after);
      this.#generation++;
      moved();
      await this.#remove(before);
    });
  }

  /**
   * Makes a contribution: its integers, and the residual it will leave behind, are on disk before `append` puts its entry on the ledger;
   * after that all that was prepared is owed until a decision rosters it. `append` says, by what it throws, that its time is over; nothing
   * of it stays then.
   */
  contribute<T>(update: OwnUpdate, prepared: Float32Array, append: () => T): Promise<T> {
    return this.#alone(async () => {
      const { updateHash } = update;
      await this.#keep(update);
      const next = await this.#content.putWhole(bytesOf(prepared));
      this.#records.savePending({ updateHash, from: this.#at, to: next });
      let appended: T;
      try {
        appended = append();
      } catch (error) {
        if (error instanceof StarlingError && error.code === 'EPOCH_PAST') await this.#drop(updateHash, next);
        throw error;
      }
      this.#recent = update;
      await this.#goTo(next);
      return appended;
    });
  }

  async #keep({ updateHash, integers, ...own }: OwnUpdate): Promise<void> {
    if (this.#kept.size >= MAX_KEPT) await this.#forget([...this.#kept.keys()].slice(0, 1));
    const root = await this.#content.putWhole(bytesOf(integers));
    this.#kept.set(updateHash, { epoch: own.epoch, root });
    // The index first: a record that it does not list is never deleted.
    this.#records.saveKept(this.#kept);
    this.#records.saveOwn(updateHash, own);
  }

  async #drop(updateHash: Hex, prepared: ContentRoot): Promise<void> {
    this.#records.endPending('soon');
    await this.#forget([updateHash]);
    await this.#remove(prepared);
  }

  /** From memory what was made or asked for last, until its epoch is over; else from disk. Throws DATA_CORRUPT where it has rotted there. */
  async get(updateHash: Hex): Promise<OwnUpdate | undefined> {
    if (this.#recent?.updateHash === updateHash) return this.#recent;
    const [kept, record] = [this.#kept.get(updateHash), this.#records.own(updateHash)];
    if (kept === undefined || record === undefined) return undefined;
    const bytes = await this.#content.get(kept.root);
    if (bytes?.byteLength !== this.#elements * dtypeBytes(record.dtype)) return undefined;
    this.#recent = { updateHash, ...record, integers: integersOf(bytes, record.dtype) };
    return this.#recent;
  }

  /**
   * Epochs from the oldest own update that is committed and in no model, and in no later one that is, to `epoch`: what an update
   * of it brings late. 0 where there is none.
   */
  staleness(epoch: number): number {
    const inModel = Math.max(0, ...[...this.#settled].map((updateHash) => this.#kept.get(updateHash)?.epoch ?? 0));
    const owed = [...this.#kept].flatMap(([updateHash, { epoch: of }]) =>
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
      for (const [updateHash, { epoch }] of this.#kept) {
        const inModel = rostered(updateHash, epoch);
        if (inModel !== undefined && inModel !== this.#settled.has(updateHash)) moves.push({ updateHash, inModel });
      }
      if (moves.length > 0) await this.#move(moves);
      if (this.#recent !== undefined && this.#recent.epoch <= currentEpoch) this.#recent = undefined;
      const old = [...this.#kept].filter(([, { epoch }]) => epoch <= currentEpoch - EPOCHS_KEPT);
      if (old.length > 0) await this.#forget(old.map(([updateHash]) => updateHash));
    });
  }

  /** One after the other: each writes the values anew from those that the one before left. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Looks at what is on disk, and removes what a crash left half done. To be called once, where nobody else has this disk. */
  tidy(): Promise<void> {
    return this.#alone(async () => {
      if (this.#at !== undefined && !(await this.#content.isSound(this.#at, this.#sizeBytes))) {
        this.#journal.log('warn', 'epoch', 'what this node was owed is lost: its values on disk have rotted, or are gone', {
          root: this.#at,
        });
        this.#become(undefined);
        this.#write('now');
      }
      await this.#content.keepOnly(this.#wanted());
    });
  }

  /** What left the residual with these stays in the model for good, and what did not stays owed. */
  async #forget(updateHashes: readonly Hex[]): Promise<void> {
    const roots = updateHashes.map((updateHash) => this.#kept.get(updateHash)?.root);
    for (const updateHash of updateHashes) {
      this.#records.deleteOwn(updateHash);
      this.#kept.delete(updateHash);
      this.#settled.delete(updateHash);
    }
    this.#records.saveKept(this.#kept);
    this.#write('soon');
    for (const root of roots) await this.#remove(root);
  }

  async #move(moves: readonly Move[]): Promise<void> {
    const updates: { readonly own: OwnRecord; readonly updateHash: Hex; readonly root: ContentRoot; readonly sign: number }[] = [];
    for (const { updateHash, inModel } of moves) {
      const [own, root] = [this.#records.own(updateHash), this.#kept.get(updateHash)?.root];
      if (own !== undefined && root !== undefined && (await this.#content.has(root)))
        updates.push({ own, updateHash, root, sign: inModel ? -1 : 1 });
    }
    const next = await this.#content.put(
      this.#changed(async (values, start) => {
        for (const { own, updateHash, root, sign } of updates)
          this.#add(values, start, await this.#integers(updateHash, own.dtype, root, start, values.length), own.exponents, sign);
      }),
      this.#sizeBytes,
    );
    for (const { updateHash, inModel } of moves)
      if (inModel) this.#settled.add(updateHash);
      else this.#settled.delete(updateHash);
    await this.#goTo(next);
  }

  #add(values: Float32Array, first: number, integers: IntRow, exponents: readonly number[], sign: number): void {
    for (const [t, span] of this.#spans.entries()) {
      const scale = sign * 2 ** (exponents[t] as number);
      const end = Math.min(span.end - first, values.length);
      for (let k = Math.max(0, span.start - first); k < end; k++) values[k] = (values[k] as number) + (integers[k] as number) * scale;
    }
  }

  /** Integers [first, first + count) of an own update. All of them lie in one chunk, since an integer is no larger than a value. */
  async #integers(updateHash: Hex, dtype: UpdateDtype, root: ContentRoot, first: number, count: number): Promise<IntRow> {
    if (this.#recent?.updateHash === updateHash) return this.#recent.integers.subarray(first, first + count);
    const at = first * dtypeBytes(dtype);
    const inChunk = at % CHUNK_BYTES;
    const chunk = await this.#content.chunk(root, (at - inChunk) / CHUNK_BYTES);
    return integersOf(chunk.slice(inChunk, inChunk + count * dtypeBytes(dtype)), dtype);
  }

  /** The present values as `change` leaves them. */
  async *#changed(change: (values: Float32Array, start: number) => unknown): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < this.#elements; start += PART) {
      const values = await this.#part(start);
      await change(values, start);
      yield bytesOf(values);
    }
  }

  /** Present values from element `start` on, alone in their memory. */
  async #part(start: number): Promise<Float32Array> {
    for (;;) {
      const at = this.#at;
      const length = Math.min(PART, this.#elements - start);
      if (at === undefined) return new Float32Array(length);
      const chunk = await this.#content.chunk(at, start / PART).catch((error: unknown) => {
        if (at === this.#at) throw error;
      });
      // They may have become others meanwhile.
      if (at !== this.#at || chunk === undefined) continue;
      return float32Of(chunk);
    }
  }

  /** Unless something still is this content. */
  async #remove(root: ContentRoot | undefined): Promise<void> {
    if (root !== undefined && !this.#wanted().has(root)) await this.#content.delete(root);
  }

  #wanted(): Set<ContentRoot | undefined> {
    return new Set([this.#at, ...[...this.#kept.values()].map(({ root }) => root)]);
  }

  #become(at: ContentRoot | undefined): void {
    this.#at = at;
    this.#version++;
  }

  /** What was pending is part of the residual from here on, even where that is not on disk the first time. */
  async #goTo(next: ContentRoot): Promise<void> {
    const before = this.#at;
    this.#become(next);
    this.#save();
    await this.#remove(before);
  }

  #write(when: Durability): void {
    this.#records.saveStanding({ at: this.#at, settled: this.#settled, generation: this.#generation }, when);
  }

  /** Nothing is pending any more. Durable when it returns: the values before may go. */
  #save(): void {
    this.#write('soon');
    this.#records.endPending('now');
  }
}
