import type { Evidence, Fingerprint, Vote } from '../spec/index.ts';

/** Voters of whom a double vote is remembered until a block holds it: no committee has more. */
const MAX_POOL = 300;

/** Double votes seen here, one a voter. Forks of chains are in the ledger itself. */
export class EvidencePool {
  readonly #votes = new Map<Fingerprint, Evidence>();

  /** True when it is the first of its voter. */
  add(first: Vote, second: Vote): boolean {
    const voter = first.voter;
    if (this.#votes.has(voter) || this.#votes.size >= MAX_POOL) return false;
    const [low, high] = (first.block ?? '') < (second.block ?? '') ? [first, second] : [second, first];
    this.#votes.set(voter, { first: low, second: high });
    return true;
  }

  votes(): Iterable<Evidence> {
    return this.#votes.values();
  }

  /** What is of an earlier epoch comes too late for every block that follows. */
  forgetBefore(epoch: number): void {
    for (const [voter, { first }] of this.#votes) if (first.epoch < epoch) this.#votes.delete(voter);
  }

  /** A block holds it. */
  settle(voter: Fingerprint): void {
    this.#votes.delete(voter);
  }
}
