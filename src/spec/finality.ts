/** What a committee signs: proposals, votes, blocks and what proves a lie. */
import type { BlockHash, ContentRoot, Dropped, EntryId, Fingerprint, Hex, SwarmId } from './types.ts';

/** Two votes that one voter must not both have signed (PROTOCOL section 2): at one place for two values, none first, then the lower block. */
export interface Evidence {
  readonly first: Vote;
  readonly second: Vote;
}

/** One an epoch (PROTOCOL section 7). Roots are those after this block; the round is not part of it. */
export interface BlockHeader {
  readonly v: 1;
  readonly swarm: SwarmId;
  readonly epoch: number;
  /** The block before; the swarm id for epoch 1. */
  readonly prev: BlockHash;
  readonly treeSize: number;
  readonly treeRoot: Hex;
  readonly cutHash: Hex;
  readonly rosterHash: Hex;
  /** Over those whose updates are in the sum, with their weights, and over who was dropped; equal to `rosterHash` where nobody was. */
  readonly survivorsHash: Hex;
  readonly aggregateHash: Hex;
  readonly modelRoot: ContentRoot;
  readonly stateRoot: Hex;
  /** Of the committee that votes on this block, and of the one after it. */
  readonly votersHash: Hex;
  readonly nextVotersHash: Hex;
  readonly evidenceHash: Hex;
  /** Milliseconds since 1970 by the proposer's clock, informational; larger than the block's before. */
  readonly timeMs: number;
}

/** What the hashes of a header stand for. */
export interface BlockBody {
  /** Entries, beside the roster's, whose closure under prev and deps this block takes into the ledger's order. Ascending. */
  readonly tips: readonly EntryId[];
  /** As in a provisional decision: contributions with their weights, joins with weight 0. Ascending. */
  readonly roster: readonly EntryId[];
  readonly weights: readonly number[];
  readonly evidence: readonly Evidence[];
  /** As in a provisional decision. */
  readonly dropped: readonly Dropped[];
}

export interface Block {
  readonly hash: BlockHash;
  readonly header: BlockHeader;
  readonly body: BlockBody;
}

export type VoteStep = 'prevote' | 'precommit';

export interface VoteBody {
  readonly epoch: number;
  readonly round: number;
  readonly step: VoteStep;
  /** Null is a vote for no block. */
  readonly block: BlockHash | null;
  readonly voter: Fingerprint;
}

/** Ed25519 over signBytes, 64 bytes. */
export interface Vote extends VoteBody {
  readonly signature: Uint8Array;
}

/** Votes of q voters for one value in one round and step. */
export interface QuorumCertificate {
  readonly epoch: number;
  readonly round: number;
  readonly step: VoteStep;
  readonly block: BlockHash | null;
  /** Ascending by voter. */
  readonly votes: readonly { readonly voter: Fingerprint; readonly signature: Uint8Array }[];
}

export interface ProposalBody {
  readonly epoch: number;
  readonly round: number;
  readonly proposer: Fingerprint;
  readonly block: BlockHash;
  /** The round in which q voters prevoted this block before; -1 for a new one. */
  readonly validRound: number;
}

/** Composite signature of the proposer, context `starling/block/1`. A re-proposal carries the certificate of `validRound`. */
export interface Proposal extends ProposalBody {
  readonly content: Block;
  readonly prevotes: QuorumCertificate | null;
  readonly signature: Uint8Array;
}

/** What a node says of itself every second: the newest block it holds. Ed25519. */
export interface Beat {
  readonly node: Fingerprint;
  /** Grows with every beat, across restarts too (a wall clock's milliseconds). */
  readonly seq: number;
  readonly epoch: number;
  readonly block: BlockHash;
  /** Roots of what this node really holds at that block, not of what the block says. */
  readonly treeRoot: Hex;
  readonly modelRoot: ContentRoot;
  readonly signature: Uint8Array;
}

/** Signed by one member (composite, context `starling/checkpoint/1`), in the C2SP signed-note format. */
export interface Checkpoint {
  readonly swarm: SwarmId;
  readonly epoch: number;
  readonly treeSize: number;
  readonly treeRoot: Hex;
  readonly modelRoot: ContentRoot;
}
