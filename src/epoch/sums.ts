/** What became of a roster: its sum, and in scheduled epochs where it stands while others make it with this node. */
import { type AggregateHeader, type Attempt, type Dropped, type EntryId, type Hex, StarlingError, type SwarmState } from '../spec/index.ts';
import { attemptId } from '../wire/index.ts';
import type { Averaged, AverageJob, Exchanges } from './exchange/index.ts';

/** What a roster averages to. `header` and `sum` are undefined when no weight is in it: the model stays. */
export interface Aggregate {
  /** Ascending. Where voters settled differently, not what this node settled on. */
  readonly roster: readonly EntryId[];
  readonly weights: readonly number[];
  readonly dropped: readonly Dropped[];
  readonly hash: Hex;
  readonly header: AggregateHeader | undefined;
  readonly sum: Int32Array | undefined;
}

/** Aggregates whose openings were checked and are remembered: those of a few epochs. */
const CHECKED_KEPT = 16;
/** Ms for which an own exchange that still runs is waited for before a sum that somebody proposes is pulled. */
const GRACE_MS = 3_000;

interface Run {
  readonly roster: string;
  readonly summed: Promise<Averaged | undefined>;
  readonly aggregate: Promise<Aggregate>;
  done: Aggregate | undefined;
}

/** Sums of scheduled epochs that this node takes part in, and those that it has checked. */
export class ScheduledSums {
  #exchanges: Pick<Exchanges, 'begin' | 'isCertified' | 'rest'> | undefined;
  /** Of the newest base alone. */
  #base: SwarmState | undefined;
  #run: Run | undefined;
  /** Attempts whose sum was found to be that of its rows, by the aggregate's hash. */
  readonly #checked = new Map<Hex, Attempt>();
  /** When a sum was first asked for that an own exchange may be about to give. */
  readonly #askedMs = new Map<Hex, number>();

  /** Whoever moves bytes. Without it nothing is summed here. */
  connect(exchanges: Pick<Exchanges, 'begin' | 'isCertified' | 'rest'>): void {
    this.#exchanges = exchanges;
  }

  /**
   * Takes part in summing the roster that was settled here; the same run while the exchange goes on with it.
   * `finish` makes an aggregate of the sum. Rejects with EPOCH_PAST where another base, or another roster, ended it.
   */
  begin(job: AverageJob, finish: (averaged: Averaged) => Promise<Aggregate>): Promise<Aggregate> {
    const roster = job.roster.join(' ');
    if (this.#exchanges === undefined) return Promise.reject(notSummed(job.base));
    const summed = this.#exchanges.begin(job);
    if (this.#base === job.base && this.#run?.summed === summed) return this.#run.aggregate;
    const aggregate = summed.then((averaged) => {
      if (averaged !== undefined) return finish(averaged);
      throw new StarlingError('EPOCH_PAST', `the sum of epoch ${job.base.epoch + 1} is not made any more`, { phase: 'average' });
    });
    const run: Run = { roster, summed, aggregate, done: undefined };
    this.#base = job.base;
    this.#run = run;
    this.#askedMs.clear();
    aggregate.then(
      (done) => {
        run.done = done;
      },
      () => {
        if (this.#run === run) this.#run = undefined;
      },
    );
    return aggregate;
  }

  /** The sum of a roster that was settled here, under way or there. Rejects with AGGREGATE_MISSING for any other. */
  of(base: SwarmState, roster: readonly EntryId[]): Promise<Aggregate> {
    const isIt = this.#base === base && this.#run?.roster === roster.join(' ');
    return isIt && this.#run !== undefined ? this.#run.aggregate : Promise.reject(notSummed(base));
  }

  /** The head is another one: a sum over a base before it is let go, and what made it once it is final. */
  forget(head: SwarmState, finalEpoch: number): void {
    if (this.#base !== head) this.#run = undefined;
    void this.#exchanges?.rest(finalEpoch);
  }

  /** A sum over `base` that was made here. */
  find(base: SwarmState, hash: Hex): Aggregate | undefined {
    const done = this.#base === base ? this.#run?.done : undefined;
    return done?.hash === hash ? done : undefined;
  }

  /** Whether this node takes part in a sum that is not there yet. */
  get isRunning(): boolean {
    return this.#run !== undefined && this.#run.done === undefined;
  }

  /** Whether that is the sum of this roster. */
  isPending(base: SwarmState, roster: readonly EntryId[]): boolean {
    return this.isRunning && this.#base === base && this.#run?.roster === roster.join(' ');
  }

  /** Whether an exchange over `base` may give this sum soon, so that it need not be pulled. */
  isComing(base: SwarmState, hash: Hex, nowMs: number): boolean {
    if (this.#base !== base || !this.isRunning) return false;
    const askedMs = this.#askedMs.get(hash) ?? nowMs;
    this.#askedMs.set(hash, askedMs);
    return nowMs - askedMs < GRACE_MS;
  }

  /** Whether those who sign attempts have signed this one, as far as heard here. */
  isCertified(attempt: Attempt): boolean {
    return this.#exchanges?.isCertified(attemptId(attempt)) === true;
  }

  /** The attempt behind a sum that was found to be that of its rows. */
  checked(hash: Hex): Attempt | undefined {
    return this.#checked.get(hash);
  }

  /** The sum with this hash is that of the rows behind the attempt's commitments. */
  keepChecked(hash: Hex, attempt: Attempt): void {
    this.#checked.set(hash, attempt);
    for (const oldest of this.#checked.keys()) if (this.#checked.size > CHECKED_KEPT) this.#checked.delete(oldest);
  }
}

const notSummed = ({ epoch }: SwarmState): StarlingError =>
  new StarlingError('AGGREGATE_MISSING', `no such sum of epoch ${epoch + 1} is made here`, { phase: 'average' });
