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
/** sha256(genesis bytes). */
export type SwarmId = Hex;
/** RFC 9162 Merkle root over 256 KiB chunks of some content. */
export type ContentRoot = Hex;
/** A libp2p peer id in its base58 text form (derived from the node's Ed25519 key). */
export type PeerId = string;

export const NODE_CLASSES = ['core', 'edge', 'relay', 'observer'] as const;
/** core learns and votes, edge learns, relay aggregates and votes, observer reads and audits. */
export type NodeClass = (typeof NODE_CLASSES)[number];

/** Classes that hold a seat in the roster negotiation (PROTOCOL section 5). */
export const holdsSeat = (c: NodeClass): boolean => c === 'core' || c === 'relay';
/** Classes whose contributions are rostered. */
export const mayContribute = (c: NodeClass): boolean => c === 'core' || c === 'edge';

/** One f32 tensor of the model; `shape` in elements, row-major. A scalar has shape []. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

export type UpdateDtype = 'int16' | 'int8';

/** The constants of a swarm. Its canonical CBOR encoding hashes to the swarm id. */
export interface Genesis {
  readonly v: 1;
  readonly name: string;
  /** Tensors in the order in which their elements are concatenated everywhere. */
  readonly tensors: readonly TensorSpec[];
  /** Root of the initial parameters: f32 little-endian, tensors concatenated. */
  readonly initialModelRoot: ContentRoot;
  readonly aggregation: 'mean';
  readonly privacy: 'member-readable';
  readonly admission: 'open';
  readonly updateDtype: UpdateDtype;
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
  /** Epochs without a contribution after which a voter may be removed (used once votes exist). */
  readonly missEpochs: number;
  /** Nodes that hold a seat at epoch 0. */
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

export type EntryKind = 'join' | 'contribution' | 'decision';

export interface JoinBody {
  readonly certificate: NodeCertificate;
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
  readonly body: K extends 'join' ? JoinBody : K extends 'contribution' ? ContributionBody : DecisionBody;
}

export type AnyEntryCore = EntryCore<'join'> | EntryCore<'contribution'> | EntryCore<'decision'>;

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
  /** One per contribution in roster order: squared distance from the coordinate median, exact, decimal digits. */
  readonly distances: readonly string[];
}

export interface MemberState {
  readonly fingerprint: Fingerprint;
  readonly nodeClass: NodeClass;
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

/** Everything the rules derive from the chain of decisions. A pure function of (genesis, decisions, headers, entries). */
export interface SwarmState {
  readonly epoch: number;
  readonly decision: DecisionId;
  /** Sorted by fingerprint. */
  readonly members: readonly MemberState[];
  readonly scaleExponents: readonly number[];
  /** Number of tree leaves up to and including this decision's cut. */
  readonly treeSize: number;
  readonly treeRoot: Hex;
  readonly modelRoot: ContentRoot;
}
