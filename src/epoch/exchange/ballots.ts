/** Attempts that voters signed, and which of them so many signed that they run. */
import { faultsOf } from '../../consensus/index.ts';
import type { Attempt, AttemptVote, Fingerprint, Hex } from '../../spec/index.ts';
import { attemptId } from '../../wire/index.ts';

/** Numbers beyond the newest certified one whose votes are kept: views that differ converge in two or three. */
const NUMBERS_AHEAD = 32;

export interface Electorate {
  readonly signers: readonly Fingerprint[];
  /** Votes that certify an attempt. */
  readonly needed: number;
  /** Without a quorum: what comes of it is provisional. Contributions of others than the signers are left out from the start: nobody reaches them. */
  readonly onlySigners?: boolean;
}

/** Votes of one epoch over one base. One vote a voter and number; of numbers that are past, only who was certified is remembered. */
export class Ballots {
  #electorate: Electorate;
  readonly #bodies = new Map<Hex, Attempt>();
  /** By number, then by voter. */
  readonly #votes = new Map<number, Map<Fingerprint, AttemptVote>>();
  readonly #certified = new Map<Hex, Attempt>();
  #newest: Attempt | undefined;

  constructor(electorate: Electorate) {
    this.#electorate = electorate;
  }

  /** Whoever is out of reach now may leave others to sign. */
  setElectorate(electorate: Electorate): void {
    this.#electorate = electorate;
    for (const number of [...this.#votes.keys()]) this.#count(number);
  }

  /** The certified attempt with the highest number. */
  get newest(): Attempt | undefined {
    return this.#newest;
  }

  isCertified(id: Hex): boolean {
    return this.#certified.has(id);
  }

  /** The attempt behind an id, if a vote for it was kept or it was certified. */
  get(id: Hex): Attempt | undefined {
    return this.#certified.get(id) ?? this.#bodies.get(id);
  }

  /** Whether a vote for this number would be kept: neither past nor far ahead, and of a signer that has not voted yet. */
  wants(number: number, voter: Fingerprint): boolean {
    const from = this.#newest?.number ?? 0;
    const isNear = number >= from && number <= from + NUMBERS_AHEAD;
    return isNear && this.#electorate.signers.includes(voter) && this.#votes.get(number)?.has(voter) !== true;
  }

  /** A vote whose signature is checked and that is wanted. True: it certified its attempt. */
  add(attempt: Attempt, vote: AttemptVote): boolean {
    const votes = this.#votes.get(attempt.number) ?? new Map<Fingerprint, AttemptVote>();
    this.#votes.set(attempt.number, votes.set(vote.voter, vote));
    this.#bodies.set(vote.attempt, attempt);
    return this.#count(attempt.number);
  }

  /** The highest number that somebody voted for. */
  get highest(): number {
    return Math.max(-1, ...this.#votes.keys());
  }

  /** The highest number of each signer that has voted, descending. */
  latest(): number[] {
    const latest = new Map<Fingerprint, number>();
    for (const [number, votes] of this.#votes)
      for (const voter of votes.keys())
        if (this.#electorate.signers.includes(voter)) latest.set(voter, Math.max(number, latest.get(voter) ?? 0));
    return [...latest.values()].sort((a, b) => b - a);
  }

  /** How many have voted for a number. */
  votesFor(number: number): number {
    return this.#votes.get(number)?.size ?? 0;
  }

  /** The attempt that most voters of a number signed, ties to the lower id; more of them than may lie, so that an honest one did. */
  favourite(number: number): Attempt | undefined {
    const [best] = [...this.#tally(number)].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    const { signers, needed, onlySigners } = this.#electorate;
    // Where no quorum is in reach, those who are may be too few to outnumber every liar of all: among themselves they must meet even so.
    const liars = faultsOf(onlySigners === true ? needed : signers.length);
    return best !== undefined && best[1] > liars ? this.#bodies.get(best[0]) : undefined;
  }

  /** Votes of a number, by attempt. */
  #tally(number: number): Map<Hex, number> {
    const { signers } = this.#electorate;
    const counts = new Map<Hex, number>();
    for (const { attempt, voter } of this.#votes.get(number)?.values() ?? [])
      if (signers.includes(voter)) counts.set(attempt, (counts.get(attempt) ?? 0) + 1);
    return counts;
  }

  #count(number: number): boolean {
    const { needed } = this.#electorate;
    const found = [...this.#tally(number)].find(([id, count]) => count >= needed && !this.#certified.has(id));
    const attempt = found === undefined ? undefined : this.#bodies.get(found[0]);
    if (attempt === undefined) return false;
    this.#certified.set(attemptId(attempt), attempt);
    if (number > (this.#newest?.number ?? -1)) this.#newest = attempt;
    for (const [past, votes] of this.#votes) {
      if (past >= (this.#newest?.number ?? 0)) continue;
      for (const vote of votes.values()) this.#bodies.delete(vote.attempt);
      this.#votes.delete(past);
    }
    return true;
  }
}
