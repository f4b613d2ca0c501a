/**
 * The world as an epoch sees it. `network/` and `storage/` implement these over sockets and disk,
 * `simulation/` over virtual time and memory; the node above is the same.
 */
import type { ContentIndex } from '../crypto/index.ts';
import {
  type ArchiveBase,
  type ArchiveSegment,
  CHUNK_BYTES,
  type ContentRoot,
  type EntryId,
  type PeerId,
  type SignedEntry,
  type Verdict,
} from '../spec/index.ts';
import type { BlockRecord } from '../wire/index.ts';

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds; the origin is arbitrary. */
  nowMs(): number;
  /** Milliseconds since 1970, informational only: it orders nothing. */
  wallMs(): number;
  after(delayMs: number, run: () => void): Timer;
}

/** Randomness. Keys come from `bytes`; `uniform` is for jitter and rounding. */
export interface Entropy {
  /** The caller's own, alone in their memory. */
  bytes(length: number): Uint8Array;
  /** [0, 1). */
  uniform(): number;
}

export interface Gossip {
  /** MUST be called an epoch ahead of the first publication: a fresh mesh delivers nothing. Idempotent. */
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  /** Resolves with the number of direct recipients; 0 means probably lost: gossipsub resolves all the same. Throws TOO_LARGE. */
  publish(topic: string, data: Uint8Array): Promise<{ readonly recipients: number }>;
  /** One handler for all topics, set once before `start`. Its verdict decides forwarding and the peer's score. */
  onMessage(handler: (topic: string, data: Uint8Array, from: PeerId) => Promise<Verdict>): void;
}

export const STREAM_PROTOCOLS = [
  'sync',
  'content',
  'keys',
  'roster',
  'head',
  'votes',
  'blocks',
  'archive',
  'challenge',
  'average',
  'diffusion',
] as const;
/** Names of the swarm's stream protocols; on the wire `/starling/<swarm8>/<name>/1`. */
export type StreamProtocol = (typeof STREAM_PROTOCOLS)[number];

/** On this one a request's payload is lent: its memory serves another once the handler's promise has settled. */
export const LENT_PROTOCOL: StreamProtocol = 'average';

export interface RequestOptions {
  readonly timeoutMs: number;
  /** A larger answer is a protocol violation. At most FRAME_MAX_BYTES. */
  readonly maxResponseBytes: number;
  readonly signal?: AbortSignal;
}

/** Ms to wait for an answer of this many bytes, in chunks: a second for the round trip, and 1 Mbit/s. */
export const answerMs = (bytes: number): number => 1_000 + Math.min(bytes, CHUNK_BYTES) / 125;

/** Direct streams between two peers, one length-prefixed frame each way, over one kept stream a peer and protocol. */
export interface Streams {
  /** Throws StarlingError PEER_TIMEOUT, PEER_REFUSED, TOO_LARGE or UNREACHABLE, naming peer and phase. */
  request(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array, options: RequestOptions): Promise<Uint8Array>;
  /** Fire and forget with a bounded queue; drops the oldest when the peer does not read. */
  notify(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array): void;
  /** `undefined` answers nothing (notify). A thrown StarlingError travels back as its code and message. See LENT_PROTOCOL. */
  handle(protocol: StreamProtocol, handler: (from: PeerId, payload: Uint8Array) => Promise<Uint8Array | undefined>): void;
  /** Peers connected now that speak this swarm's protocols. */
  peers(): readonly PeerId[];
  onPeer(listener: (peer: PeerId, connected: boolean) => void): void;
}

/**
 * When a write must have reached the disk (fsync). 'now': when the call returns, and with it all that was written to the
 * same store before. 'soon': with the next write that is 'now'. It outlives the process at once; a loss of power may take
 * the newest of these writes back, never one without those after it.
 */
export type Durability = 'now' | 'soon';

/**
 * The ledger on disk, synchronous. Both sides of a fork are kept. The store checks nothing but uniqueness of ids; rules
 * are the caller's.
 */
