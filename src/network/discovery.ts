import type { Journal } from '../epoch/ports.ts';
import type { PeerId } from '../spec/index.ts';
import { withPeer } from './address.ts';
import type { Dialler } from './dialler.ts';
import { WALK } from './limits.ts';
import type { PeerTable } from './peerTable.ts';
import type { Node } from './types.ts';

export interface DiscoveryComponents {
  readonly node: Node;
  readonly peers: PeerTable;
  readonly dialler: Dialler;
  readonly journal: Journal;
}

/**
 * Walks the DHT towards this node's own key: soon after each new peer, then ever more rarely. Whoever another
 * peer names is dialled, so that a small swarm becomes a full mesh from one known address.
 */
export class Discovery {
  readonly #parts: DiscoveryComponents;
  readonly #walking = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #nextMs = 0;
  #pauseMs: number = WALK.firstMs;

  constructor(parts: DiscoveryComponents) {
    this.#parts = parts;
    parts.peers.onPeer((_, connected) => {
      if (connected) this.#hurry();
    });
  }

  stop(): void {
    this.#walking.abort();
    clearTimeout(this.#timer);
  }

  /** The first peer starts the walks; a later one brings the next walk nearer, never all nodes' walks at once. */
  #hurry(): void {
    const dueMs = this.#timer === undefined ? WALK.settleMs : WALK.newPeerMs;
    if (this.#timer === undefined || this.#nextMs > performance.now() + dueMs) this.#schedule(dueMs);
    this.#pauseMs = Math.min(this.#pauseMs, WALK.newPeerMs);
  }

  #schedule(delayMs: number): void {
    if (this.#walking.signal.aborted) return;
    clearTimeout(this.#timer);
    const jitteredMs = delayMs * (1 + 0.2 * Math.random());
    this.#nextMs = performance.now() + jitteredMs;
    this.#timer = setTimeout(() => void this.#walk(), jitteredMs);
  }

  async #walk(): Promise<void> {
    if (this.#parts.peers.peers().length > 0) {
      try {
        await this.#askWhoIsNear();
      } catch (error) {
        // a young routing table finds nothing; the next walk comes soon
        this.#parts.journal.log('debug', 'network', 'the DHT walk found nobody', { reason: (error as Error).message });
      }
    }
    const isLonely = this.#parts.peers.peers().length <= WALK.lonelyPeers;
    this.#pauseMs = Math.min(isLonely ? WALK.lonelyMs : WALK.maxMs, this.#pauseMs);
    this.#schedule(this.#pauseMs);
    this.#pauseMs *= 2;
  }

  async #askWhoIsNear(): Promise<void> {
    const { node } = this.#parts;
    const signal = AbortSignal.any([this.#walking.signal, AbortSignal.timeout(WALK.timeoutMs)]);
    for await (const event of node.services.dht.getClosestPeers(node.peerId.toMultihash().bytes, { signal }))
      if (event.name === 'PEER_RESPONSE') for (const one of event.closer) this.#named(one.id.toString(), one.multiaddrs);
  }

  #named(peer: PeerId, addresses: readonly Parameters<typeof withPeer>[0][]): void {
    if (peer === this.#parts.node.peerId.toString()) return;
    this.#parts.peers.learned(peer, 'dht');
    this.#parts.dialler.know(
      addresses.map((one) => withPeer(one, peer)),
      'dht',
    );
  }
}
