/**
 * The nouns every room shares. In memory an identifier is a lower-case hex string (a usable Map key);
 * it becomes bytes only in `wire/`. Durations end in `Ms`, sizes in `Bytes`.
 */

/** Lower-case hex. The aliases below are 32 bytes (64 digits) unless they say otherwise. */
export type Hex = string;
/** sha256 over both public keys of a node (ML-DSA-65 first, then Ed25519). */
export type Fingerprint = Hex;
/** Identity of a ledger entry: sha256(domain || core); the signature is not part of it. */
export type EntryId = Hex;
/** Identity of a decision: hash over its body alone, so equal decisions of many authors are one decision. */
export type DecisionId = Hex;
/** Identity of a block: hash over its header. A base (`anchorBlock`, `prev`) is a block's or a provisional decision's. */
export type BlockHash = Hex;
/** sha256(genesis bytes). */
export type SwarmId = Hex;
/** RFC 9162 Merkle root over 256 KiB chunks of some content. */
export type ContentRoot = Hex;
/** A libp2p peer id in its base58 text form (derived from the node's Ed25519 key). */
export type PeerId = string;

export const NODE_CLASSES = ['core', 'edge', 'relay', 'observer'] as const;
/** core learns and votes, edge learns, relay aggregates and votes, observer reads and audits. */
export type NodeClass = (typeof NODE_CLASSES)[number];

/** Classes that may vote, and that hold a seat in the roster negotiation while no quorum is in reach (PROTOCOL sections 2, 5). */
export const holdsSeat = (c: NodeClass): boolean => c === 'core' || c === 'relay';
/** Classes whose contributions are rostered. */
export const mayContribute = (c: NodeClass): boolean => c === 'core' || c === 'edge';

/** One f32 tensor of the model; `shape` in elements, row-major. A scalar has shape []. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

export type UpdateDtype = 'int16' | 'int8';

/** How the rows of a roster become one update. All but the mean need every row in full, and bear liars. */
export const AGGREGATION_RULES = ['mean', 'median', 'trimmed-mean', 'krum', 'multi-krum', 'centred-clipping', 'geometric-median'] as const;
export type AggregationRule = (typeof AGGREGATION_RULES)[number];

/** All integers of an update; the largest ones; or the signs at a magnitude a tensor. What stays behind is in the residual. */
export const ENCODINGS = ['dense', 'topk', 'sign'] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** How a sum is made: by everyone from all rows, or over streams by a schedule. On the wire a kind is its place. Append only. */
export const SCHEDULES = ['auto', 'gossip', 'ring', 'grid', 'butterfly'] as const;
/** `auto`: by sizes and rule. */
export type Schedule = (typeof SCHEDULES)[number];

/** What nodes without a quorum in reach do: provisional decisions among those in reach, or diffusion between neighbours. */
export const WITHOUT_QUORUM = ['decide', 'diffuse'] as const;
export type WithoutQuorum = (typeof WITHOUT_QUORUM)[number];

/** The constants of a swarm. Its canonical CBOR encoding hashes to the swarm id. */
export interface Genesis {
  readonly v: 1;
  readonly name: string;
  /** Tensors in the order in which their elements are concatenated everywhere. */
  readonly tensors: readonly TensorSpec[];
  /** Root of the initial parameters: f32 little-endian, tensors concatenated. */
  readonly initialModelRoot: ContentRoot;
  readonly aggregation: AggregationRule;
  readonly privacy: 'member-readable';
  /** Who becomes a member by a join alone: everyone, or whoever holds an invite. */
  readonly admission: 'open' | 'invite';
  /**
   * Who votes: members whose invite carries the vote right or whom the committee admitted, or (`open`) every member of a
   * class that may. Open voting is for demos: daemons refuse it beyond loopback (PROTOCOL section 2).
   */
  readonly voting: 'invited' | 'open';
  readonly updateDtype: UpdateDtype;
  /** Which of its integers an update carries. */
  readonly encoding: Encoding;
  /** Share of each tensor's integers that an update carries under `topk`; 0 < share <= 1. */
  readonly topkShare: number;
  /** How a sum is made. Only the mean of dense updates goes by a schedule; all else is summed by everyone whatever stands here. */
  readonly schedule: Schedule;
  /** Absent: `decide`. It has one encoding, so that does not stand in a genesis. */
  readonly withoutQuorum?: 'diffuse';
  /** First scale exponent of each tensor: scale = 2^exponent. Same order as `tensors`. */
  readonly scaleExponents: readonly number[];
  /** Server step size: theta <- theta + eta * mean update. */
  readonly eta: number;
  /** Decay of trust with scale-free distance x (PROTOCOL section 8). */
  readonly lambda: number;
  /** L2 bound of an update. */
  readonly clipNorm: number;
  /** Largest sample count an update may claim. */
  readonly maxSamples: number;
  /** An epoch waits at most this long from its first contribution or membership entry. */
  readonly epochDeadlineMs: number;
  /** Floor of the adaptive deadline. */
  readonly minDeadlineMs: number;
  /** Epochs without a vote after which the others remove a voter (PROTOCOL section 2). */
  readonly missEpochs: number;
  /** A snapshot of the model is kept every so many epochs: where a restart and a rollback begin. */
  readonly snapshotEpochs: number;
  /** Epochs for which signatures, sums and updates are kept behind the newest block; pruned after that. */
  readonly retainEpochs: number;
  /** Members and voters at epoch 0. */
  readonly founders: readonly NodeCertificate[];
  /** Milliseconds since 1970, informational: makes two swarms of one configuration differ. */
  readonly createdMs: number;
}

