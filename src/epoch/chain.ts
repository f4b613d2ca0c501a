/**
 * What this node has applied: final blocks from its base on, and over the newest of them provisional decisions, which give
 * way to the next block. With state, order and model after each.
 */
import { type AverageTerms, applyPart, bytesOf, int32Of, layoutOf, type TensorSpan } from '../aggregation/index.ts';
import { contentOf } from '../crypto/content.ts';
import { toHex } from '../crypto/hash.ts';
import { EMPTY_ROOT } from '../crypto/merkle.ts';
import { type EntryOf, isKind, isWhole, type LedgerGraph, LedgerOrder, type OrderedEntry, type OrderedLeaf } from '../ledger/index.ts';
import {
  type AggregateHeader,
  type Block,
  type BlockHash,
  type ContentRoot,
  type DecisionBody,
  type DecisionId,
  type EntryId,
  type Evidence,
  type Genesis,
  type Hex,
  StarlingError,
  type SwarmId,
  type SwarmState,
  survivorsOf,
} from '../spec/index.ts';
import { genesisDecision, initialState, isRefused, reduce, restoredEpoch, type Step, stateRoot } from '../state/index.ts';
import { rosterHash } from '../wire/index.ts';
import { type MadeModel, Models } from './models.ts';
import type { BlobStore, Clock } from './ports.ts';
import { contentInTurns } from './served.ts';
import { type Model, partsOf, wholeOf } from './storedModel.ts';
import { TURN_ELEMENTS, turn } from './turns.ts';

/** The aggregate of a decision. Both undefined where nothing was averaged; the sum alone where a certified root stands for it. */
export interface HeldAggregate {
  readonly header: AggregateHeader | undefined;
  readonly sum: Int32Array | undefined;
}

export interface Applied {
  readonly id: BlockHash | DecisionId;
  /** Undefined at genesis. */
  readonly body: DecisionBody | undefined;
  /** Undefined at genesis and where nothing was averaged. */
  readonly header: AggregateHeader | undefined;
  /** Undefined at genesis, at a base whose block is archived, and of a provisional decision. */
  readonly block: Block | undefined;
  /** Milliseconds since 1970: of the newest block up to here, of the genesis before the first. */
  readonly timeMs: number;
  readonly state: SwarmState;
  readonly stateRoot: Hex;
  /** The epoch whose model came back with this step. */
  readonly restored: number | undefined;
}

/** What a block adds to a decision; its hash follows from what the step leads to. */
export interface BlockParts {
  readonly tips: readonly EntryId[];
  readonly evidence: readonly Evidence[];
  readonly timeMs: number;
}

/** A step that was worked out and not yet taken. */
export interface Draft {
  readonly body: DecisionBody;
  readonly header: AggregateHeader | undefined;
  /** Undefined for a provisional decision. */
  readonly parts: BlockParts | undefined;
  /** `decision` is filled in when the step is taken: a block's hash covers the rest of its state. */
  readonly state: SwarmState;
  readonly stateRoot: Hex;
  /** Undefined where the root is certified and the sum was not asked for. */
  readonly model: Model | undefined;
  readonly restored: number | undefined;
}

export interface ChainInit {
  readonly genesis: Genesis;
  readonly swarm: SwarmId;
  readonly graph: LedgerGraph;
  readonly blobs: BlobStore;
  /** Undefined where it is too large for memory: it is in `blobs`. */
  readonly initialModel: Float32Array | undefined;
  /** Where large models are made and kept: without one, in memory. */
  readonly scratch?: BlobStore | undefined;
  /** Model root in the header of an archived epoch. */
  readonly archivedRoot?: (epoch: number) => ContentRoot | undefined;
  /** Large models are worked out in turns with whatever else goes by this clock; without one, at a stretch. */
  readonly clock?: Pick<Clock, 'after'>;
}

export class Chain {
  readonly genesis: Genesis;
  readonly spans: readonly TensorSpan[];
  readonly order: LedgerOrder;
  readonly models: Models;
  readonly #init: Omit<ChainInit, 'initialModel'>;
  /** From the base on: the genesis, or the newest archived block. */
  #applied: Applied[];
  #baseEpoch = 0;
  #finalEpoch = 0;
  #lastApplied: { readonly before: Applied; readonly sumRoot: ContentRoot; readonly result: Promise<MadeModel> } | undefined;

