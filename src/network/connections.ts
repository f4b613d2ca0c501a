import { setTimeout as delay } from 'node:timers/promises';
import { type Journal, STREAM_PROTOCOLS } from '../epoch/ports.ts';
import type { PeerId, SwarmId } from '../spec/index.ts';
import { GENESIS_PROTOCOL, streamProtocol } from '../wire/topics.ts';
import { withPeer } from './address.ts';
import { CONNECTION } from './limits.ts';
import type { PeerTable } from './peerTable.ts';
import type { Connection, Node, Stream } from './types.ts';

export interface ConnectionsComponents {
  readonly node: Node;
  readonly peers: PeerTable;
  readonly journal: Journal;
}

/**
 * Keeps what libp2p leaves to its user: one connection a peer pair, identify wherever it is due, gossip
 * streams that are renewed when they die, and no lasting place for strangers.
 */
export class Connections {
  readonly #swarmId: SwarmId;
  readonly #parts: ConnectionsComponents;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Looks in a row at which a peer had no working gossip stream. */
  readonly #mute = new Map<PeerId, number>();
  readonly #strangers = new Set<PeerId>();
  /** The list that a connection's muxer keeps, taken while it is open: QUIC's muxer puts another in its place as it ends. */
  readonly #streams = new WeakMap<Connection, readonly Stream[]>();
  #heal: NodeJS.Timeout | undefined;

  constructor(swarmId: SwarmId, parts: ConnectionsComponents) {
    this.#swarmId = swarmId;
    this.#parts = parts;
  }