export interface EntryStore {
  /** One transaction; entries already held are skipped. Returns how many were new. By default durable 'now'. */
  append(entries: readonly SignedEntry[], when?: Durability): number;
  /** Makes durable what was appended 'soon'. */
  flush(): void;
  get(id: EntryId): SignedEntry | undefined;
  has(id: EntryId): boolean;
  /** Every entry, in the order of appending (parents before children). */
  all(): IterableIterator<SignedEntry>;
  size(): number;
  /** Drops these entries, in one transaction. Returns how many were held. */
  drop(ids: Iterable<EntryId>): number;
}

/**
 * The final blocks on disk, one an epoch, each with the certificate that made it final; up to the base, the archive stands in
 * their place.
 */
export interface BlockStore {
  /** Durable when it returns. Throws EPOCH_REGRESSION unless its epoch is head() + 1. */
  append(record: BlockRecord): void;
  /** Undefined up to the base, and after the head. */
  get(epoch: number): BlockRecord | undefined;
  /** Epoch of the newest block, that of the base where no later one is held, 0 for none. */
  head(): number;
  /** Forgets every block after `epoch`: a local rollback. Throws EPOCH_REGRESSION where it is before the base. */
  truncate(epoch: number): void;
  /** What this node starts from; undefined for the genesis. */
  base(): ArchiveBase | undefined;
  /**
   * Moves the base: `segments` follow those held without a gap and end with the base's epoch. The blocks up to it go. One
   * transaction, durable when it returns. Throws EPOCH_REGRESSION where the segments leave a gap, or overlap with those held.
   */
  archive(segments: readonly ArchiveSegment[], base: ArchiveBase): void;
  /** Bytes of the segment that holds the header of `epoch`, as `encodeSegment` makes them; undefined beyond the base. */
  segment(epoch: number): Uint8Array | undefined;
  /** All of the archive, ascending. */
  segments(): Iterable<ArchiveSegment>;
}

/** Content by its Merkle root. */
export interface BlobStore {
  /** Durable when it resolves. */
  put(content: Uint8Array): Promise<ContentRoot>;
  /** The same for content that comes in parts, of any length, and is nowhere as a whole. */
  putParts(parts: AsyncIterable<Uint8Array>): Promise<ContentIndex>;
  get(root: ContentRoot): Promise<Uint8Array | undefined>;
  /** Size and leaf hashes, without holding all of it. `undefined` when not held. Throws DATA_CORRUPT as `get` does. */
  index(root: ContentRoot): Promise<ContentIndex | undefined>;
  /**
   * Chunk `i` (0-based, CHUNK_BYTES long but for the last), the caller's own, alone in its memory; `undefined` when not held or past
   * the end. Not checked here: whoever asked checks it against the leaf.
   */
  readChunk(root: ContentRoot, i: number): Promise<Uint8Array | undefined>;
  has(root: ContentRoot): Promise<boolean>;
  delete(root: ContentRoot): Promise<void>;
  /** Of all that is held, in no order. */
  roots(): Promise<ContentRoot[]>;
}

/** Key of a fact that a repair sets in a NodeStore where what this node signed may be gone. Empty until a height is known. */
export const VOTES_LOST = 'votes/lost';

/** Small durable facts of this node alone (residual, pending contribution, applied head). By default durable 'now'. */
export interface NodeStore {
  get(key: string): Uint8Array | undefined;
  set(key: string, value: Uint8Array, when?: Durability): void;
  delete(key: string, when?: Durability): void;
  /** Keys that begin with `prefix`, ascending. */
  keys(prefix: string): string[];
}

/** What a node tells whoever watches it. Never decides anything. */
export interface Journal {
  /** A line for people: level, room, message, facts. */
  log(level: 'debug' | 'info' | 'warn' | 'error', room: string, message: string, facts?: Record<string, unknown>): void;
  /** A count or a measurement for /metrics. */
  count(metric: string, value?: number, labels?: Record<string, string>): void;
  observe(metric: string, value: number, labels?: Record<string, string>): void;
}
