/**
 * What the API needs from a node. `node/` implements it; the methods in this room translate JSON to it and back.
 * Shapes here are what clients see: hashes lower-case hex, durations ms, sizes bytes.
 */
import type { ComputeInfo } from '../compute/api.ts';
import type { Proof } from '../ledger/proofFile.ts';
import type {
  BallotBody,
  Checkpoint,
  ContentRoot,
  Dropped,
  EntryId,
  Fingerprint,
  Hex,
  Invite,
  MemberStatus,
  NodeClass,
  PeerId,
  Schedule,
  SignedEntry,
  TensorSpec,
  VoteRight,
} from '../spec/index.ts';

export interface NodeInfo {
  readonly fingerprint: Fingerprint;
  readonly peerId: PeerId;
  /** Dialable multiaddrs, each with /p2p/. */
  readonly addresses: readonly string[];
  readonly version: string;
  readonly class: NodeClass;
  readonly swarmId: Hex;
  readonly uptimeMs: number;
  readonly compute: ComputeInfo;
  readonly pid: number;
}

export type StageName = 'rules' | 'ledger' | 'register' | 'join' | 'calibrate' | 'run' | 'monitor';
export interface NodeHealth {
  readonly ok: boolean;
  /** True once the API answers, libp2p listens and the ledger is open. */
  readonly ready: boolean;
  readonly stages: readonly {
    readonly name: StageName;
    readonly state: 'pending' | 'running' | 'done' | 'failed';
    readonly ms?: number;
    readonly error?: string;
  }[];
  readonly problems: readonly { readonly code: string; readonly message: string; readonly fix?: string }[];
}

export interface PeerView {
  readonly peerId: PeerId;
  readonly fingerprint: Fingerprint | null;
  readonly addresses: readonly string[];
  readonly transport: 'tcp' | 'quic' | 'unknown';
  readonly latencyMs: number | null;
  readonly source: 'bootstrap' | 'dht' | 'memory' | 'mdns' | 'dialled' | 'inbound';
  /** How its replica differs from what is final here; null while it does not. */
  readonly quarantine: { readonly field: string; readonly where: string; readonly sinceEpoch: number } | null;
  readonly session: { readonly encryption: string; readonly direction: 'inbound' | 'outbound' };
}

export interface SwarmView {
  readonly swarmId: Hex;
  readonly name: string;
  readonly tensors: readonly TensorSpec[];
  readonly parameters: number;
  readonly genesis: Record<string, unknown>;
  readonly members: readonly {
    readonly fingerprint: Fingerprint;
    readonly class: NodeClass;
    readonly status: MemberStatus;
    readonly vote: VoteRight;
    readonly trust: number;
    readonly joinedEpoch: number;
    readonly lastEpoch: number;
  }[];
  readonly seats: number;
  /** What the present number of seats survives, in words. */
  readonly tolerance: string;
}

export type Phase = 'idle' | 'collecting' | 'negotiating' | 'averaging' | 'auditing' | 'voting' | 'applying';

export interface HeadView {
  readonly epoch: number;
  readonly decision: Hex;
  readonly modelRoot: ContentRoot;
}

export interface EpochCurrent {
  readonly epoch: number;
  readonly phase: Phase;
  /** Contributions held for this epoch. */
  readonly roster: readonly EntryId[];
  /** Ms until the deadline; null while idle. */
  readonly deadlineMs: number | null;
  readonly latest: HeadView;
  readonly finalized: HeadView;
  readonly applied: HeadView;
  /** Trainers announced anywhere in the swarm, this node's included. */
  readonly activeTrainers: number;
  /** Where a local rollback holds this node; null while it goes on with the others. */
  readonly pinned: number | null;
  /** Round and neighbours of a node that diffuses because it reaches no quorum: its applied model is its own. Null while it does not. */
  readonly diffusion: { readonly round: number; readonly neighbours: readonly Fingerprint[] } | null;
}

