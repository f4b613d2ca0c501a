/** What stays of the ledger behind the base from which a node replays (PROTOCOL section 3): headers, places, and the state. */
import type { BlockHeader, QuorumCertificate } from './finality.ts';
import type { EntryId, Fingerprint, SignedEntry } from './types.ts';

/** Where an entry stands in the order and on its author's chain, without what it says. */
export interface Leaf {
  readonly id: EntryId;
  /** Index of the leaf of its predecessor on the author's chain; null of a join, which an author's chain starts with. */
  readonly prev: number | null;
  readonly lam: number;
  /** On the losing branch of a fork. */
  readonly void: boolean;
}

/** Blocks of consecutive epochs without their bodies, and the leaves that they appended to the tree. */
export interface ArchiveSegment {
  /** Ascending epochs without a gap, each with the one before as `prev`. At least one. */
  readonly headers: readonly BlockHeader[];
  /** Leaves of the tree before the first of them. */
  readonly treeSize: number;
  readonly leaves: readonly Leaf[];
  /** The joins among the leaves, whole: their certificates hold the keys of every author. In the order of the leaves. */
  readonly joins: readonly SignedEntry[];
  /** Where the committee changed: who voted from then on, and the certificate of the committee before. Ascending. */
  readonly handovers: readonly Handover[];
  /** Of the last header: whoever makes segments up is found out with the first. */
  readonly certificate: QuorumCertificate;
}

export interface Handover {
  readonly certificate: QuorumCertificate;
  /** Ascending. Their hash is the header's `nextVotersHash`. */
  readonly voters: readonly Fingerprint[];
}

/** The block that a node starts from, with the state after it. */
export interface ArchiveBase {
  readonly epoch: number;
  readonly certificate: QuorumCertificate;
  /** As `encodeState` makes it; its root is in the block's header. */
  readonly state: Uint8Array;
}
