/** Collects the contributions of one epoch over one base: entries as they come, values as they can be had. */
import { type EntryOf, isKind } from '../ledger/index.ts';
import {
  asStarlingError,
  type DecisionId,
  type EntryId,
  type Fingerprint,
  MAX_JOINS,
  MAX_ROSTER,
  mayContribute,
  type PeerId,
  StarlingError,
} from '../spec/index.ts';
import { classOf, ineligible } from './audit.ts';
import { type EpochContext, peerOf } from './context.ts';
import { isForked } from './cuts.ts';
import { fetchUpdate } from './fetch.ts';
import { publish, publishEntry } from './publish.ts';
import type { Residual } from './residual.ts';
import { ownContribution } from './submit.ts';

/**
 * Ms for which key push and inline bytes are waited for before an update is asked for; between tries that bring nothing twice as
 * long each time, up to the last: whoever cannot or will not give it costs little.
 */
const FETCH_GRACE_MS = 300;
const FETCH_LAST_MS = 2_400;

/** Epochs ahead of the head for which updates are kept: a node that lags by one misses nothing, and a liar gains nothing. */
const EPOCHS_AHEAD_KEPT = 2;

/**
 * Whether an update may come to count here, so that its values are worth memory: of an epoch that is collected now or
 * soon, the first of its author for it, by someone whose class contributes.
 */
export function isWorthKeeping(ctx: EpochContext, entry: EntryOf<'contribution'>): boolean {
  const { state } = ctx.chain.head;
  const ahead = entry.core.body.epoch - state.epoch;
  const nodeClass = classOf(ctx, state, entry);
  return ahead >= 1 && ahead <= EPOCHS_AHEAD_KEPT && nodeClass !== undefined && mayContribute(nodeClass) && isFirst(ctx, entry);
}

/** Whether its author contributed nothing earlier to the same epoch over the same base. */
function isFirst(ctx: EpochContext, entry: EntryOf<'contribution'>): boolean {
  const { author, anchorBlock, seq, body } = entry.core;
  return ctx.replica.graph
    .contributionsOf(body.epoch)
    .every((e) => e.core.author !== author || e.core.anchorBlock !== anchorBlock || e.core.seq >= seq);
}

export interface CollectorListener {
  /** A contribution for this epoch is on the ledger; `author` where its values may come to be held. */
  seen(author: Fingerprint | undefined): void;
  /** Its values are here and hold. Called once an author. */
  held(entry: EntryOf<'contribution'>): void;
  /** Nodes, beside the author, that say they hold an update. */
  holders(id: EntryId): readonly Fingerprint[];
}

export class Collector {
  readonly #ctx: EpochContext;
  readonly #listener: CollectorListener;
  readonly #base: DecisionId;
  /** Contributions without values: since when, and whether they are being fetched. */
  readonly #wanted = new Map<EntryId, { sinceMs: number; pauseMs: number; busy: boolean }>();
  readonly #authors = new Set<Fingerprint>();
  readonly #over = new AbortController();
  /** Where this node begins among the others, [0, 1). */
  readonly #spread: number;

  /** Over the present head. */
  constructor(ctx: EpochContext, listener: CollectorListener) {
    this.#ctx = ctx;
    this.#listener = listener;
    this.#base = ctx.chain.head.id;
    this.#spread = ctx.ports.entropy.uniform();
  }

