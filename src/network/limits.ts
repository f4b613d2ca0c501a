import { FRAME_MAX_BYTES, KIB, MIB } from '../spec/index.ts';

/** Settings that were measured to matter with many nodes on one host, frozen peers and lossy links; unit and reason each. */

export const CONNECTION = {
  /** Connections. Dialling stops here: up to this size a swarm is a full mesh, beyond it DHT and gossip carry on. */
  targetPeers: 64,
  /** Connections, inbound ones included, above which libp2p closes the least valued. */
  maxConnections: 256,
  /** Ms. Whole dial: a handshake on a loaded machine takes seconds, and giving up early makes it do the work again. */
  dialTimeoutMs: 8_000,
  /** Ms for one of a peer's addresses, so that a dead one leaves time for the next. */
  addressDialTimeoutMs: 4_000,
  /** Connections a second from one host. The default of 5 resets most of a swarm that starts on one machine. */
  inboundPerSecond: 100,
  /** Sockets still being upgraded. With the default of 10, ten idle sockets block everyone for 10 s. */
  maxPendingInbound: 200,
  /** Ms for an inbound handshake: long enough for a loaded machine, short enough for idle sockets to go. */
  inboundUpgradeMs: 8_000,
  /** Ms. gossipsub opens its streams one after the other, so a frozen peer must not hold them up for long (default 10 s). */
  negotiationMs: 3_000,
  /** Ms between pings on each connection, which also measure latency. Each is a stream of its own, so not more often. */
  pingIntervalMs: 4_000,
  /** Ms. A ping unanswered for this long ends the connection: a silent loss is noticed within 9 s; slow answers raise the bound... */
  pingTimeoutMinMs: 5_000,
  /** ...up to this, since a loaded machine that drops its connections only gets more load. */
  pingTimeoutMaxMs: 15_000,
  /** Ms after which two connections to one peer are reduced to one: both sides must first have seen both. */
  duplicateGraceMs: 500,
  /** Ms. Simultaneous dials are closer than this; a connection that is older by more is one that the peer has lost. */
  staleMs: 3_000,
  /** Ms for an identify that this room asks for. */
  identifyMs: 5_000,
  /** Ms between looks at the health of connections. */
  healIntervalMs: 1_000,
  /** Ms for which a peer of another swarm, or a newcomer that has its genesis, may stay connected. */
  strangerMs: 30_000,
} as const;

export const QUIC = {
  /** Ms without a packet after which a QUIC connection is lost; there is no RST, so nothing else tells. */
  maxIdleTimeout: 4_000,
  /** Ms between keep-alive packets, sent by a native thread. */
  keepAliveInterval: 1_000,
} as const;

export const YAMUX = {
  /** Bytes. Must stay below libp2p's read buffer of 4 MiB, or a paused stream is aborted. Under `streamOptions` only. */
  maxStreamWindowSize: 2 * MIB,
  /**
   * Bytes. The same on both ends. All of it at once: yamux widens a window by a round trip that it measured while the link was idle,
   * and on one full of bulk never does: a window of 256 KiB then carries a quarter of 100 Mbit/s.
   */
  initialStreamWindowSize: 2 * MIB,
} as const;

export const ADDRESS_BOOK = {
  /** Ms. libp2p forgets addresses after 1 h although the peer is connected, and the DHT then answers without them. */
  maxAgeMs: 7 * 24 * 3_600_000,
} as const;

export const REDIAL = {
  /** Ms before the first re-dial of a lost peer, and the first pause after a failure. */
  firstMs: 300,
  /** Ms that the side with the larger id waits longer, for lost peers and found ones: two dials at once are twice the work. */
  otherSideMs: 1_500,
  /** The wait doubles with each failure up to this many ms, then goes on for ever. */
  maxMs: 30_000,
  /** Share of each wait that is random, so that a swarm that lost its network does not return as one. */
  jitter: 0.25,
  /** Dials in flight at once. A handshake costs some 10 ms of CPU; more at a time only makes all of them late. */
  parallel: 4,
  /** Peers. Those failing longest are forgotten beyond this. */
  maxKnown: 512,
  /** Ms between looks at what is due. */
  tickMs: 150,
} as const;

