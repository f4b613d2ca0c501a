/** What this node would propose in a round that is its own. */
import { ZERO_HASH } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import { asStarlingError, type EntryId, VOTING } from '../spec/index.ts';
import { keepAggregate } from './aggregates.ts';
import { average, nothingAveraged } from './average.ts';
import { draftBlock, isJudged } from './blocks.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';
import type { Candidate } from './waitingBlocks.ts';

export interface OffersListener {
  /** The round in which an offer is due of this node now, if there is one. */
  due(): number | undefined;
  /** Whether the vote goes on in this round. */
  isIn(round: number): boolean;
  offered(candidate: Candidate): void;
}

export class Offers {
  readonly #ctx: EpochContext;
  readonly #base: Applied;
  readonly #listener: OffersListener;
  #roster: readonly EntryId[] | undefined;
  #offering = false;
  /** The round that this node has made an offer for. */
  #offered = -1;

  constructor(ctx: EpochContext, base: Applied, listener: OffersListener) {
    this.#ctx = ctx;
    this.#base = base;
    this.#listener = listener;
  }

  /** This node's own roster is settled. */
  settle(roster: readonly EntryId[]): void {
    this.#roster = roster;
  }

  /** Drafts a block where one is due and none was offered in its round. Something may have changed. */
  consider(): void {
    const round = this.#listener.due();
    if (round === undefined || this.#offered >= round || this.#offering || this.#roster === undefined) return;
    this.#offering = true;
    void this.#offer(this.#roster, round)
      .catch((error: unknown) => {
        const problem = asStarlingError(error);
        // While its model is being fetched a node has nothing to offer, and that is no fault.
        const level = problem.code === 'AGGREGATE_MISSING' ? 'debug' : 'error';
        this.#ctx.ports.journal.log(level, 'epoch', 'no block could be offered', { epoch: this.#epoch, ...problem.toJSON() });
      })
      .finally(() => {
        this.#offering = false;
      });
  }

  get #epoch(): number {
    return this.#base.state.epoch + 1;
  }

  async #offer(settled: readonly EntryId[], round: number): Promise<void> {
    const ctx = this.#ctx;
    const { state } = this.#base;
    const isPending = ctx.sums.isPending(state, settled);
    if (isPending && round < VOTING.emptyFromRound) return;
    let aggregate = await (isPending ? nothingAveraged : average)(ctx, state, settled);
    if (!isJudged(ctx, this.#base, aggregate.hash)) {
      if (round < VOTING.emptyFromRound) return;
      // Nobody agrees on what was averaged: membership goes on without it.
      const joins = aggregate.roster.filter((id) => isJoin(ctx, id));
      aggregate = await average(ctx, state, joins);
    }
    const candidate = await draftBlock(ctx, this.#base, aggregate);
    if (!this.#listener.isIn(round)) return;
    const { aggregateHash } = candidate.block.header;
    if (aggregateHash !== ZERO_HASH) await keepAggregate(ctx, { hash: aggregateHash, ...candidate.aggregate });
    this.#offered = round;
    this.#listener.offered(candidate);
  }
}

function isJoin(ctx: EpochContext, id: EntryId): boolean {
  const entry = ctx.replica.graph.get(id);
  return entry !== undefined && isKind(entry, 'join');
}
