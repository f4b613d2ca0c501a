import type { EntryId } from '../spec/index.ts';
import { ancestorAt, type Branch } from './chains.ts';

/** Ids probed a round and chain once the bracket is known: seven cut it into eighths. */
const PROBES_A_ROUND = 7;

/**
 * Finds the last entry of a chain that a peer holds. What the peer holds of a chain is its beginning, so the answer
 * is known up to some sequence number and unknown after it: first bracketed from the end (1, 2, 4, ... back), then
 * narrowed by a search in the bracket.
 */
export class ForkSearch {
  readonly #branch: Branch;
  /** The highest number known to be held, -1 for none. */
  #low = -1;
  /** The lowest number known not to be held. */
  #high: number;
  #bracketed = false;

  /** `branch` ends the chain; numbers from `high` on are not held. */
  constructor(branch: Branch, high: number) {
    this.#branch = branch;
    this.#high = high;
  }

  get done(): boolean {
    return this.#high - this.#low <= 1;
  }

  /** The last entry of the chain that the peer holds, once `done`; `undefined` when it holds none. */
  get common(): EntryId | undefined {
    return this.#low < 0 ? undefined : ancestorAt(this.#branch, this.#low);
  }

  /** What to ask next, by ascending sequence number. */
  probes(): EntryId[] {
    return this.#numbers().map((seq) => ancestorAt(this.#branch, seq) as EntryId);
  }

  /** Takes the answers to `probes()`, in that order. */
  learn(known: readonly boolean[]): void {
    const numbers = this.#numbers();
    this.#bracketed = true;
    const firstUnknown = known.indexOf(false);
    const unknown = firstUnknown < 0 ? this.#high : (numbers[firstUnknown] as number);
    const last = firstUnknown < 0 ? numbers.length - 1 : firstUnknown - 1;
    this.#low = numbers[last] ?? this.#low;
    this.#high = unknown;
  }

  #numbers(): number[] {
    const gap = this.#high - this.#low - 1;
    if (this.#bracketed) {
      const count = Math.min(PROBES_A_ROUND, gap);
      return Array.from({ length: count }, (_, i) => this.#low + Math.floor(((i + 1) * (gap + 1)) / (count + 1)));
    }
    const numbers: number[] = [];
    for (let back = 1; back <= gap; back *= 2) numbers.push(this.#high - back);
    return numbers.reverse();
  }
}