  constructor({ initialModel, ...init }: ChainInit) {
    this.#init = init;
    this.genesis = init.genesis;
    this.spans = layoutOf(init.genesis.tensors);
    this.order = new LedgerOrder(init.graph);
    const state = initialState(init.genesis, init.swarm, toHex(EMPTY_ROOT));
    this.#applied = [
      {
        id: genesisDecision(init.swarm),
        body: undefined,
        header: undefined,
        block: undefined,
        timeMs: init.genesis.createdMs,
        state,
        stateRoot: stateRoot(state),
        restored: undefined,
      },
    ];
    this.models = new Models(init.blobs, init.genesis.initialModelRoot, initialModel, init.scratch);
  }

  /** The newest, provisional or final. */
  get head(): Applied {
    return this.#applied[this.#applied.length - 1] as Applied;
  }

  /** The newest final one. */
  get finalized(): Applied {
    return this.at(this.#finalEpoch) as Applied;
  }

  /** The oldest that is not archived. */
  get base(): Applied {
    return this.#applied[0] as Applied;
  }

  get isProvisional(): boolean {
    return this.head.state.epoch > this.#finalEpoch;
  }

  at(epoch: number): Applied | undefined {
    return this.#applied[epoch - this.#baseEpoch];
  }

  /** Starts over from an archived block, whose leaves the order holds. What was applied goes. */
  startFrom(state: SwarmState, timeMs: number): void {
    const nothing = { body: undefined, header: undefined, block: undefined, restored: undefined };
    this.#applied = [{ ...nothing, id: state.decision, timeMs, state, stateRoot: stateRoot(state) }];
    this.#baseEpoch = state.epoch;
    this.#finalEpoch = state.epoch;
    this.models.pin(state.epoch);
  }

  /** What is before `epoch`, which is final, is archived. */
  forgetBefore(epoch: number): void {
    this.#applied.splice(0, epoch - this.#baseEpoch);
    this.#baseEpoch = epoch;
  }

  /** Drops the provisional steps after `epoch`, or after the newest block; returns what was dropped, oldest first. */
  rewind(epoch: number): Applied[] {
    const keep = Math.max(epoch, this.#finalEpoch);
    const dropped = this.#applied.splice(keep + 1 - this.#baseEpoch);
    if (dropped.length > 0) this.#lastApplied = undefined;
    this.models.forgetAfter(keep);
    this.order.rewind(keep);
    return dropped;
  }

  /** Undoes steps in this node's memory alone, final ones too: a local rollback. */
  rollback(epoch: number): void {
    this.#finalEpoch = Math.max(this.#baseEpoch, Math.min(this.#finalEpoch, epoch));
    this.models.pin(this.#finalEpoch);
    this.rewind(epoch);
  }

  /**
   * Works out where a step on `before` leads, and changes nothing. `aggregate`: checked against its hash; `certified`: the
   * model root of a final block, which stands for a sum or a model that is not at hand. Throws INCOMPATIBLE where `before` is not
   * applied any more, MISSING_PARENT when an entry is not held, AGGREGATE_MISSING when a model cannot be had.
   */
  async draft(before: Applied, body: DecisionBody, aggregate: HeldAggregate, parts?: BlockParts, certified?: ContentRoot): Promise<Draft> {
    const { header, sum } = aggregate;
    const base = before.state;
    if (this.at(base.epoch) !== before || body.prev !== before.id || body.epoch !== base.epoch + 1)
      throw new StarlingError('INCOMPATIBLE', 'a step must follow one that is applied', { phase: 'apply', field: 'prev' });
    const step = { body, header, ...this.#look(base.epoch, body, parts), ...this.#common(body, parts) };
    const refused = isRefused(base, { ...step, modelRoot: base.modelRoot });
    const restored = restoredEpoch(this.genesis, base, { ...step, modelRoot: base.modelRoot });
    const root = restored === undefined ? undefined : this.modelRootAt(restored);
    let model: Model | undefined;
    let modelRoot = certified ?? base.modelRoot;
    if (root !== undefined) modelRoot = root;
    else if (header === undefined || refused) modelRoot = base.modelRoot;
    else if (sum !== undefined) {
      try {
        ({ model, modelRoot } = await this.#apply(before, header, sum));
      } catch (error) {
        // The model that the sum is added to is not here either: the root of a final block stands for both.
        if (certified === undefined || !(error instanceof StarlingError) || error.code !== 'AGGREGATE_MISSING') throw error;
      }
    } else if (certified === undefined)
      throw new StarlingError('AGGREGATE_MISSING', `the sum of epoch ${body.epoch} is not held`, { phase: 'apply' });
    const state = reduce(this.genesis, this.#init.swarm, base, { ...step, modelRoot });
    return { body, header, parts, state, stateRoot: stateRoot(state), model, restored };
  }

  /** Takes a provisional step, in the place of whatever provisional was applied after the one it stands on. */
  extend(id: DecisionId, draft: Draft): Applied {
    return this.#take(id, draft, undefined);
  }

  /** Takes a final step: `block` is the one that `draft` was worked out for, and is on disk. */
  finalise(block: Block, draft: Draft): Applied {
    if (block.header.epoch !== this.#finalEpoch + 1)
      throw new StarlingError('EPOCH_REGRESSION', `block ${block.header.epoch} does not follow ${this.#finalEpoch}`, { phase: 'apply' });
    this.rewind(this.#finalEpoch);
    const applied = this.#take(block.hash, draft, block);
    this.#finalEpoch = block.header.epoch;
    this.models.pin(this.#finalEpoch);
    return applied;
  }

  /** The contributions of a decision that are in its sum, in roster order. */
  contributionsOf(body: Pick<DecisionBody, 'roster' | 'dropped'>): EntryOf<'contribution'>[] {
    return survivorsOf(body).flatMap((id) => {
      const entry = this.#init.graph.get(id);
      return entry !== undefined && isKind(entry, 'contribution') ? [entry] : [];
    });
  }

  /** All parameters after `epoch`, P f32. MUST not be changed by the caller. Throws AGGREGATE_MISSING. */
  async model(epoch: number): Promise<Float32Array> {
    return wholeOf(await this.openModel(epoch));
  }

  /** The same, to be read in parts. Of the chain as it stands now: it may go on, or back, while the model is read or made. */
  openModel(epoch: number): Promise<Model> {
    const [baseEpoch, line] = [this.#baseEpoch, [...this.#applied]];
    const at = (n: number): Applied | undefined => line[n - baseEpoch];
    return this.models.at(epoch, {
      rootOf: (n) => (n >= baseEpoch ? at(n)?.state.modelRoot : this.modelRootAt(n)),
      isOf: (n, root) => this.modelRootAt(n) === root,
      from: (n) => {
        if (n <= baseEpoch) return undefined;
        const restored = at(n)?.restored;
        const isSame = at(n)?.state.modelRoot === at(n - 1)?.state.modelRoot;
        return { epoch: restored ?? n - 1, bySum: restored === undefined && !isSame };
      },
      next: async (theta, n) => {
        const { header } = at(n) as Applied;
        const sum = header === undefined ? undefined : await this.#init.blobs.get(header.sumRoot);
        if (header === undefined || sum === undefined) return undefined;
        const exponents = (at(n - 1) as Applied).state.scaleExponents;
        const { eta } = this.genesis;
        return (await this.#average(theta, { sum: int32Of(sum), weightTotal: header.weightTotal, eta, exponents })).model;
      },
    });
  }

  /** What the reducers looked at in a block of `epoch`, for records and events. Undefined where no block of it is applied. */
  stepOf(epoch: number): { readonly before: SwarmState; readonly after: SwarmState; readonly step: Step } | undefined {
    const before = this.at(epoch - 1)?.state;
    const applied = this.at(epoch);
    if (before === undefined || applied?.block === undefined || applied.body === undefined) return undefined;
    const { body, header, block, state } = applied;
    const cut = this.#partsOf(this.order.slice(before.treeSize, state.treeSize).filter(isOfWhole));
    const { treeSize, treeRoot, leavesHash, modelRoot } = state;
    const parts = { ...block.body, timeMs: block.header.timeMs };
    const step = { body, header, ...cut, treeSize, treeRoot, leavesHash, modelRoot, ...this.#common(body, parts) };
    return { before, after: state, step };
  }

  find(entry: string): OrderedLeaf | undefined {
    return this.order.find(entry);
  }

  #take(id: BlockHash | DecisionId, draft: Draft, block: Block | undefined): Applied {
    const { body, header, parts, model, restored } = draft;
    const before = this.at(body.epoch - 1);
    if (before === undefined || before.id !== body.prev)
      throw new StarlingError('INCOMPATIBLE', 'a step must follow one that is applied', { phase: 'apply', field: 'prev' });
    if (this.head !== before) this.rewind(before.state.epoch);
    this.order.append(body.epoch, tipsOf(body, parts));
    const state = { ...draft.state, decision: id };
    const timeMs = block?.header.timeMs ?? before.timeMs;
    const applied = { id, body, header, block, timeMs, state, stateRoot: draft.stateRoot, restored };
    this.#applied.push(applied);
    this.#lastApplied = undefined;
    if (model !== undefined) this.models.keep(body.epoch, applied.state.modelRoot, model);
    this.models.dropDrafts();
    return applied;
  }

  /** The model after a sum; the last one is remembered, since a proposer works out more than one block over it. */
  #apply(before: Applied, header: AggregateHeader, sum: Int32Array): Promise<MadeModel> {
    const { sumRoot, weightTotal } = header;
    const last = this.#lastApplied;
    if (last?.before === before && last.sumRoot === sumRoot) return last.result;
    const result = this.#modelAfter(before, { sum, weightTotal, eta: this.genesis.eta, exponents: before.state.scaleExponents });
    const applied = { before, sumRoot, result };
    this.#lastApplied = applied;
    // The model before it may be here when it is asked for again.
    result.catch(() => {
      if (this.#lastApplied === applied) this.#lastApplied = undefined;
    });
    return result;
  }

  async #modelAfter(before: Applied, terms: AverageTerms): Promise<MadeModel> {
    return this.#average(await this.openModel(before.state.epoch), terms);
  }

  async #average(theta: Model, terms: AverageTerms): Promise<MadeModel> {
    if (this.models.areLarge) return this.models.make(this.#partsAfter(theta, terms));
    const { clock } = this.#init;
    const next = new Float32Array(await wholeOf(theta));
    for (let start = 0; start < next.length; start += TURN_ELEMENTS) {
      if (start > 0 && clock !== undefined) await turn(clock);
      applyPart(next.subarray(start, start + TURN_ELEMENTS), start, this.spans, terms);
    }
    const { root } = clock === undefined ? contentOf(bytesOf(next)) : await contentInTurns(clock, bytesOf(next));
    return { model: next, modelRoot: root };
  }

  /** Others have their turns while the parts are read and written. */
  async *#partsAfter(theta: Model, terms: AverageTerms): AsyncGenerator<Uint8Array> {
    let first = 0;
    for await (const part of partsOf(theta)) {
      const next = new Float32Array(part);
      applyPart(next, first, this.spans, terms);
      first += part.length;
      yield bytesOf(next);
    }
  }

  /** The cut that a step would take and the tree after it. */
  #look(epoch: number, body: DecisionBody, parts: BlockParts | undefined) {
    const beyond = this.#applied.slice(epoch + 1 - this.#baseEpoch);
    if (beyond.length > 0) this.order.rewind(epoch);
    try {
      const cut = this.order.append(body.epoch, tipsOf(body, parts));
      return { ...this.#partsOf(cut), treeSize: this.order.size, treeRoot: this.order.root(), leavesHash: this.order.leavesHash };
    } finally {
      this.order.rewind(epoch);
      for (const { body: later, block } of beyond) if (later !== undefined) this.order.append(later.epoch, tipsOf(later, block?.body));
    }
  }

  /** What reducers look at of a cut. It must be in the order. */
  #partsOf(cut: readonly OrderedEntry[]): Pick<Step, 'cut' | 'forked'> {
    // What follows a void entry is void as well, and no fork of its own.
    const second = cut.filter((e) => e.void && this.order.find(e.entry.core.prev ?? '')?.void !== true);
    return {
      cut: cut.filter((e) => !e.void).map((e) => e.entry),
      forked: [...new Set(second.map((e) => e.entry.core.author))],
    };
  }

  #common(body: DecisionBody, parts: BlockParts | undefined): Pick<Step, 'id' | 'contributions' | 'faulty' | 'block' | 'modelRootAt'> {
    return {
      // Filled in when the step is taken.
      id: body.prev,
      contributions: this.contributionsOf(body).map((e) => ({ author: e.core.author, body: e.core.body })),
      faulty: body.dropped.flatMap(({ id, why }) => (why === 'evidence' ? (this.#init.graph.get(id)?.core.author ?? []) : [])),
      block:
        parts === undefined
          ? undefined
          : { timeMs: parts.timeMs, evidence: parts.evidence, rosterHash: rosterHash(body.roster, body.weights) },
      modelRootAt: (epoch) => (epoch < body.epoch ? this.modelRootAt(epoch) : undefined),
    };
  }

  /** Root of the model after an epoch, archived or not. */
  modelRootAt(epoch: number): ContentRoot | undefined {
    if (epoch >= this.#baseEpoch) return this.at(epoch)?.state.modelRoot;
    return epoch === 0 ? this.genesis.initialModelRoot : this.#init.archivedRoot?.(epoch);
  }
}

/** What a cut is the closure of. */
const tipsOf = (body: DecisionBody, parts: Pick<BlockParts, 'tips'> | undefined): readonly EntryId[] =>
  parts === undefined ? body.roster : [...body.roster, ...parts.tips];

/** What a block that is not archived cut is whole. */
const isOfWhole = (ordered: OrderedLeaf): ordered is OrderedEntry => isWhole(ordered.entry);
