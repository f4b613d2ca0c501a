/** A member's part in making what an attempt ends with: sums that travel (run.ts), or a rule over segments (rule/run.ts). */
import type { Fingerprint } from '../../spec/index.ts';
import type { AccusedEdge, AverageMessage, OpeningKind } from '../../wire/index.ts';

/** What a rule made beside its sum. */
export interface Ruled {
  /** D, 1..65,536. */
  readonly weightTotal: number;
  /** Squared distances (distancesOfMoved), one a contribution that is left, in the order of the roster. */
  readonly distances: readonly bigint[];
}

/** What an attempt ends with. */
export interface Sums {
  /** Empty under a rule: no commitment is held against what it makes. */
  readonly rhoSum: Int32Array;
  readonly sum: Int32Array;
  readonly ruled?: Ruled;
}

export interface WorkListener {
  /** Half a deadline has passed over some link. */
  late(): void;
  /** Links over which nothing came in time, or something wrong. */
  accused(edges: readonly AccusedEdge[]): void;
  /** A member said what it did not find, as this one found out by itself. */
  lied(culprit: Fingerprint, why: string): void;
  exchanged(sums: Sums): void;
}

export interface Work {
  /** Members by rank. */
  readonly order: readonly Fingerprint[];
  /** What a link must carry there and back in half a deadline. */
  readonly probeBytes: number;
  /** Whether others have all that this member was to send. */
  readonly isSent: boolean;
  /** Whether it may still find out that a member lies. */
  readonly isComparing: boolean;
  /** Links of this member's own that end the attempt because its process is another one than the one that began it. */
  restarted(): readonly AccusedEdge[];
  /** Links over which nothing came for this share of a deadline. */
  overdue(share: number): readonly AccusedEdge[];
  /** False: it is not what its sender may send. True once it is stored. */
  receive(from: Fingerprint, message: Extract<AverageMessage, { kind: 'chunk' }>): Promise<boolean>;
  /** A member says why nothing comes from it. */
  excused(from: Fingerprint, lane: number): void;
  /** What another member asks for; undefined: not there, or not yet. */
  open(from: Fingerprint, what: OpeningKind, at: readonly number[]): Promise<Uint8Array | undefined>;
  /** Nothing more is sent or taken in. */
  stop(): void;
  /** The attempt is over: what is as large as a model goes. */
  letGo(): void;
}
