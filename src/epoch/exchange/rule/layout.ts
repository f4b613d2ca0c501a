/** Who owns which segment of the rows in an attempt: derived from what q voters signed, so that all derive the same. */
import {
  beaconOf,
  ownersNeeded,
  ownersOf,
  type Range,
  type Rank,
  rankOrder,
  scheduleOf,
  segmentsOf,
} from '../../../aggregation/schedule/index.ts';
import type { Attempt, EntryId, Fingerprint, Genesis, Hex } from '../../../spec/index.ts';
import { attemptId } from '../../../wire/index.ts';
import { type AuthorOf, rowsOf } from '../findings.ts';

export interface RuleLayout {
  /** Its id. */
  readonly attempt: Hex;
  /** Of this node. */
  readonly rank: Rank;
  /** Members, their contributions and weights by rank. */
  readonly order: readonly Fingerprint[];
  readonly ids: readonly EntryId[];
  readonly weights: readonly number[];
  /** Elements, one a member. */
  readonly segments: readonly Range[];
  /** Owners of a segment. */
  readonly owners: number;
  readonly why: string;
  /** Whether this node's link to that rank has failed in an earlier attempt, and that of two members. */
  isBroken(rank: Rank): boolean;
  areApart(a: Fingerprint, b: Fingerprint): boolean;
}

export interface RuleLayoutInput {
  readonly genesis: Genesis;
  readonly elements: number;
  readonly attempt: Attempt;
  /** One for each id of the whole roster. */
  readonly weights: readonly number[];
  readonly authorOf: AuthorOf;
  readonly self: Fingerprint;
}

/** Contributions that were settled: of those that were dropped since, some may have been honest. */
const rosteredIn = (attempt: Attempt, authorOf: AuthorOf): number => attempt.roster.filter((id) => authorOf(id) !== undefined).length;

/** Members that must have made the same for one of them to be honest: owners of a segment, or of those who hold a sum. */
export const neededIn = (attempt: Attempt, authorOf: AuthorOf): number =>
  ownersNeeded(rosteredIn(attempt, authorOf), rowsOf(attempt, authorOf).size);

export function ruleLayoutOf({ genesis, elements, attempt, weights, authorOf, self }: RuleLayoutInput): RuleLayout {
  const rows = rowsOf(attempt, authorOf);
  const order = rankOrder(beaconOf(attempt.base, attempt.epoch), attempt.number, [...rows.keys()]);
  const ids = order.map((node) => rows.get(node) as EntryId);
  const areApart = (a: Fingerprint, b: Fingerprint): boolean => attempt.broken.some((pair) => pair.includes(a) && pair.includes(b));
  return {
    attempt: attemptId(attempt),
    rank: order.indexOf(self),
    order,
    ids,
    weights: ids.map((id) => weights[attempt.roster.indexOf(id)] ?? 0),
    segments: segmentsOf(elements, genesis.updateDtype, order.length),
    owners: neededIn(attempt, authorOf),
    why: scheduleOf(genesis, order.length, attempt.broken.length, false).why,
    isBroken: (rank) => areApart(self, order[rank] as Fingerprint),
    areApart,
  };
}

/** Segments that a rank owns and that are not empty, ascending. */
export const segmentsOwnedBy = ({ segments, order, owners }: RuleLayout, rank: Rank): number[] =>
  [...segments.keys()].filter((segment) => isFilled(segments[segment]) && ownersOf(segment, order.length, owners).includes(rank));

export const isFilled = (range: Range | undefined): boolean => range !== undefined && range.end > range.start;