export interface EpochView {
  readonly epoch: number;
  readonly decision: Hex;
  readonly status: 'genesis' | 'provisional' | 'finalized';
  readonly roster: readonly {
    readonly entry: EntryId;
    readonly author: Fingerprint;
    readonly kind: string;
    readonly weight: number;
    readonly samples?: number;
  }[];
  readonly aggregateHash: Hex;
  readonly modelRoot: ContentRoot;
  readonly stateRoot: Hex;
  readonly treeSize: number;
  readonly treeRoot: Hex;
  /** How the sum was made, and why so: `gossip`, everyone summed all updates. Null where what it built on is archived. */
  readonly schedule: { readonly mode: Exclude<Schedule, 'auto'> | null; readonly reason: string };
  /** Contributions of the roster that are in the sum. */
  readonly survivors: readonly EntryId[];
  /** Those that are not: who reported it, and over which edge it showed first. */
  readonly dropped: readonly (Omit<Dropped, 'id'> & { readonly entry: EntryId; readonly author: Fingerprint })[];
  /** Links that failed in an attempt before the one that ended with the sum, each by its two ends: it went around them. */
  readonly broken: readonly (readonly [Fingerprint, Fingerprint])[];
  /** The steps this node took, ms since the epoch began here; only for epochs this process lived through. */
  readonly timeline: readonly { readonly step: string; readonly atMs: number; readonly tookMs?: number }[];
}

export interface ModelView {
  readonly head: 'finalized' | 'latest' | 'applied';
  readonly epoch: number;
  readonly modelRoot: ContentRoot;
  /** This node diffuses: what it serves is its own model, and `modelRoot` that of the final one below it. */
  readonly local: boolean;
  readonly tensors: readonly TensorSpec[];
  readonly parameters: number;
}

export interface TrainerStatus {
  readonly trainerId: string;
  readonly attachedMs: number;
  readonly lastSubmission: Pick<Receipt, 'epoch' | 'contributionId'> | null;
}

export interface Submission {
  readonly epoch: number;
  readonly kind: 'delta' | 'parameters';
  readonly samples: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** f32 elements, tensors concatenated in genesis order. */
  readonly values: Float32Array;
}

/** What became of an update. Nulls: no quorum is in reach, it diffuses and is part of a later contribution. */
export interface Receipt {
  readonly contributionId: EntryId | null;
  readonly epoch: number;
  readonly updateHash: Hex | null;
}

export interface LedgerHead {
  readonly epoch: number;
  readonly treeSize: number;
  readonly treeRoot: Hex;
  readonly stateRoot: Hex;
  readonly modelRoot: ContentRoot;
  readonly heads: readonly { readonly author: Fingerprint; readonly seq: number; readonly head: EntryId }[];
}

export interface LedgerReport {
  readonly ok: boolean;
  readonly entries: number;
  readonly authors: number;
  readonly treeSize: number;
  readonly treeRoot: Hex;
  readonly forks: readonly { readonly author: Fingerprint; readonly seq: number; readonly entries: readonly EntryId[] }[];
  readonly problems: readonly { readonly entry: EntryId; readonly code: string; readonly message: string }[];
}

/** What to prove, and against what (`starling ledger prove`). */
export interface ProofRequest {
  readonly kind: 'entry' | 'record' | 'event' | 'block' | 'consistency';
  /** entry: which; record: the contribution whose record is wanted. */
  readonly id?: EntryId | undefined;
  /** event, block: the epoch; the newest by default. */
  readonly epoch?: number | undefined;
  /** consistency: text of the earlier checkpoint. */
  readonly since?: string | undefined;
  /** Text of the checkpoint that the reader holds; the proof leads to it. By default it leads to the newest block. */
  readonly checkpoint?: string | undefined;
}

/** A signed checkpoint of the newest final block, as text and in parts. */
export interface CheckpointView extends Checkpoint {
  /** C2SP signed note. */
  readonly note: string;
  readonly signer: Fingerprint;
}

/** The right to join that a voter hands out (`starling invite`). */
export interface InviteRequest {
  /** Class that its holder may take. */
  readonly nodeClass: NodeClass;
  readonly vote: boolean;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
  /** Joins that it admits. */
  readonly uses: number;
}

/** The token is the invite in one line. */
export interface InviteView {
  readonly token: string;
  readonly invite: Invite;
}

