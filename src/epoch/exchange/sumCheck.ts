/** What a sum of one attempt is worth: the commitments to its rows are had, it is held against them, and a wrong one is looked into. */
import type { sis } from '../../crypto/index.ts';
import type { Attempt, EntryId, Fingerprint, Hex } from '../../spec/index.ts';
import type { AccusedEdge } from '../../wire/index.ts';
import { blame, type Found } from './blame.ts';
import { sumHolds } from './check.ts';
import type { Commitments } from './commitments.ts';
import { type Averaged, averagedOf } from './job.ts';
import type { Run, Sums } from './run.ts';
import type { ExchangeWorld, OwnRow } from './world.ts';

export interface SumCheckInput {
  readonly attempt: Attempt;
  readonly id: Hex;
  /** Contributions that are summed, by author. */
  readonly rows: ReadonlyMap<Fingerprint, EntryId>;
  /** One for each id of the whole roster. */
  readonly weights: readonly number[];
  readonly commitments: Commitments;
  /** Ms that a chunk is waited for. */
  readonly deadlineMs: () => number;
}

export class SumCheck {
  readonly #world: ExchangeWorld;
  readonly #input: SumCheckInput;
  readonly #weights: ReadonlyMap<EntryId, number>;

  constructor(world: ExchangeWorld, input: SumCheckInput) {
    this.#world = world;
    this.#input = input;
    this.#weights = new Map(input.attempt.roster.map((id, i) => [id, input.weights[i] as number]));
  }

  /** Ends when all commitments that a sum is held against are here, or `signal` says that nobody needs them any more. */
  collect(signal: AbortSignal): Promise<void> {
    const { id, attempt, rows, commitments, deadlineMs } = this.#input;
    return commitments.collect({ attempt: id, roster: attempt.roster, rows, deadlineMs }, signal);
  }

  /** Links to those that have not shown what they had committed to. */
  silentAuthors(): AccusedEdge[] {
    const { rows, commitments } = this.#input;
    const to = this.#world.identity.fingerprint;
    return [...rows]
      .filter(([, id]) => commitments.get(id) === undefined)
      .map(([from]) => ({ phase: 'reduceScatter', from, to, chunk: 0, reason: 'no commitment' }));
  }

  /** Once collected: whether it is the sum of the rows that were committed to. */
  holds(sums: Sums): Promise<boolean> {
    const ids = [...this.#input.rows.values()];
    const weights = ids.map((id) => this.#weights.get(id) as number);
    return sumHolds(this.#world.clock, this.#world.seed, sums, ids.map(this.#commitmentOf), weights);
  }

  /** Whose fault a sum is that does not hold; undefined where nothing wrong is found. */
  blame(run: Run, own: OwnRow, sums: Sums, signal: AbortSignal): Promise<Found | undefined> {
    return blame(this.#world, { run, own, sums, commitmentOf: this.#commitmentOf, signal });
  }

  /** A sum that holds, with what others check it by. */
  averaged(sums: Sums): Averaged {
    return averagedOf(this.#input.attempt, sums, this.#weights, (id) => this.#input.commitments.get(id));
  }

  readonly #commitmentOf = (id: EntryId) => this.#input.commitments.get(id) as sis.Commitment;
}
