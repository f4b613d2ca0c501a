import type {
  AggregateHeader,
  BlockHash,
  ContentRoot,
  ContributionBody,
  DecisionBody,
  DecisionId,
  Evidence,
  Fingerprint,
  Hex,
  SignedEntry,
} from '../spec/index.ts';

/** What only a block brings: without it a step is provisional, and what only blocks may change stays. */
export interface BlockFacts {
  /** Milliseconds since 1970, informational; expiry of invites is compared with it. */
  readonly timeMs: number;
  /** Checked by the validators of the block, and in no block before. */
  readonly evidence: readonly Evidence[];
  readonly rosterHash: Hex;
}

/** One block, or one provisional decision, with everything that a reducer may look at. */
export interface Step {
  readonly id: BlockHash | DecisionId;
  readonly body: DecisionBody;
  /** Undefined when nothing was averaged. */
  readonly header: AggregateHeader | undefined;
  /** Entries of the cut in ledger order, void ones left out. */
  readonly cut: readonly SignedEntry[];
  /** Authors of whose chain the cut brings in a second branch: the order holds both sides of a fork from here on. */
  readonly forked: readonly Fingerprint[];
  /** Contributions of the roster that are in the sum, in roster order. */
  readonly contributions: readonly { readonly author: Fingerprint; readonly body: ContributionBody }[];
  /** Authors of contributions that were dropped because their authors signed what they must not. */
  readonly faulty: readonly Fingerprint[];
  readonly treeSize: number;
  readonly treeRoot: Hex;
  readonly leavesHash: Hex;
  /** Of the model with the aggregate applied. The state keeps the old one where it is refused, and a past one where a motion restores it. */
  readonly modelRoot: ContentRoot;
  /** Undefined in a provisional step. */
  readonly block: BlockFacts | undefined;
  /** Root of the model after a past epoch, for motions that restore one; undefined when it is not known here. */
  readonly modelRootAt: (epoch: number) => ContentRoot | undefined;
}
