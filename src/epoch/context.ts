import { isScheduled, type TensorSpan } from '../aggregation/index.ts';
import type { Compute } from '../compute/api.ts';
import { DecisionTree } from '../consensus/forkChoice.ts';
import { type Identity, peerIdOf } from '../crypto/index.ts';
import { type EntryOf, isKind } from '../ledger/index.ts';
import type {
  DecisionId,
  EntryId,
  Fingerprint,
  Genesis,
  Hex,
  Invite,
  NodeClass,
  PeerId,
  SignedEntry,
  StarlingError,
  SwarmId,
  SwarmState,
} from '../spec/index.ts';
import { decisionId } from '../wire/index.ts';
import { archivedHeader, readArchive, standOn } from './archive.ts';
import { Chain, type HeldAggregate } from './chain.ts';
import { EvidencePool } from './evidencePool.ts';
import { LinkMeter } from './links.ts';
import { loadPin } from './pin.ts';
import type { BlobStore, BlockStore, Clock, Entropy, EntryStore, Gossip, Journal, NodeStore, Streams } from './ports.ts';
import { Pulls } from './pulls.ts';
import { type Divergence, Reach } from './reach.ts';
import { Replica } from './replica.ts';
import { ScheduledSums } from './sums.ts';
import { Timeline } from './timeline.ts';
import { Updates } from './updates.ts';
import { FinalBlocks } from './waitingBlocks.ts';

/** The world of one node: everything an epoch touches outside itself. */
export interface EpochPorts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly gossip: Gossip;
  readonly streams: Streams;
  readonly entries: EntryStore;
  readonly blocks: BlockStore;
  readonly blobs: BlobStore;
  /** There where models are too large for memory: where they are made. Empty at first. */
  readonly scratch?: BlobStore | undefined;
  /** What only this node names, and nobody else is given: what it is owed, and its own updates, where these are large. */
  readonly own: BlobStore;
  readonly store: NodeStore;
  readonly journal: Journal;
  readonly compute: Compute;
}

export interface EpochInit {
  readonly identity: Identity;
  readonly nodeClass: NodeClass;
  readonly swarm: SwarmId;
  readonly genesis: Genesis;
  /** P f32, checked against the genesis; undefined where it is too large for memory. */
  readonly initialModel: Float32Array | undefined;
  /** What a voter handed to this node, to join with. */
  readonly invite?: Invite | undefined;
  readonly ports: EpochPorts;
}

/** What the ten steps share. Each step is a function of this and of what it is about. */
export interface EpochContext extends Omit<EpochInit, 'initialModel'> {
  readonly self: Fingerprint;
  readonly spans: readonly TensorSpan[];
  readonly replica: Replica;
  readonly chain: Chain;
  /** Provisional decisions over the newest block; another tree with every block. */
  decisions: DecisionTree;
  /** Final blocks that came and are not applied yet. */
  readonly finals: FinalBlocks;
  readonly evidence: EvidencePool;
  readonly reach: Reach;
  /** Nodes whose replica differs from what is final here: nothing is fetched from them. */
  readonly diverging: Map<Fingerprint, Divergence>;
  /** False until this node has heard what its peers know of its own votes (PROTOCOL section 1). */
  mayVote: boolean;
  /** A height in which peers knew a vote of this node that it did not know itself: it does not vote there. */
  abstainEpoch: number | undefined;
  /** Membership entries and ballots that no block holds yet. */
  readonly notices: Set<EntryId>;
  /** A local rollback holds this node at this epoch: it applies, says and submits nothing until it is told to go on. */
  pinned: number | undefined;
  /** Whether a quorum of the voters is in reach, so that blocks are made; else steps are provisional. */
  quorate: boolean;
  /** Decisions that broke a rule, with the reason; never applied. */
  readonly refused: Map<DecisionId, StarlingError>;
  /** Decisions whose aggregate nobody in reach gave, with the monotonic ms until which the next best branch is taken. */
  readonly unavailable: Map<DecisionId, number>;
  /** Aggregates that are being fetched, by hash. */
  readonly fetching: Map<Hex, Promise<HeldAggregate>>;
  /** Whether the epoch over `base` goes by a schedule: nobody then sees the updates of others. */
  readonly isScheduled: (base: SwarmState) => boolean;
  /** Updates, models and sums that are pulled, with what earlier attempts have left. */
  readonly pulls: Pulls;
  /** How far its peers are. */
  readonly links: LinkMeter;
  /** Sums made by a schedule. */
  readonly sums: ScheduledSums;
  /** When each step happened here. */
  readonly timeline: Timeline;
  readonly updates: Updates;
  readonly directory: Directory;
}

