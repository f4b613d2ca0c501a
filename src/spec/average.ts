/** What a scheduled average is agreed on by: attempts that voters sign, and who was dropped from them (PROTOCOL section 6). */
import type { BlockHash, DecisionId, Dropped, EntryId, Fingerprint, Hex, SwarmId } from './types.ts';

/** One try at the sum of a roster. Runs once q voters have signed it; what they signed fixes order, schedule and weights. */
export interface Attempt {
  readonly swarm: SwarmId;
  readonly epoch: number;
  readonly base: BlockHash | DecisionId;
  /** 0, 1, 2, ... within an epoch. */
  readonly number: number;
  /** All that is rostered, ascending, whoever was dropped since. Their weights are not renormalised. */
  readonly roster: readonly EntryId[];
  /** Ascending by id. */
  readonly dropped: readonly Dropped[];
  /** Links that failed in earlier attempts, among those that are left; each pair ascending, and so their list. */
  readonly broken: readonly (readonly [Fingerprint, Fingerprint])[];
}

/** A voter's signature under an attempt. It signs at most one for each epoch, base and number. */
export interface AttemptVote {
  /** Hash over the attempt. */
  readonly attempt: Hex;
  readonly voter: Fingerprint;
  /** Ed25519 over attemptBytes, 64 bytes. */
  readonly signature: Uint8Array;
}

/**
 * What shows that a scheduled sum is that of the survivors' rows (docs/commitments.md): content beside the sum, named by the
 * aggregate's header.
 */
export interface Opening {
  /** The attempt that made the sum. */
  readonly attempt: Attempt;
  /** Weighted sum of the survivors' rho digits, 16,384 integers; none under a rule. */
  readonly rhoSum: Int32Array;
  /** 16 KiB of each surviving contribution, in the order of the roster; none under a rule. */
  readonly commitments: readonly Uint8Array[];
}

/** The entries of a roster that take effect: without those that were dropped from the sum. */
export const survivorsOf = ({ roster, dropped }: Pick<Attempt, 'roster' | 'dropped'>): readonly EntryId[] => {
  if (dropped.length === 0) return roster;
  const out = new Set(dropped.map(({ id }) => id));
  return roster.filter((id) => !out.has(id));
};