  /** Another collector takes over. What is pulled for another epoch, or another base, is given up; what has come of it is kept a while. */
  end(): void {
    if (this.#ctx.chain.head.id !== this.#base)
      this.#over.abort(new StarlingError('EPOCH_REGRESSION', 'the epoch is over', { phase: 'fetch' }));
  }

  /** Takes what is on the ledger already, and puts an own contribution out again that a restart left unpublished. */
  async begin(residual: Residual): Promise<void> {
    const epoch = this.#ctx.chain.head.state.epoch + 1;
    for (const entry of this.#ctx.replica.graph.contributionsOf(epoch)) this.accepted(entry);
    const own = ownContribution(this.#ctx, epoch);
    if (own !== undefined && this.#ctx.isScheduled(this.#ctx.chain.head.state)) return publishEntry(this.#ctx, own);
    const update =
      own === undefined || this.#ctx.updates.row(own.id) !== undefined ? undefined : await residual.get(own.core.body.updateHash);
    if (own === undefined || update === undefined) return;
    await publish(this.#ctx, own, update);
    this.news(own.id);
  }

  /** A contribution has come onto the ledger. False when it is not for this epoch, over this base, by someone who may. */
  accepted(entry: EntryOf<'contribution'>): boolean {
    if (!this.#isCurrent(entry)) return false;
    const { author } = entry.core;
    const isOne = isFirst(this.#ctx, entry);
    this.#listener.seen(isOne && !isForked(this.#ctx, author) ? author : undefined);
    if (!isOne) return true;
    // Its values go to nobody whole: the entry, with its commitment's hash, is all that there is to hold.
    if (this.#ctx.isScheduled(this.#ctx.chain.head.state)) {
      this.#hold(entry);
      return true;
    }
    this.#ctx.updates.expect(entry);
    if (!this.#wanted.has(entry.id)) this.#wanted.set(entry.id, { sinceMs: this.#nowMs, pauseMs: FETCH_GRACE_MS, busy: false });
    this.news(entry.id);
    return true;
  }

  /** Key or bytes of a contribution may have arrived. */
  news(id: EntryId): void {
    const entry = this.#ctx.replica.graph.get(id);
    if (entry === undefined || !isKind(entry, 'contribution') || !this.#isCurrent(entry)) return;
    if (this.#ctx.isScheduled(this.#ctx.chain.head.state)) return;
    try {
      if (this.#ctx.updates.open(id, this.#ctx.chain.head.state.scaleExponents)) this.#hold(entry);
    } catch (error) {
      const problem = asStarlingError(error, { phase: 'verify', peer: entry.core.author });
      this.#ctx.ports.journal.log('warn', 'epoch', 'an update does not open to what its entry names', { entry: id, ...problem.toJSON() });
    }
  }

  /** Asks for what neither gossip nor a key push has brought. */
  fetchMissing(): void {
    const { replica, updates, chain } = this.#ctx;
    for (const [id, wanted] of this.#wanted) {
      if (wanted.busy || this.#nowMs - wanted.sinceMs < wanted.pauseMs || !updates.wanted(id)) continue;
      const holders = this.#holdersOf(id, replica.graph.get(id)?.core.author);
      if (holders.length === 0) continue;
      wanted.busy = true;
      const sources = { holders, others: () => this.#membersNear(), signal: this.#over.signal };
      void fetchUpdate(this.#ctx, id, sources, chain.head.state.scaleExponents).then((held) => {
        wanted.busy = false;
        wanted.sinceMs = this.#nowMs;
        wanted.pauseMs = Math.min(FETCH_LAST_MS, 2 * wanted.pauseMs);
        if (held) this.news(id);
      });
    }
  }

  /** An author counts once an epoch, and not while its chain is forked. */
  #hold(entry: EntryOf<'contribution'>): void {
    const { author, body } = entry.core;
    this.#wanted.delete(entry.id);
    if (!isFirst(this.#ctx, entry) || isForked(this.#ctx, author)) return;
    if (this.#authors.has(author) || this.#authors.size >= MAX_ROSTER - MAX_JOINS) return;
    this.#authors.add(author);
    this.#ctx.timeline.mark(body.epoch, 'verify');
    this.#listener.held(entry);
  }

  /** While the head moves on, nothing is: the next collector takes it up. */
  #isCurrent(entry: EntryOf<'contribution'>): boolean {
    const { head } = this.#ctx.chain;
    return head.id === this.#base && ineligible(this.#ctx, head.state, entry) === undefined;
  }

  #holdersOf(id: EntryId, author: Fingerprint | undefined): PeerId[] {
    const nodes = new Set([...(author === undefined ? [] : [author]), ...this.#listener.holders(id)]);
    nodes.delete(this.#ctx.self);
    return [...nodes].flatMap((node) => peerOf(this.#ctx, node) ?? []);
  }

  /** Connected members in an order that spreads those who pull over them: they want the same updates. */
  #membersNear(): PeerId[] {
    const { streams } = this.#ctx.ports;
    const members = streams.peers().filter((peer) => {
      const node = this.#ctx.directory.nodeOf(peer);
      return node !== undefined && !this.#ctx.diverging.has(node);
    });
    const from = Math.floor(this.#spread * members.length);
    return [...members.slice(from), ...members.slice(0, from)];
  }

  get #nowMs(): number {
    return this.#ctx.ports.clock.nowMs();
  }
}