/** Reads the ledger from disk. Throws DATA_CORRUPT where it does not hold together. */
export function createContext(init: EpochInit): EpochContext {
  // Not kept: it would stay in memory for good.
  const { initialModel, ...kept } = init;
  const { ports, swarm, genesis, identity } = init;
  const archive = readArchive(ports.blocks, genesis, swarm);
  const archived = archive?.cuts.flatMap(({ places }) => places) ?? [];
  const replica = new Replica({ swarm, identity, store: ports.entries, archived });
  const chain = new Chain({
    genesis,
    swarm,
    graph: replica.graph,
    blobs: ports.blobs,
    scratch: ports.scratch,
    initialModel,
    clock: ports.clock,
    archivedRoot: (epoch) => archivedHeader(ports.blocks, epoch)?.modelRoot,
  });
  if (archive !== undefined) standOn(chain, archive);
  replica.judgeForks((id) => chain.find(id)?.void === true);
  const directory = new Directory();
  for (const entry of replica.graph.entries()) directory.learn(entry);
  const updates = new Updates(genesis, chain.spans);
  const pulls = new Pulls(ports.clock);
  ports.streams.onPeer((peer, connected) => {
    if (!connected) pulls.forget(peer);
  });
  const links = new LinkMeter(ports.clock);
  return {
    ...kept,
    ports: { ...ports, streams: links.over(ports.streams) },
    self: identity.fingerprint,
    spans: chain.spans,
    replica,
    chain,
    decisions: new DecisionTree(chain.head.id),
    finals: new FinalBlocks(),
    evidence: new EvidencePool(),
    reach: new Reach(ports.clock),
    diverging: new Map(),
    mayVote: false,
    abstainEpoch: undefined,
    notices: new Set(),
    pinned: loadPin(ports.store),
    quorate: false,
    refused: new Map(),
    unavailable: new Map(),
    fetching: new Map(),
    isScheduled: scheduledIn(genesis),
    pulls,
    links,
    sums: new ScheduledSums(),
    timeline: new Timeline(ports.clock),
    updates,
    directory,
  };
}

/** As the schedule's rule says, worked out once a state. */
function scheduledIn(genesis: Genesis): (base: SwarmState) => boolean {
  const known = new WeakMap<SwarmState, boolean>();
  return (base) => {
    const found = known.get(base) ?? isScheduled(genesis, base);
    known.set(base, found);
    return found;
  };
}

/** Adds a decision entry to the tree; false when it says nothing new. */
export function learnDecision(ctx: EpochContext, entry: EntryOf<'decision'>): boolean {
  const { author, seq, body } = entry.core;
  return body.epoch > ctx.decisions.rootEpoch && ctx.decisions.add(author, seq, decisionId(body), body);
}

/** A tree over the newest block: what stands on earlier ones is past. */
export function plantDecisions(ctx: EpochContext): void {
  const { id, state } = ctx.chain.finalized;
  ctx.decisions = new DecisionTree(id, state.epoch);
  ctx.refused.clear();
  ctx.unavailable.clear();
  for (const entry of ctx.replica.graph.decisionsAfter(state.epoch)) learnDecision(ctx, entry);
}

/** The connected peer that is this node, if its join is known and it is connected. */
export function peerOf(ctx: EpochContext, node: Fingerprint): PeerId | undefined {
  const peer = ctx.directory.peerOf(node);
  return peer !== undefined && ctx.ports.streams.peers().includes(peer) ? peer : undefined;
}

/** Which peer is which node, as their joins on the ledger say. */
export class Directory {
  readonly #peers = new Map<Fingerprint, PeerId>();
  readonly #nodes = new Map<PeerId, Fingerprint>();

  learn(entry: SignedEntry): void {
    if (!isKind(entry, 'join')) return;
    const peer = peerIdOf(entry.core.body.certificate.ed25519PublicKey);
    this.#peers.set(entry.core.author, peer);
    this.#nodes.set(peer, entry.core.author);
  }

  peerOf(node: Fingerprint): PeerId | undefined {
    return this.#peers.get(node);
  }

  /** The node behind a peer: one whose join this ledger holds. */
  nodeOf(peer: PeerId): Fingerprint | undefined {
    return this.#nodes.get(peer);
  }
}