export const WALK = {
  /** Ms from the first peer to the first walk. */
  settleMs: 150,
  /** Ms. Early look-ups may find nothing, so the first walks follow closely and the pause doubles... */
  firstMs: 1_000,
  /** ...up to this. A walk asks every peer of a small swarm, so it is not free. */
  maxMs: 60_000,
  /** Ms. ...and up to this with so few peers: a walk costs as many requests, and a leaf of a star must not stay one for a minute. */
  lonelyMs: 5_000,
  lonelyPeers: 2,
  /** Ms. A new peer shortens the pause to this at most. */
  newPeerMs: 8_000,
  /** Ms after which a walk is given up. */
  timeoutMs: 10_000,
} as const;

export const GOSSIP = {
  /**
   * Neighbours that a message is passed on to: as many as are aimed at, at least and at most. Its author sends it to all its
   * peers at once, so passing on is for those that the author is not connected to, and gossipsub's 6, 4 and 12 made nine of
   * ten messages in a swarm of sixteen duplicates. What is lost all the same is asked for at the next heartbeat (IHAVE, 1 s).
   */
  mesh: 3,
  meshLow: 2,
  meshHigh: 4,
  /** Of these, neighbours that this node has dialled itself: below `meshLow` and at most half of `mesh` (gossipsub 1.1). */
  meshOutbound: 1,
  /** Bytes from which on neighbours are told that a message has come (IDONTWANT): for a smaller one that costs more than a duplicate. */
  unwantedBytes: 16 * KIB,
  /** Bytes that may wait for one slow peer; unbounded by default (156 MB were seen). The connection is then renewed. */
  maxOutboundBufferBytes: 4 * MIB,
  /** Bytes of one RPC, which may carry many messages; gossipsub drops a peer that sends a larger one. */
  maxRpcBytes: 4 * MIB,
  /** New messages and bytes a second that one neighbour may bring, its forwards included. */
  messagesPerSecond: 2_000,
  bytesPerSecond: 32 * MIB,
  /** Penalty points of a rejected and of an excess message; they halve every `penaltyHalfLifeMs`. */
  rejectPenalty: 5,
  excessPenalty: 1,
  penaltyHalfLifeMs: 60_000,
  /** Broken promises and early re-grafts that are forgiven, since a loaded machine breaks some (as in eth2's parameters). */
  behaviourPenaltyThreshold: 6,
} as const;

export const STREAM = {
  /** Bytes of a frame's body: the largest payload and room for an envelope. */
  maxFrameBytes: FRAME_MAX_BYTES + KIB,
  /** Requests of one peer and protocol being answered at once; the rest waits unread. Bounds memory at 8 answers. */
  activeRequests: 8,
  /** Bytes of frames read but not yet begun above which reading pauses. */
  backlogBytes: 2 * FRAME_MAX_BYTES,
  /** Own requests waiting for answers from one peer and protocol. */
  maxOutstanding: 256,
  /**
   * Bytes of own requests on the way to one peer and protocol; more waits here. QUIC streams of libp2p cannot be paused and are reset
   * at 4 MiB unread, so what a slow peer has to hold must be bounded by whoever sends it.
   */
  unansweredBytes: 4 * MIB,
  /** Bytes that are held for one peer, and for all: requests that are not answered, answers that have not left. */
  peerBytes: 16 * MIB,
  totalBytes: 64 * MIB,
  /** Streams that one peer may have open here, over all protocols and connections: each one kept, some being replaced. */
  peerStreams: 32,
  /** Frames and bytes of notifications that wait for a slow peer; the oldest goes first. */
  notifyFrames: 256,
  notifyBytes: 4 * MIB,
  /** Streams of one protocol on one connection: the kept one and one that replaces it. */
  maxInboundStreams: 4,
  /** Ms to open a stream; a connection whose peer was killed takes it in silence, and the next attempt takes a newer one. */
  openMs: 2_000,
  /** Requests and bytes (question and answer) a second that are served to one peer; more is delayed, not refused. */
  requestsPerSecond: 2_000,
  bytesPerSecond: 512 * MIB,
} as const;

export const GENESIS_SERVICE = {
  /** The same for a stranger that asks for the genesis and the first model. */
  requestsPerSecond: 500,
  bytesPerSecond: 64 * MIB,
} as const;

/** Ms. `stop()` takes 4-30 ms, 0.5 s with stuck streams, once 3 s on QUIC: then the process need not wait. */
export const STOP_MS = 2_000;
/** Ms from a change of the known peers until they are saved. */
export const SAVE_DELAY_MS = 1_000;
