/** What becomes of a settled roster: its sum, this voter's verdict, and a vote; or, without a quorum, a provisional decision. */
import { quorumOf } from '../consensus/index.ts';
import { asStarlingError, type EntryId } from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { average, nothingAveraged, weighs } from './average.ts';
import type { Applied } from './chain.ts';
import type { Committee } from './committee.ts';
import type { EpochContext } from './context.ts';
import { diffuses } from './diffusion/index.ts';
import type { AverageJob } from './exchange/index.ts';
import type { MachineState } from './machine.ts';
import { decide } from './provisional.ts';
import type { RosterTalk } from './roster.ts';
import { averageByStreams } from './scheduled.ts';
import type { Aggregate } from './sums.ts';
import { judge } from './verdict.ts';

/** Deadlines of an epoch that a sum may take beside its bytes, and bytes a ms of the slowest link that is waited for: 1 Mbit/s. */
const PATIENCE = 10;
const SLOWEST = 125;

export interface OutcomeListener {
  readonly talk: RosterTalk;
  readonly state: MachineState;
  /** The sum is there; `final`: the committee votes on it. */
  averaged(final: boolean): void;
  advance(): Promise<void>;
  /** The epoch begins anew over the same head. */
  again(): void;
  failedToAverage(): void;
}

export class Outcome {
  readonly #ctx: EpochContext;
  readonly #committee: Committee;
  readonly #joined: Promise<void>;
  readonly #listener: OutcomeListener;
  /** Rosters handed in so far: what comes of an earlier one counts no longer. */
  #runs = 0;

  /** `joined`: this node's chain has begun; what follows from a roster writes to it. */
  constructor(ctx: EpochContext, committee: Committee, joined: Promise<void>, listener: OutcomeListener) {
    this.#ctx = ctx;
    this.#committee = committee;
    this.#joined = joined;
    this.#listener = listener;
  }

  async average(roster: readonly EntryId[]): Promise<void> {
    const { chain, timeline, ports } = this.#ctx;
    const base = chain.head;
    const epoch = base.state.epoch + 1;
    // The head has moved and the next epoch is about to begin: this roster is of another one.
    if (base.id !== this.#listener.talk.base) return;
    const sinceMs = ports.clock.nowMs();
    this.#runs++;
    const run = this.#runs;
    try {
      // The others may know this node's chain further than it does.
      await this.#joined;
      const sum = this.#sum(base, roster);
      const aggregate = await this.#inTime(sum);
      timeline.mark(epoch, 'average', sinceMs);
      if (chain.head !== base || run !== this.#runs) return;
      if (aggregate === undefined) {
        ports.journal.log('warn', 'epoch', 'nobody gave the sum in time: the epoch may end without it', { epoch, roster: roster.length });
        // It may come yet, and count.
        sum.then((late) => judge(this.#ctx, base, late)).catch(() => undefined);
      }
      if (!this.#isFinal) return await this.decide(roster);
      const averagedMs = ports.clock.nowMs();
      if (aggregate !== undefined) await judge(this.#ctx, base, aggregate);
      timeline.mark(epoch, 'audit', averagedMs);
      this.#listener.averaged(true);
      if (this.#listener.state.phase !== 'voting') return;
      // The quorum may have gone meanwhile.
      if (this.#ctx.quorate) this.#committee.voting.begin(base.id, roster);
      else await this.decide(roster);
    } catch (error) {
      // What ended it has begun something else.
      if (chain.head !== base || run !== this.#runs) return;
      const problem = asStarlingError(error).toJSON();
      ports.journal.log('error', 'epoch', 'averaging failed; the epoch starts over', { epoch, ...problem });
      this.#listener.failedToAverage();
    }
  }

  /** Undefined where a sum that moved at all would be there: where its few members are gone or lie, nobody may be left to drop them. */
  async #inTime(sum: Promise<Aggregate>): Promise<Aggregate | undefined> {
    const { genesis, spans, ports } = this.#ctx;
    const bytes = 2 * Int32Array.BYTES_PER_ELEMENT * (spans.at(-1)?.end ?? 0);
    const over = Promise.withResolvers<undefined>();
    const timer = ports.clock.after(PATIENCE * genesis.epochDeadlineMs + bytes / SLOWEST, () => over.resolve(undefined));
    try {
      return await Promise.race([sum, over.promise]);
    } finally {
      timer.cancel();
    }
  }

  #sum(base: Applied, roster: readonly EntryId[]): Promise<Aggregate> {
    const ctx = this.#ctx;
    if (!ctx.isScheduled(base.state) || !weighs(ctx, base.state, roster)) return average(ctx, base.state, roster);
    return averageByStreams(ctx, { base: base.state, roster, ...this.#electorate(base) });
  }

  /** Who certifies attempts: the committee, or, where no quorum is in reach, more than half of those who settled the roster. */
  #electorate({ state }: Applied): Pick<AverageJob, 'signers' | 'needed' | 'onlySigners'> {
    if (this.#isFinal) {
      const signers = votersOf(state);
      return { signers, needed: quorumOf(signers.length) };
    }
    const signers = this.#listener.talk.negotiation.voters;
    return { signers, needed: Math.floor(signers.length / 2) + 1, onlySigners: true };
  }

  /** What is averaged now is for a block. Where nodes diffuse it waits for a quorum: nothing is decided without one. */
  get #isFinal(): boolean {
    const { chain, quorate } = this.#ctx;
    return diffuses(this.#ctx) || (quorate && !chain.isProvisional);
  }

  /** Without a quorum: this node's provisional decision for the settled roster. */
  async decide(roster: readonly EntryId[]): Promise<void> {
    if (diffuses(this.#ctx)) return;
    const { chain, timeline, ports } = this.#ctx;
    const base = chain.head.state;
    const sinceMs = ports.clock.nowMs();
    const isPending = this.#ctx.sums.isPending(base, roster);
    await decide(this.#ctx, base, isPending ? await nothingAveraged(this.#ctx, base, roster) : await average(this.#ctx, base, roster));
    timeline.mark(base.epoch + 1, 'finalise', sinceMs);
    this.#listener.averaged(false);
    await this.#listener.advance();
    // The quorum may have come back while this node decided alone.
    const { phase } = this.#listener.state;
    if (this.#ctx.quorate && phase === 'applying' && !chain.isProvisional && this.#listener.talk.base === chain.head.id)
      this.#listener.again();
  }
}
