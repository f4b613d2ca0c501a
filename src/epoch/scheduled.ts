/** Step 7 in a scheduled epoch: the sum that members made over streams, with what shows that it is theirs (PROTOCOL section 6). */
import { bytesOf } from '../aggregation/index.ts';
import { type AggregateHeader, type Attempt, type EntryId, type Hex, StarlingError, type SwarmState } from '../spec/index.ts';
import { aggregateHash, attemptId, encodeOpening } from '../wire/index.ts';
import { type Aggregate, nothingAveraged, weightsOf } from './average.ts';
import type { EpochContext } from './context.ts';
import type { Averaged, AverageJob, Exchanges } from './exchange/index.ts';
import { contentInTurns } from './served.ts';

/** Aggregates whose openings were checked and are remembered: those of a few epochs. */
const CHECKED_KEPT = 16;
/** Ms for which an own exchange that still runs is waited for before a sum that somebody proposes is pulled. */
const GRACE_MS = 3_000;

interface Run {
  readonly roster: string;
  readonly aggregate: Promise<Aggregate>;
  done: Aggregate | undefined;
}

export class ScheduledSums {
  #exchanges: Pick<Exchanges, 'begin' | 'isCertified'> | undefined;
  /** Of the newest base alone. */
  #base: SwarmState | undefined;
  #run: Run | undefined;
  /** Attempts whose sum was found to be that of its rows, by the aggregate's hash. */
  readonly #checked = new Map<Hex, Attempt>();
  /** When a sum was first asked for that an own exchange may be about to give. */
  readonly #askedMs = new Map<Hex, number>();

  /** Whoever moves bytes. Without it nothing is summed here. */
  connect(exchanges: Pick<Exchanges, 'begin' | 'isCertified'>): void {
    this.#exchanges = exchanges;
  }

  /**
   * Takes part in summing the roster that was settled here; the same run for the same base and roster, whoever signs attempts now.
   * Rejects with EPOCH_PAST where another base, or another roster, ended it.
   */
  begin(ctx: EpochContext, job: AverageJob): Promise<Aggregate> {
    const roster = job.roster.join(' ');
    const exchanges = this.#exchanges;
    if (exchanges === undefined)
      return Promise.reject(new StarlingError('AGGREGATE_MISSING', 'nothing is summed here', { phase: 'average' }));
    const summed = exchanges.begin(job);
    if (this.#base === job.base && this.#run?.roster === roster) return this.#run.aggregate;
    const run: Run = { roster, aggregate: summed.then((averaged) => this.#take(ctx, job, averaged)), done: undefined };
    this.#base = job.base;
    this.#run = run;
    this.#askedMs.clear();
    run.aggregate.then(
      (aggregate) => {
        run.done = aggregate;
      },
      () => {
        if (this.#run === run) this.#run = undefined;
      },
    );
    return run.aggregate;
  }

  /** The sum of a roster that was settled here, under way or there. */
  of(base: SwarmState, roster: readonly EntryId[]): Promise<Aggregate> | undefined {
    return this.#base === base && this.#run?.roster === roster.join(' ') ? this.#run.aggregate : undefined;
  }

  /** A sum over `base` that was made here. */
  find(base: SwarmState, hash: Hex): Aggregate | undefined {
    const done = this.#base === base ? this.#run?.done : undefined;
    return done?.hash === hash ? done : undefined;
  }

  /** Whether an exchange over `base` may give this sum soon, so that it need not be pulled. */
  isComing(ctx: EpochContext, base: SwarmState, hash: Hex): boolean {
    if (this.#base !== base || this.#run === undefined || this.#run.done !== undefined) return false;
    const nowMs = ctx.ports.clock.nowMs();
    const askedMs = this.#askedMs.get(hash) ?? nowMs;
    this.#askedMs.set(hash, askedMs);
    return nowMs - askedMs < GRACE_MS;
  }

  /** Whether those who sign attempts have signed this one, as far as heard here. */
  isCertified(attempt: Attempt): boolean {
    return this.#exchanges?.isCertified(attemptId(attempt)) === true;
  }

  checked(hash: Hex): Attempt | undefined {
    return this.#checked.get(hash);
  }

  /** The sum with this hash is that of the rows behind the attempt's commitments. */
  keepChecked(hash: Hex, attempt: Attempt): void {
    this.#checked.set(hash, attempt);
    for (const oldest of this.#checked.keys()) if (this.#checked.size > CHECKED_KEPT) this.#checked.delete(oldest);
  }

  async #take(ctx: EpochContext, { base }: AverageJob, averaged: Averaged | undefined): Promise<Aggregate> {
    if (averaged === undefined)
      throw new StarlingError('EPOCH_PAST', `the sum of epoch ${base.epoch + 1} is not made any more`, { phase: 'average' });
    const { attempt, sum, rhoSum, commitments } = averaged;
    const { roster, dropped } = attempt;
    const weightTotal = averaged.weights.reduce((total, weight) => total + weight, 0);
    if (weightTotal === 0) return nothingAveraged(ctx, base, roster);
    const opening = encodeOpening({ attempt, rhoSum, commitments });
    const content = bytesOf(sum);
    const header: AggregateHeader = {
      v: 1,
      epoch: base.epoch + 1,
      weightTotal,
      sumRoot: (await contentInTurns(ctx.ports.clock, content)).root,
      sumBytes: content.byteLength,
      distances: [],
      // Durable before anybody hears of the hash that names it.
      opening: { root: await ctx.ports.blobs.put(opening), bytes: opening.byteLength },
    };
    const hash = aggregateHash(header);
    this.keepChecked(hash, attempt);
    return { roster, weights: weightsOf(ctx, base, roster), dropped, hash, header, sum };
  }
}

/** A roster in a scheduled epoch: what was summed of it, if something in it has a weight. Throws AGGREGATE_MISSING where it is not summed here. */
export async function averageScheduled(ctx: EpochContext, base: SwarmState, roster: readonly EntryId[]): Promise<Aggregate> {
  const summed = ctx.sums.of(base, roster);
  if (summed === undefined)
    throw new StarlingError('AGGREGATE_MISSING', `no sum of this roster is made here in epoch ${base.epoch + 1}`, { phase: 'average' });
  return await summed;
}
