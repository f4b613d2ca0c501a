/** The decisions this node has applied, from genesis to its head, with state, order and model after each. */
import { applyAverage, bytesOf, float32Of, int32Of, layoutOf, type TensorSpan } from '../aggregation/index.ts';
import { contentOf } from '../crypto/content.ts';
import { toHex } from '../crypto/hash.ts';
import { EMPTY_ROOT } from '../crypto/merkle.ts';
import { type EntryOf, isKind, type LedgerGraph, LedgerOrder, type OrderedEntry } from '../ledger/index.ts';
import {
  type AggregateHeader,
  type DecisionBody,
  type DecisionId,
  type Genesis,
  type Hex,
  StarlingError,
  type SwarmId,
  type SwarmState,
} from '../spec/index.ts';
import { genesisDecision, initialState, reduce, stateRoot } from '../state/index.ts';
import type { BlobStore } from './ports.ts';

export interface Applied {
  readonly id: DecisionId;
  /** Undefined at genesis. */
  readonly body: DecisionBody | undefined;
  /** Undefined at genesis and where nothing was averaged. */
  readonly header: AggregateHeader | undefined;
  readonly state: SwarmState;
  readonly stateRoot: Hex;
}

/** Models kept in memory behind the head: a fork deeper than this is rebuilt from the stored sums. */
const MODELS_KEPT = 8;

export class Chain {
  readonly genesis: Genesis;
  readonly spans: readonly TensorSpan[];
  readonly order: LedgerOrder;
  readonly #graph: LedgerGraph;
  readonly #blobs: BlobStore;
  /** Index = epoch. */
  readonly #applied: Applied[];
  readonly #models = new Map<number, Float32Array>();
  readonly #initialModel: Float32Array;

  constructor(init: { genesis: Genesis; swarm: SwarmId; graph: LedgerGraph; blobs: BlobStore; initialModel: Float32Array }) {
    this.genesis = init.genesis;
    this.spans = layoutOf(init.genesis.tensors);
    this.order = new LedgerOrder(init.graph);
    this.#graph = init.graph;
    this.#blobs = init.blobs;
    this.#initialModel = init.initialModel;
    const state = initialState(init.genesis, init.swarm, toHex(EMPTY_ROOT));
    this.#applied = [{ id: genesisDecision(init.swarm), body: undefined, header: undefined, state, stateRoot: stateRoot(state) }];
  }

  get head(): Applied {
    return this.#applied[this.#applied.length - 1] as Applied;
  }

  at(epoch: number): Applied | undefined {
    return this.#applied[epoch];
  }

  /** Drops everything after `epoch`; returns what was dropped, oldest first. */
  rewind(epoch: number): Applied[] {
    const dropped = this.#applied.splice(epoch + 1);
    for (const { state } of dropped) this.#models.delete(state.epoch);
    this.order.rewind(epoch);
    return dropped;
  }

  /**
   * Applies one decision on the one it stands on, in the place of whatever was applied after that. `header` and `sum`
   * are those of its aggregate, already checked against their hashes. Throws INCOMPATIBLE where it stands on nothing
   * that is applied, MISSING_PARENT when an entry of its roster is not held, AGGREGATE_MISSING when the model it builds
   * on cannot be had; the chain is then as it was.
   */
  async extend(id: DecisionId, body: DecisionBody, header: AggregateHeader | undefined, sum: Int32Array | undefined): Promise<Applied> {
    const before = this.#applied[body.epoch - 1]?.state;
    if (before === undefined || body.prev !== before.decision)
      throw new StarlingError('INCOMPATIBLE', 'a decision must follow one that is applied', { phase: 'apply', field: 'prev' });
    if (!body.roster.every((entry) => this.#graph.has(entry)))
      throw new StarlingError('MISSING_PARENT', 'entries of its roster are not here', { field: 'roster', phase: 'apply' });
    const theta = await this.model(before.epoch);
    const model =
      header === undefined || sum === undefined
        ? theta
        : applyAverage(theta, this.spans, {
            sum,
            weightTotal: header.weightTotal,
            eta: this.genesis.eta,
            exponents: before.scaleExponents,
          });
    const modelRoot = model === theta ? before.modelRoot : contentOf(bytesOf(model)).root;
    // From here on nothing waits and nothing fails.
    if (this.head.state !== before) this.rewind(before.epoch);
    const cut = this.order.append(body.epoch, body.roster);
    const state = reduce(this.genesis, before, {
      id,
      body,
      header,
      cut: cut.filter((e) => !e.void).map((e) => e.entry),
      contributions: this.contributionsOf(body).map((e) => ({ author: e.core.author, body: e.core.body })),
      treeSize: this.order.size,
      treeRoot: this.order.root(),
      modelRoot,
    });
    const applied: Applied = { id, body, header, state, stateRoot: stateRoot(state) };
    this.#applied.push(applied);
    this.#models.set(state.epoch, model);
    this.#models.delete(state.epoch - MODELS_KEPT);
    return applied;
  }

  /** The contributions of a decision's roster, in roster order. */
  contributionsOf(body: DecisionBody): EntryOf<'contribution'>[] {
    return body.roster.flatMap((id) => {
      const entry = this.#graph.get(id);
      return entry !== undefined && isKind(entry, 'contribution') ? [entry] : [];
    });
  }

  /** Parameters after `epoch`, P f32. MUST not be changed by the caller. Throws AGGREGATE_MISSING. */
  async model(epoch: number): Promise<Float32Array> {
    if (epoch === 0) return this.#initialModel;
    const kept = this.#models.get(epoch);
    if (kept !== undefined) return kept;
    const applied = this.#applied[epoch];
    if (applied === undefined) throw new StarlingError('NOT_FOUND', `epoch ${epoch} is not applied here`, { field: 'epoch' });
    const before = await this.model(epoch - 1);
    if (applied.header === undefined) return before;
    const sum = await this.#blobs.get(applied.header.sumRoot);
    if (sum === undefined)
      throw new StarlingError('AGGREGATE_MISSING', `the sum of epoch ${epoch} is not in the blob store`, {
        phase: 'apply',
        fix: 'restart the daemon: it fetches it from a peer',
      });
    const exponents = (this.#applied[epoch - 1] as Applied).state.scaleExponents;
    return applyAverage(before, this.spans, {
      sum: int32Of(sum),
      weightTotal: applied.header.weightTotal,
      eta: this.genesis.eta,
      exponents,
    });
  }

  find(entry: string): OrderedEntry | undefined {
    return this.order.find(entry);
  }
}

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