/** Binds a node's two public keys, class and capabilities; signed by both keys (PROTOCOL section 1). */
export interface NodeCertificate {
  readonly v: 1;
  readonly mldsaPublicKey: Uint8Array; // 1952 bytes
  readonly ed25519PublicKey: Uint8Array; // 32 bytes
  readonly nodeClass: NodeClass;
  readonly capabilities: readonly string[];
  /** Composite signature, context `starling/certificate/1`. */
  readonly signature: Uint8Array;
}

export type EntryKind = 'join' | 'contribution' | 'decision' | 'membership' | 'verdict' | 'ballot';

export interface JoinBody {
  readonly certificate: NodeCertificate;
  /** What a voter handed to its author: admission, and perhaps the right to vote. Null under open admission. */
  readonly invite: Invite | null;
}

/**
 * A right to join, made by a voter for whoever holds it (PROTOCOL section 2). Valid when the block that admits the join
 * is not later than `expiresMs` and fewer than `uses` joins were admitted by it before.
 */
export interface Invite {
  readonly v: 1;
  readonly swarm: SwarmId;
  /** Class that its holder may take. */
  readonly nodeClass: NodeClass;
  readonly vote: boolean;
  /** Milliseconds since 1970, compared with a block's `timeMs`. */
  readonly expiresMs: number;
  readonly uses: number;
  /** 16 random bytes: tells two invites of one issuer apart. 32 digits. */
  readonly nonce: Hex;
  readonly issuer: Fingerprint;
  /** Composite signature of the issuer, context `starling/invite/1`. */
  readonly signature: Uint8Array;
}

/**
 * What a member says of itself. away: stopped cleanly, not awaited, still counted. leave: gives up membership at a block
 * that leaves one voter or at least three. resume: ends away, removal and suspension.
 */
export interface MembershipBody {
  readonly action: 'away' | 'leave' | 'resume';
}

/** A voter's opinion of an aggregate (PROTOCOL section 7): may differ between honest nodes, never gates a prevote. */
export interface VerdictBody {
  readonly epoch: number;
  /** The block that the aggregate builds on. */
  readonly base: BlockHash;
  readonly aggregateHash: Hex;
  readonly good: boolean;
  /** Why not, at most 200 characters; empty for a good one. */
  readonly reason: string;
}

/**
 * A voter's voice in what q voters of the committee decide outside the epochs' own votes: `admit` gives a member the
 * vote, `remove` takes it from one that was absent, `restore` brings back the model after block `epoch`.
 */
export interface BallotBody {
  readonly action: 'admit' | 'remove' | 'restore';
  /** Whom; null for restore. */
  readonly subject: Fingerprint | null;
  /** restore: the epoch whose model comes back. admit, remove: the newest block that the author knew. */
  readonly epoch: number;
}

