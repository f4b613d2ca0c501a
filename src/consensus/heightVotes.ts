import { type BlockHash, type Fingerprint, MAX_ROUNDS, type Vote, type VoteBody, type VoteStep } from '../spec/index.ts';
import { faultsOf } from './quorum.ts';
import type { VoteSet } from './voteSet.ts';

/** Rounds before the current one whose votes are still counted: honest nodes that hear each other are at most one apart. */
const PAST_ROUNDS = 16;
/** Votes kept of a voter for rounds to come, the highest ones: two rounds, two steps, two values. */
const KEPT_AHEAD = 8;

export type RoundVotes = Readonly<Record<VoteStep, VoteSet>>;

/**
 * The votes of one height, in bounded memory whatever a voter sends: every round of the recent past, and of rounds to come the
 * highest few votes of each voter.
 */
export class HeightVotes {
  readonly #epoch: number;
  readonly #voters: ReadonlySet<Fingerprint>;
  readonly #newRound: () => RoundVotes;
  readonly #rounds = new Map<number, RoundVotes>();
  /** Votes for rounds to come, by voter, the highest round first. */
  readonly #ahead = new Map<Fingerprint, Vote[]>();
  readonly #accused = new Set<Fingerprint>();
  #conflicts: { readonly first: Vote; readonly second: Vote }[] = [];
  readonly #none: RoundVotes;
  #round = 0;

  constructor(epoch: number, voters: readonly Fingerprint[], newSet: () => VoteSet) {
    this.#epoch = epoch;
    this.#voters = new Set(voters);
    this.#newRound = () => ({ prevote: newSet(), precommit: newSet() });
    this.#none = this.#newRound();
  }

  /** The votes of a round, counted so far. */
  at(round: number): RoundVotes {
    return this.#rounds.get(round) ?? this.#none;
  }

  /** The rounds of which something is known, in no particular order. */
  rounds(): readonly number[] {
    return [...this.#rounds.keys()];
  }

  /** Whether it was news. Votes of strangers, of other epochs and of rounds out of bounds are not. */
  add(vote: Vote, certified = false): boolean {
    if (!this.#isInBounds(vote, certified)) return false;
    return vote.round > this.#round ? this.#keepAhead(vote) : this.#count(vote, certified);
  }

  /** Whether a vote could still count or convict its voter, as far as can be said without its signature. Changes nothing. */
  isNews(vote: VoteBody): boolean {
    if (!this.#isInBounds(vote, false)) return false;
    const { voter, round, step, block } = vote;
    const kept = this.#ahead.get(voter) ?? [];
    const set = this.#rounds.get(round)?.[step];
    const same = round > this.#round ? kept.filter((other) => other.round === round && other.step === step) : [];
    if (same.some((other) => other.block === block)) return false;
    const first = round > this.#round ? same[0] : set?.firstOf(voter);
    if (first !== undefined && first.block !== block && !this.#accused.has(voter)) return true;
    if (round <= this.#round) return set?.isNews(vote, false) ?? true;
    return kept.length < KEPT_AHEAD || round > (kept.at(-1)?.round ?? 0);
  }

  #isInBounds({ round, epoch, voter }: VoteBody, certified: boolean): boolean {
    if (epoch !== this.#epoch || !this.#voters.has(voter) || !Number.isSafeInteger(round) || round < 0 || round >= MAX_ROUNDS) return false;
    return certified || round >= this.#round - PAST_ROUNDS || this.#rounds.has(round);
  }

  /** The votes of f + 1 voters for later rounds, and the highest round that all of them have reached. */
  skip(): { readonly round: number; readonly votes: readonly Vote[] } | undefined {
    const needed = faultsOf(this.#voters.size) + 1;
    if (this.#ahead.size < needed) return undefined;
    const votes = [...this.#ahead.values()].map((kept) => kept[0] as Vote).sort((a, b) => b.round - a.round);
    return { round: (votes[needed - 1] as Vote).round, votes: votes.slice(0, needed) };
  }

  /** Whether f + 1 voters have signed one block, in whatever rounds and steps: then an honest one has found it acceptable. */
  hasSupport(): boolean {
    const counted = [...this.#rounds.values()].flatMap(({ prevote, precommit }) => [...prevote.votes(), ...precommit.votes()]);
    const supporters = new Map<BlockHash, Set<Fingerprint>>();
    for (const { block, voter } of [...counted, ...[...this.#ahead.values()].flat()])
      if (block !== null) supporters.set(block, (supporters.get(block) ?? new Set()).add(voter));
    return [...supporters.values()].some(({ size }) => size > faultsOf(this.#voters.size));
  }

  /** Goes on to `round`: votes ahead of it are counted from now on, those far behind forgotten. */
  advance(round: number): void {
    this.#round = round;
    for (const old of this.#rounds.keys()) if (old < round - PAST_ROUNDS) this.#rounds.delete(old);
    for (const [voter, kept] of this.#ahead) {
      const later = kept.filter((vote) => vote.round > round);
      if (later.length > 0) this.#ahead.set(voter, later);
      else this.#ahead.delete(voter);
      for (const vote of kept) if (vote.round <= round) this.add(vote);
    }
  }

  /** The pairs that convict a voter which were found since the last call. A voter is convicted once. */
  takeConflicts(): readonly { readonly first: Vote; readonly second: Vote }[] {
    const found = this.#conflicts;
    if (found.length > 0) this.#conflicts = [];
    return found;
  }

  #count(vote: Vote, certified: boolean): boolean {
    const round = this.#rounds.get(vote.round) ?? this.#newRound();
    this.#rounds.set(vote.round, round);
    const set = round[vote.step];
    this.#compare(set.firstOf(vote.voter), vote);
    return set.add(vote, certified);
  }

  #keepAhead(vote: Vote): boolean {
    const kept = this.#ahead.get(vote.voter) ?? [];
    const same = kept.filter(({ round, step }) => round === vote.round && step === vote.step);
    if (same.some(({ block }) => block === vote.block)) return false;
    this.#compare(same[0], vote);
    const all = [...kept, vote].sort((a, b) => b.round - a.round).slice(0, KEPT_AHEAD);
    this.#ahead.set(vote.voter, all);
    return all.includes(vote);
  }

  #compare(first: Vote | undefined, second: Vote): void {
    if (first === undefined || first.block === second.block || this.#accused.has(second.voter)) return;
    this.#accused.add(second.voter);
    this.#conflicts.push({ first, second });
  }
}
