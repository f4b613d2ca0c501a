/** One voter's signatures under attempts: one a number, also across restarts. */
import { type Attempt, type AttemptVote, type DecisionId, MAX_ATTEMPTS } from '../../spec/index.ts';
import { decode, encode, hashBytes, readHash, readInt, readTuple, signAttempt } from '../../wire/index.ts';
import type { Ballots } from './ballots.ts';
import type { ExchangeWorld } from './world.ts';

/** Ms that a number waits for its certificate, while voters are apart, before the next is voted for; as much longer each time. */
const PATIENCE_MS = 1_000;
/** Waits of that kind after which the highest number is gone to, whoever voted for it. */
const LONG = 4;
const KEY = 'attempt/voted';

type VoterWorld = Pick<ExchangeWorld, 'clock' | 'store' | 'identity'>;

export class Voter {
  readonly #world: VoterWorld;
  readonly #ballots: Ballots;
  readonly #base: DecisionId;
  /** Highest number voted for here; what a process before this one signed counts. */
  #last: number;
  #sinceMs: number;
  /** Highest number that a process before this one voted for, -1 for none. */
  readonly before: number;

  constructor(world: VoterWorld, ballots: Ballots, base: DecisionId) {
    this.#world = world;
    this.#ballots = ballots;
    this.#base = base;
    const saved = world.store.get(KEY);
    const [savedBase, number] = saved === undefined ? [null, -1] : readTuple(decode(saved, KEY, 256), KEY, 2);
    this.before = savedBase !== null && readHash(savedBase, KEY) === base ? readInt(number, KEY) : -1;
    this.#last = this.before;
    this.#sinceMs = world.clock.nowMs();
  }

  /** The number to vote for now, `least` or a later one; undefined where it is not time, or was voted for. */
  next(least: number, signers: number, needed: number): number | undefined {
    const ahead = this.#ahead(least, signers);
    if (ahead !== undefined) return ahead;
    if (this.#last < least) return least;
    // What was signed before this began says nothing of how long views take to meet now.
    const tries = Math.max(1, this.#last - Math.max(least - 1, this.before));
    const waited = (this.#world.clock.nowMs() - this.#sinceMs) / (PATIENCE_MS * tries);
    if (waited <= 1) return undefined;
    const catchUp = this.#catchUp(signers - needed, waited > LONG);
    if (catchUp > this.#last) return catchUp;
    const isApart = this.#ballots.votesFor(this.#last) >= needed || this.#last === this.before;
    return isApart ? this.#last + 1 : undefined;
  }

  /** Signs it: its number is one that `next` gave. Durable before it is told. */
  sign(attempt: Attempt): AttemptVote | undefined {
    if (attempt.number > MAX_ATTEMPTS) return undefined;
    this.#world.store.set(KEY, encode([hashBytes(this.#base), attempt.number]));
    this.#last = attempt.number;
    this.#sinceMs = this.#world.clock.nowMs();
    return signAttempt(attempt, this.#world.identity);
  }

  /**
   * Voters that restarted, or signed beyond a partition, stand at numbers of their own, and none goes back. Where all but `others` of
   * them are at this number or below, they can meet there; after a long wait, where the highest is: some that count may be gone.
   */
  #catchUp(others: number, isLong: boolean): number {
    return this.#ballots.latest()[isLong ? 0 : others] ?? -1;
  }

  /** A later number for which half of the voters have voted already. */
  #ahead(least: number, signers: number): number | undefined {
    const from = Math.max(least, this.#last + 1);
    for (let number = this.#ballots.highest; number > Math.max(from - 1, least); number--)
      if (2 * this.#ballots.votesFor(number) >= signers) return number;
    return undefined;
  }
}