export interface ContributionBody {
  readonly epoch: number;
  /** Salted Merkle root over the plaintext integer chunks. */
  readonly updateHash: Hex;
  /** Bytes of the plaintext integers. */
  readonly sizeBytes: number;
  /** Capped sample count, 1..genesis.maxSamples. */
  readonly samples: number;
  /** Per tensor: ceil(max |x|) of the prepared update in units of the epoch's scale, before saturation. */
  readonly maxAbs: readonly number[];
  /** Trainer's own figures, e.g. loss; informational. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Hash of its Ring-SIS commitment (docs/commitments.md); null where everyone sees the values. */
  readonly commitment: Hex | null;
  /** Epochs since the oldest own update that is committed and in no model yet: its values travel on in this one. 0 for none. */
  readonly staleness: number;
  /**
   * What its author measured of its links, by place among the members of the base's state: e for 2^e microseconds that a chunk takes there
   * and back, 0 for unknown. Ends with the last one known; empty where nothing is summed over links.
   */
  readonly links: readonly number[];
}

/** fold, unfold: what a leaf of a grid gives to its partners before, and gets back after, the others are done. Append only. */
export const TRANSFER_PHASES = ['fold', 'reduceScatter', 'allGather', 'unfold'] as const;
export type TransferPhase = (typeof TRANSFER_PHASES)[number];

/**
 * evidence: it signed what it must not. unreachable: most others cannot reach it. links: its links to more than half of the others
 * failed in this epoch's attempts. Append only.
 */
export const DROP_REASONS = ['evidence', 'unreachable', 'links'] as const;

/** A rostered contribution whose values are not in the sum, and why. */
export interface Dropped {
  readonly id: EntryId;
  readonly why: (typeof DROP_REASONS)[number];
  /** Who reported it, or the other ends of its failed links, ascending; not all of many. None for evidence. */
  readonly by: readonly Fingerprint[];
  /** The edge that was accused first, and in which part of the schedule; null where it had not begun. */
  readonly at: { readonly phase: TransferPhase; readonly from: Fingerprint; readonly to: Fingerprint } | null;
}

/**
 * A provisional decision (PROTOCOL section 3). `roster` holds contributions (weight >= 1) and membership
 * entries (weight 0), sorted by id. Its id is the hash of this body alone.
 */
export interface DecisionBody {
  readonly epoch: number;
  readonly prev: DecisionId;
  readonly roster: readonly EntryId[];
  readonly weights: readonly number[];
  /** Hash of the aggregate's header; all zeros when nothing was averaged. */
  readonly aggregateHash: Hex;
  /** Contributions of the roster that are not in the sum, ascending by id; none where everyone sums. */
  readonly dropped: readonly Dropped[];
}

/** The part of a ledger entry that is hashed and signed (PROTOCOL section 3). */
export interface EntryCore<K extends EntryKind = EntryKind> {
  readonly v: 1;
  readonly swarm: SwarmId;
  readonly author: Fingerprint;
  /** 0, 1, 2, ... along the author's chain. */
  readonly seq: number;
  readonly prev: EntryId | null;
  /** 1 + max(lam(prev), lam(deps)); 1 for an entry without either. */
  readonly lam: number;
  readonly epochSeen: number;
  /** The base decision the author stood on. */
  readonly anchorBlock: DecisionId;
  readonly kind: K;
  /** At most 8 entries of other authors, sorted by id. */
  readonly deps: readonly EntryId[];
  readonly body: EntryBodies[K];
}

export interface EntryBodies {
  readonly join: JoinBody;
  readonly contribution: ContributionBody;
  readonly decision: DecisionBody;
  readonly membership: MembershipBody;
  readonly verdict: VerdictBody;
  readonly ballot: BallotBody;
}

export type AnyEntryCore = { [K in EntryKind]: EntryCore<K> }[EntryKind];

/** An entry as it is stored and sent. `coreBytes` is exactly what `id` hashes. */
export interface SignedEntry {
  readonly id: EntryId;
  readonly core: AnyEntryCore;
  readonly coreBytes: Uint8Array;
  /** Ed25519 over signBytes(entry), 64 bytes. */
  readonly signature: Uint8Array;
  /** Composite signature beside the entry (contributions); prunable later. */
  readonly composite?: Uint8Array;
}

/**
 * What an average produced, small enough to keep for ever: the sum's content root and every contribution's
 * distance. A reducer needs this header only; the model needs the sum too.
 */
