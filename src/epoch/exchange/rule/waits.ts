/** How long a member has waited for each of the others: for what is late, and whom to accuse of it. */
import type { Rank } from '../../../aggregation/schedule/index.ts';

export class Waits {
  readonly #open = new Map<object, { readonly rank: Rank; readonly chunk: number; readonly sinceMs: number }>();

  /** Waits for something of `rank`, until what is returned is called. */
  begin(rank: Rank, chunk: number, nowMs: number): () => void {
    const wait = { rank, chunk, sinceMs: nowMs };
    this.#open.set(wait, wait);
    return () => this.#open.delete(wait);
  }

  /** What has been waited for longer than so many ms, once a rank. */
  over(ms: number, nowMs: number): { readonly rank: Rank; readonly chunk: number }[] {
    const late = [...this.#open.values()].filter(({ sinceMs }) => nowMs - sinceMs > ms);
    return late.filter(({ rank }, i) => late.findIndex((other) => other.rank === rank) === i);
  }
}