/** Where a node stands after a rollback. */
export interface RollbackView {
  readonly epoch: number;
  readonly decision: Hex;
  readonly modelRoot: ContentRoot;
  readonly stateRoot: Hex;
  readonly treeSize: number;
  readonly treeRoot: Hex;
}

/** A voter's ballot, and how many more voices its motion needs. */
export interface BallotView {
  readonly entry: EntryId;
  readonly action: BallotBody['action'];
  readonly subject: Fingerprint | null;
  readonly epoch: number;
  /** Voters that said so, this one included. */
  readonly ayes: readonly Fingerprint[];
  readonly quorum: number;
}

export type EventTopic = 'epoch' | 'peers' | 'ledger' | 'trust' | 'log';

export interface NodeService {
  info(): NodeInfo;
  health(): NodeHealth;
  /** Resolves once the daemon has begun to stop. */
  shutdown(): Promise<void>;
  peers(): readonly PeerView[];
  dial(address: string): Promise<PeerView>;
  swarm(): SwarmView;
  /** Throws NOT_VOTER, BAD_INVITE. */
  invite(request: InviteRequest): InviteView;
  /** Writes this voter's ballot. Throws NOT_VOTER, NOT_FOUND, DUPLICATE, BAD_USAGE, AGGREGATE_MISSING, PINNED. */
  ballot(ballot: BallotBody): Promise<BallotView>;
  /** Writes this node's word on its own membership; resolves with the entry. Throws NOT_MEMBER, DUPLICATE, PINNED. */
  membership(action: 'leave' | 'resume'): Promise<EntryId>;
  epoch(): EpochCurrent;
  /** Holds this node at an earlier epoch. Throws NOT_FOUND, AGGREGATE_MISSING, DATA_CORRUPT. */
  rollback(epoch: number): Promise<RollbackView>;
  /** Ends a rollback. Throws DIVERGED. */
  goOn(): Promise<EpochCurrent>;
  /** Throws NOT_FOUND. */
  epochAt(epoch: number): Promise<EpochView>;
  /** Newest first. */
  epochs(limit: number): Promise<readonly EpochView[]>;
  /** Resolves once this node has applied `epoch` or a later one, or went back from where it was; throws TIMEOUT. */
  waitEpoch(epoch: number, timeoutMs: number): Promise<EpochCurrent>;
  model(head: ModelView['head']): ModelView;
  /** f32 elements, tensors concatenated in genesis order. */
  /** `parts`: all of its values, in order. */
  modelValues(
    head: ModelView['head'],
  ): Promise<Pick<ModelView, 'epoch' | 'modelRoot' | 'local'> & { readonly parts: AsyncIterable<Float32Array> }>;
  attachTrainer(name: string): TrainerStatus;
  detachTrainer(trainerId: string): void;
  trainers(): readonly TrainerStatus[];
  submit(submission: Submission): Promise<Receipt>;
  ledgerHead(): LedgerHead;
  /** In ledger order from `from`, or from the first that is not archived; provisional. */
  ledgerList(from: number, limit: number): readonly { readonly index: number; readonly entry: SignedEntry }[];
  ledgerGet(id: EntryId): { readonly entry: SignedEntry; readonly index: number | null };
  /** Throws UNKNOWN_ENTRY, NOT_FOUND for what no block holds yet, BAD_PROOF for a checkpoint that this chain does not lead to. */
  ledgerProve(request: ProofRequest): Proof;
  /** Throws NOT_FOUND before the first block. */
  ledgerCheckpoint(): CheckpointView;
  ledgerConsistency(fromSize: number): {
    readonly fromSize: number;
    readonly fromRoot: Hex;
    readonly treeSize: number;
    readonly treeRoot: Hex;
    readonly path: readonly Hex[];
  };
  ledgerVerify(): Promise<LedgerReport>;
  trust(): readonly { readonly fingerprint: Fingerprint; readonly trust: number; readonly emaX: number }[];
  /** prom-client exposition text. */
  metrics(): Promise<string>;
  metricsJson(): Promise<unknown>;
  /** Returns an unsubscribe function. */
  subscribe(topic: EventTopic, listener: (event: unknown) => void): () => void;
}
