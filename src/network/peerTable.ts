import type { PeerId } from '../spec/index.ts';
import type { Connection } from './types.ts';

/** How this node came to know a peer; a peer that the DHT names says so, however it was met first. */
export type PeerSource = 'bootstrap' | 'dht' | 'memory' | 'dialled' | 'inbound';

/** A peer of this swarm that is connected now. */
export interface PeerInfo {
  readonly peerId: PeerId;
  readonly addresses: readonly string[];
  readonly transport: 'tcp' | 'quic' | 'unknown';
  readonly latencyMs: number | null;
  readonly source: PeerSource;
  readonly session: { readonly encryption: string; readonly direction: 'inbound' | 'outbound' };
}

export type PeerListener = (peer: PeerId, connected: boolean) => void;

/** The swarm's peers that are connected now, and where each known peer came from. */
export class PeerTable {
  /** Addresses by peer, each with /p2p/. */
  readonly #connected = new Map<PeerId, readonly string[]>();
  readonly #sources = new Map<PeerId, PeerSource>();
  readonly #listeners: PeerListener[] = [];

  peers(): readonly PeerId[] {
    return [...this.#connected.keys()];
  }

  has(peer: PeerId): boolean {
    return this.#connected.has(peer);
  }

  onPeer(listener: PeerListener): void {
    this.#listeners.push(listener);
  }

  /** Says where a peer was learned; the first word stands, except that the DHT's always does. */
  learned(peer: PeerId, source: PeerSource): void {
    if (source === 'dht' || !this.#sources.has(peer)) this.#sources.set(peer, source);
  }

  connected(peer: PeerId, addresses: readonly string[]): void {
    const isNew = !this.#connected.has(peer);
    this.#connected.set(peer, addresses);
    if (isNew) for (const listener of this.#listeners) listener(peer, true);
  }

  disconnected(peer: PeerId): void {
    if (this.#connected.delete(peer)) for (const listener of this.#listeners) listener(peer, false);
  }

  addresses(peer: PeerId): readonly string[] {
    return this.#connected.get(peer) ?? [];
  }

  describe(connection: Connection): PeerInfo {
    const peerId = connection.remotePeer.toString();
    const transport = transportOf(connection);
    return {
      peerId,
      addresses: this.addresses(peerId),
      transport,
      latencyMs: connection.rtt ?? null,
      source: this.#sources.get(peerId) ?? (connection.direction === 'inbound' ? 'inbound' : 'dialled'),
      session: { encryption: transport === 'quic' ? 'quic' : (connection.encryption ?? 'unknown'), direction: connection.direction },
    };
  }
}

function transportOf(connection: Connection): PeerInfo['transport'] {
  const names = connection.remoteAddr.getComponents().map((one) => one.name);
  if (names.includes('quic-v1')) return 'quic';
  return names.includes('tcp') ? 'tcp' : 'unknown';
}
