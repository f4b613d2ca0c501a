/** Steps 1 to 5 as the epochs go by: this node's own submission, everybody's contributions, and how long they took to come. */
import type { EntryOf } from '../ledger/index.ts';
import type { EntryId, Fingerprint } from '../spec/index.ts';
import { Collector, type CollectorListener, isWorthKeeping } from './collector.ts';
import type { EpochContext } from './context.ts';
import { AdaptiveDeadline } from './deadline.ts';
import type { Diffusion, Learned } from './diffusion/index.ts';
import type { Residual } from './residual.ts';
import type { UpdateSubmission } from './submission.ts';
import { type Submitted, submit } from './submit.ts';

/** What a submission needs of whoever drives the epochs. */
export interface SubmitHooks {
  /** Resolves when no step is being taken any more. */
  settled(): Promise<void>;
  /** An update for this epoch is being prepared; false: nothing comes of it. */
  prepares(is: boolean): void;
  /** Undefined where nodes without a quorum decide. */
  readonly diffusion: Diffusion | undefined;
}

export class Intake implements CollectorListener {
  readonly #ctx: EpochContext;
  readonly #residual: Residual;
  readonly #listener: CollectorListener;
  readonly #deadline: AdaptiveDeadline;
  #collector: Collector;
  #submitting: Promise<unknown> = Promise.resolve();
  /** Monotonic ms at which the present epoch's first contribution came, and the one's before. */
  #startMs = 0;
  #previousStartMs = 0;
  #hasStarted = false;

  constructor(ctx: EpochContext, residual: Residual, listener: CollectorListener) {
    this.#ctx = ctx;
    this.#residual = residual;
    this.#listener = listener;
    this.#deadline = new AdaptiveDeadline(ctx.genesis);
    this.#collector = new Collector(ctx, this);
  }

  /** Ms from an epoch's start until the next one's contributions are taken for late. */
  get deadlineMs(): number {
    return this.#deadline.ms;
  }

  /** A new epoch over the head. */
  renew(): void {
    this.#collector.end();
    this.#collector = new Collector(this.#ctx, this);
    this.#hasStarted = false;
  }

  /** Takes what is on the ledger already; puts an own contribution out again that a restart left unpublished. */
  begin(): Promise<void> {
    return this.#collector.begin(this.#residual);
  }

  /** The epoch's first contribution, or what else begins it, is here. */
  started(): void {
    this.#previousStartMs = this.#startMs;
    this.#startMs = this.#ctx.ports.clock.nowMs();
    this.#hasStarted = true;
  }

  /**
   * Steps 1 to 4, one at a time: two trainers of one node share its one contribution an epoch. While this node diffuses, it only learns;
   * what has diffused is part of its next contribution.
   */
  submit(submission: UpdateSubmission, { settled, prepares, diffusion }: SubmitHooks): Promise<Submitted | Learned> {
    const run = this.#submitting.then(async () => {
      // A step that has just been taken may not have left the residual yet.
      await settled();
      if (diffusion?.isOn === true) return diffusion.learn(submission);
      if (diffusion !== undefined) await diffusion.absorb();
      let hasBegun = false;
      const begins = (): void => {
        hasBegun = true;
        prepares(true);
      };
      try {
        const done = await submit(this.#ctx, this.#residual, submission, begins);
        this.news(done.contributionId);
        return done;
      } catch (error) {
        if (hasBegun) prepares(false);
        throw error;
      }
    });
    this.#submitting = run.catch(() => undefined);
    return run;
  }

  /** Resolves when nothing is being submitted. */
  async atRest(): Promise<void> {
    await this.#submitting;
  }

  /** A contribution has come onto the ledger. */
  accepted(entry: EntryOf<'contribution'>): void {
    if (this.#collector.accepted(entry)) return;
    if (isWorthKeeping(this.#ctx, entry)) this.#ctx.updates.expect(entry);
    else if (entry.core.body.epoch === this.#ctx.chain.head.state.epoch)
      this.#arrived(this.#hasStarted ? this.#previousStartMs : this.#startMs);
  }

  /** Key or bytes of a contribution may have arrived. */
  news(id: EntryId): void {
    this.#collector.news(id);
  }

  /** Asks for what neither gossip nor a key push has brought. */
  fetchMissing(): void {
    this.#collector.fetchMissing();
  }

  seen(author: Fingerprint | undefined): void {
    this.#listener.seen(author);
  }

  held(entry: EntryOf<'contribution'>): void {
    this.#arrived(this.#startMs);
    this.#listener.held(entry);
  }

  holders(id: EntryId): readonly Fingerprint[] {
    return this.#listener.holders(id);
  }

  #arrived(sinceMs: number): void {
    this.#deadline.arrived(this.#ctx.ports.clock.nowMs() - sinceMs);
  }
}