export interface AggregateHeader {
  readonly v: 1;
  readonly epoch: number;
  /** D = sum of the contributions' weights. */
  readonly weightTotal: number;
  /** Content root and size of S: int32 little-endian, tensors concatenated. */
  readonly sumRoot: ContentRoot;
  readonly sumBytes: number;
  /** One per surviving contribution in roster order: squared distance from the coordinate median, exact, decimal digits. */
  readonly distances: readonly string[];
  /** Content root and size of the sum's opening; null where everyone sums. Then `distances` is empty: nobody has seen the rows. */
  readonly opening: { readonly root: ContentRoot; readonly bytes: number } | null;
}

/** suspended: its chain forked, until it resumes. expelled: it voted twice; for good. left, away: by its own word. */
export const MEMBER_STATUSES = ['active', 'away', 'left', 'suspended', 'expelled'] as const;
export type MemberStatus = (typeof MEMBER_STATUSES)[number];

/** none: may not vote. granted: may, and waits for a committee of three. voter: sits in the committee. removed: by ballot, until it resumes. */
export const VOTE_RIGHTS = ['none', 'granted', 'voter', 'removed'] as const;
export type VoteRight = (typeof VOTE_RIGHTS)[number];

export interface MemberState {
  readonly fingerprint: Fingerprint;
  readonly nodeClass: NodeClass;
  readonly status: MemberStatus;
  readonly vote: VoteRight;
  readonly ed25519PublicKey: Uint8Array;
  readonly mldsaPublicKey: Uint8Array;
  readonly joinedEpoch: number;
  /** Epoch of the last rostered contribution, 0 if none. */
  readonly lastEpoch: number;
  /** Exponential moving average of x, fixed point with 2^-32 units. */
  readonly emaX: number;
  /** Epochs in a row with x > 4. */
  readonly farStreak: number;
  /** Share of trust, fixed point with 2^-30 units; members' shares add up to 1 within rounding. */
  readonly trust: number;
}

/** A motion that has ballots of voters, fewer than a quorum so far. */
export interface Motion extends BallotBody {
  /** Epoch of the block with its first ballot: it lapses some epochs later. */
  readonly opened: number;
  /** Ascending. */
  readonly ayes: readonly Fingerprint[];
}

/** Everything the rules derive from the chain of decisions. A pure function of (genesis, decisions, headers, entries). */
export interface SwarmState {
  readonly epoch: number;
  /** The block, or the provisional decision, that led here. Not part of the state root: a block's header holds that root. */
  readonly decision: BlockHash | DecisionId;
  /** Sorted by fingerprint. */
  readonly members: readonly MemberState[];
  readonly scaleExponents: readonly number[];
  /** Number of tree leaves up to and including this decision's cut. */
  readonly treeSize: number;
  readonly treeRoot: Hex;
  /** Hash chain over the places of the leaves (prev, lam, void), a link a cut: the tree holds their ids alone. */
  readonly leavesHash: Hex;
  readonly modelRoot: ContentRoot;
  /** Invites that admitted somebody, by issuer and nonce, with how often. Sorted. */
  readonly invites: readonly { readonly issuer: Fingerprint; readonly nonce: Hex; readonly used: number }[];
  /** Sorted by action, subject, epoch. */
  readonly motions: readonly Motion[];
  /** Merkle root over this step's federated records, in roster order (SYSTEMS C1). */
  readonly recordsRoot: Hex;
  /** Head of the chain of system events: H(t+1) = sha256(H(t) || event) (SYSTEMS C2). */
  readonly eventHash: Hex;
  /** Whether q verdicts refused this step's aggregate, so that the model stayed. */
  readonly refused: boolean;
}

/** What one contribution did to its author's standing. Its canonical CBOR is a leaf of `recordsRoot`. */
export interface FederatedRecord {
  readonly nodeId: Fingerprint;
  /** The contribution's update hash. */
  readonly deltaHash: Hex;
  readonly trustBefore: number;
  readonly trustAfter: number;
  readonly parentBlock: BlockHash;
}

/** One a block, in a hash chain. */
export interface SystemEvent {
  /** The block's `timeMs`. */
  readonly timestamp: number;
  /** Hash over tree root and roster hash. */
  readonly metaHash: Hex;
  /** Normalised entropy of the roster's weights, fixed point with 2^-30 units: 0 one voice, 2^30 all alike. */
  readonly fusionEntropy: number;
  /** Share of good verdicts, fixed point with 2^-30 units; 2^30 where nothing was judged. */
  readonly complianceScore: number;
  /** The block's `recordsRoot`. */
  readonly federatedHash: Hex;
}
