/** What a sum of one attempt is worth: the commitments to its rows are had, it is held against them, and a wrong one is looked into. */
import type { sis } from '../../crypto/index.ts';
import type { Attempt, EntryId, Fingerprint, Hex } from '../../spec/index.ts';
import type { AccusedEdge, OpeningKind } from '../../wire/index.ts';
import { chunkOf, pullSums } from './adopt.ts';
import { blame, type Found } from './blame.ts';
import { sumHolds } from './check.ts';
import type { Commitments } from './commitments.ts';
import { type Averaged, averagedOf } from './job.ts';
import { type SumShape, shapeOf } from './plans.ts';
import { Run } from './run.ts';
import type { Sums, Work } from './work.ts';
import type { ExchangeWorld, OwnRow } from './world.ts';

/** What an attempt's end is worth, before a node says that it holds it. */
export interface Check {
  /** Ends when all is here that it is held against, or `signal` says that nobody needs it any more. */
  collect(signal: AbortSignal): Promise<void>;
  /** Links to those that have not shown what they had to. */
  silentAuthors(): readonly AccusedEdge[];
  /** Once collected. `isOwn`: this node took part in making it. */
  holds(sums: Sums, isOwn: boolean): Promise<boolean>;
  /** Whether what a member says that it holds is worth pulling. */
  mayHold(done: Hex | null | undefined): boolean;
  /** Whose fault it is that it does not hold; undefined where nothing wrong is found. */
  blame(work: Work, own: OwnRow, sums: Sums, signal: AbortSignal): Promise<Found | undefined>;
  /** What `holder` holds, all of it or nothing. What it is worth is another question. */
  pull(holder: Fingerprint, signal: AbortSignal): Promise<Sums | undefined>;
  /** A part of what is held, for who pulls it. */
  show(sums: Sums, what: OpeningKind, at: readonly number[]): Uint8Array | undefined;
  /** What holds, with what others check it by. */
  averaged(sums: Sums): Averaged;
}

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

/** Ring-SIS: the sum is held against the commitments to its rows. */
export class SumCheck implements Check {
  readonly #world: ExchangeWorld;
  readonly #input: SumCheckInput;
  readonly #weights: ReadonlyMap<EntryId, number>;
  readonly #shape: SumShape;

  constructor(world: ExchangeWorld, input: SumCheckInput) {
    this.#world = world;
    this.#input = input;
    this.#weights = new Map(input.attempt.roster.map((id, i) => [id, input.weights[i] as number]));
    const weighing = [...input.rows.values()].map((row) => this.#weights.get(row) as number);
    this.#shape = shapeOf(world.genesis, world.elements, weighing);
  }

  collect(signal: AbortSignal): Promise<void> {
    const { id, attempt, rows, commitments, deadlineMs } = this.#input;
    return commitments.collect({ attempt: id, roster: attempt.roster, rows, deadlineMs }, signal);
  }

  silentAuthors(): AccusedEdge[] {
    const { rows, commitments } = this.#input;
    const to = this.#world.identity.fingerprint;
    return [...rows]
      .filter(([, id]) => commitments.get(id) === undefined)
      .map(([from]) => ({ phase: 'reduceScatter', from, to, chunk: 0, reason: 'no commitment' }));
  }

  /** Whether it is the sum of the rows that were committed to. */
  holds(sums: Sums): Promise<boolean> {
    const ids = [...this.#input.rows.values()];
    const weights = ids.map((id) => this.#weights.get(id) as number);
    return sumHolds(this.#world.clock, this.#world.seed, sums, ids.map(this.#commitmentOf), weights);
  }

  /** It is held against the commitments. */
  mayHold(): boolean {
    return true;
  }

  async blame(work: Work, own: OwnRow, sums: Sums, signal: AbortSignal): Promise<Found | undefined> {
    if (!(work instanceof Run)) return undefined;
    return blame(this.#world, { run: work, own, sums, commitmentOf: this.#commitmentOf, signal });
  }

  pull(holder: Fingerprint, signal: AbortSignal): Promise<Sums | undefined> {
    return pullSums(this.#world, holder, this.#input.id, this.#shape, signal);
  }

  show(sums: Sums, what: OpeningKind, at: readonly number[]): Uint8Array | undefined {
    return what === 'sum' ? chunkOf(sums, this.#shape, at) : undefined;
  }

  averaged(sums: Sums): Averaged {
    return averagedOf(this.#input.attempt, sums, this.#weights, (id) => this.#input.commitments.get(id));
  }

  readonly #commitmentOf = (id: EntryId) => this.#input.commitments.get(id) as sis.Commitment;
}
