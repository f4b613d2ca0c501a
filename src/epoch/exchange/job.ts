/** What is asked of an exchange, and what it ends with. */
import { sis } from '../../crypto/index.ts';
import { type Attempt, type EntryId, type SwarmState, survivorsOf } from '../../spec/index.ts';
import type { Electorate } from './ballots.ts';
import type { Ruled, Sums } from './work.ts';

export interface AverageJob extends Electorate {
  readonly base: SwarmState;
  /** Ascending. */
  readonly roster: readonly EntryId[];
}

/** What every survivor ends with. */
export interface Averaged {
  readonly attempt: Attempt;
  readonly survivors: readonly EntryId[];
  /** Of the survivors; those of the roster, not renormalised. */
  readonly weights: readonly number[];
  /** S. */
  readonly sum: Int32Array;
  readonly rhoSum: Int32Array;
  /** Under a rule. */
  readonly ruled?: Ruled;
  /** 16 KiB of each surviving contribution, in the order of the roster. */
  readonly commitments: readonly Uint8Array[];
}

/** `weights`: of the whole roster. */
export function averagedOf(
  attempt: Attempt,
  sums: Sums,
  weights: ReadonlyMap<EntryId, number>,
  commitmentOf: (id: EntryId) => sis.Commitment | undefined,
): Averaged {
  const survivors = survivorsOf(attempt);
  const commitments = survivors.flatMap((id) => {
    const commitment = commitmentOf(id);
    return commitment === undefined ? [] : [sis.encodeCommitment(commitment)];
  });
  return { attempt, survivors, weights: survivors.map((id) => weights.get(id) ?? 0), ...sums, commitments };
}