  start(): void {
    const { node } = this.#parts;
    node.addEventListener('connection:open', this.#onOpen);
    node.addEventListener('connection:close', this.#onClose);
    node.addEventListener('peer:identify', this.#onIdentify);
    this.#heal = setInterval(() => this.#look(), CONNECTION.healIntervalMs);
  }

  stop(): void {
    const { node } = this.#parts;
    node.removeEventListener('connection:open', this.#onOpen);
    node.removeEventListener('connection:close', this.#onClose);
    node.removeEventListener('peer:identify', this.#onIdentify);
    clearInterval(this.#heal);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Open connections to a peer, newest first: an older one may be dead without knowing it. */
  #openTo(peer: Connection['remotePeer']): Connection[] {
    return this.#parts.node
      .getConnections(peer)
      .filter((one) => one.status === 'open')
      .sort((a, b) => b.timeline.open - a.timeline.open);
  }

  #onOpen = (event: CustomEvent<Connection>): void => {
    const peer = event.detail.remotePeer;
    const connection = event.detail;
    this.#streams.set(connection, connection.streams);
    this.#later(CONNECTION.strangerMs / 6, () => this.#ask(connection));
    this.#later(CONNECTION.strangerMs, () => this.#dismiss(connection));
    if (this.#openTo(peer).length > 1) this.#later(CONNECTION.duplicateGraceMs, () => this.#reduceToOne(peer));
  };

  #onClose = (event: CustomEvent<Connection>): void => {
    const peer = event.detail.remotePeer;
    // QUIC's muxer ends every other stream of a lost connection only: gossipsub would keep such a one for ever
    for (const stream of [...(this.#streams.get(event.detail) ?? [])]) stream.abort(new Error('its connection closed'));
    const survivor = this.#openTo(peer)[0];
    if (survivor === undefined) {
      this.#mute.delete(peer.toString());
      this.#parts.peers.disconnected(peer.toString());
      return;
    }
    // gossipsub keeps one stream a peer and never re-opens it while connected, but identify makes it look again
    void this.#identify(survivor);
  };

  #onIdentify = (
    event: CustomEvent<{
      peerId: Connection['remotePeer'];
      protocols: string[];
      connection: Connection;
      listenAddrs: Parameters<typeof withPeer>[0][];
    }>,
  ): void => {
    const { peerId, protocols, connection, listenAddrs } = event.detail;
    if (connection.status !== 'open') return;
    const peer = peerId.toString();
    if (this.#speaksSwarm(protocols)) {
      this.#parts.node.peerStore.merge(peerId, { tags: { starling: { value: PEER_VALUE } } }).catch(() => undefined);
      this.#parts.peers.connected(
        peer,
        listenAddrs.map((one) => withPeer(one, peer)),
      );
      return;
    }
    if (connection.direction === 'outbound') this.#tellStranger(peer);
  };

  /** We dialled it, so somebody gave us its address: say once that it is the wrong one. */
  #tellStranger(peer: PeerId): void {
    if (this.#strangers.has(peer)) return;
    this.#strangers.add(peer);
    this.#parts.journal.log('warn', 'network', `${peer} is not of this swarm`, {
      code: 'WRONG_SWARM',
      peer,
      phase: 'identify',
      fix: 'give the address of a member of this swarm, or start with a data folder of the other one',
    });
  }

  #speaksSwarm(protocols: readonly string[]): boolean {
    return STREAM_PROTOCOLS.every((name) => protocols.includes(streamProtocol(this.#swarmId, name)));
  }

  /** A first identify that a busy machine lost is asked for again. */
  async #ask(connection: Connection): Promise<void> {
    if (connection.status === 'open' && !this.#parts.peers.has(connection.remotePeer.toString())) await this.#identify(connection);
  }

  /** A stranger leaves unless it is still fetching the genesis. */
  #dismiss(connection: Connection): void {
    if (connection.status !== 'open' || this.#parts.peers.has(connection.remotePeer.toString())) return;
    if (connection.streams.some((stream) => stream.protocol === GENESIS_PROTOCOL)) {
      this.#later(CONNECTION.strangerMs, () => this.#dismiss(connection));
      return;
    }
    void closeQuietly(connection);
  }

  /**
   * Of two connections from simultaneous dials the side with the smaller id closes one, so that the two never close
   * each other's choice. One that is much older was lost by the peer (killed and back, which QUIC does not tell):
   * whoever still has it ends it.
   */
  #reduceToOne(peer: Connection['remotePeer']): void {
    const [newest, ...older] = this.#openTo(peer);
    if (newest === undefined) return;
    const isStale = (one: Connection): boolean => newest.timeline.open - one.timeline.open > CONNECTION.staleMs;
    for (const one of older.filter(isStale)) one.abort(new Error('the peer has a newer connection'));
    const oldestFirst = [newest, ...older.filter((one) => !isStale(one))].reverse();
    if (this.#parts.node.peerId.toString() > peer.toString()) return;
    const kept = oldestFirst.find((one) => one.direction === 'outbound') ?? oldestFirst[0];
    for (const one of oldestFirst) if (one !== kept) void closeQuietly(one);
  }

  /** Identify allows one stream at a time each way, so one that is refused at once is tried again; silence is not. */
  async #identify(connection: Connection): Promise<void> {
    const signal = AbortSignal.timeout(CONNECTION.identifyMs);
    while (connection.status === 'open' && !signal.aborted) {
      try {
        await this.#parts.node.services.identify.identify(connection, { signal });
        return;
      } catch {
        await delay(IDENTIFY_RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** Peers whose gossip streams died (a full buffer, an oversized message) get a new connection: nothing less revives them. */
  #look(): void {
    const { node, peers, journal } = this.#parts;
    const heard = new Set(node.services.gossip.getPeers().map((one) => one.toString()));
    for (const connection of node.getConnections()) {
      const peer = connection.remotePeer.toString();
      if (!peers.has(peer) || connection.status !== 'open') continue;
      const works = heard.has(peer) && this.#openTo(connection.remotePeer).some(hasGossipStream(node.services.gossip.protocols));
      const looks = works ? 0 : (this.#mute.get(peer) ?? 0) + 1;
      this.#mute.set(peer, looks);
      if (looks % MUTE_IDENTIFY_LOOKS === 0 && looks > 0) void this.#identify(connection);
      if (looks < MUTE_RENEW_LOOKS) continue;
      this.#mute.delete(peer);
      journal.log('warn', 'network', `gossip to ${peer} stopped; the connection is renewed`, { peer });
      journal.count('network_gossip_renewed');
      void closeQuietly(connection);
    }
  }

  #later(delayMs: number, run: () => void | Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void run();
    }, delayMs);
    this.#timers.add(timer);
  }
}

/** libp2p's measure of what to keep when there are too many connections: strangers have 0. */
const PEER_VALUE = 50;
/** Ms between attempts to identify while another one is under way. */
const IDENTIFY_RETRY_MS = 200;
/** Looks (one a second) without a gossip stream after which identify is asked to make gossipsub look again... */
const MUTE_IDENTIFY_LOOKS = 3;
/** ...and after which the connection is renewed. Late, because a loaded machine is slow, not broken. */
const MUTE_RENEW_LOOKS = 20;

const hasGossipStream =
  (protocols: readonly string[]) =>
  (connection: Connection): boolean =>
    connection.streams.some((stream) => stream.direction === 'outbound' && protocols.includes(stream.protocol));

const closeQuietly = (connection: Connection): Promise<void> => connection.close().catch((error: Error) => connection.abort(error));
