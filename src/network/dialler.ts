import { pEvent } from 'p-event';
import type { Journal } from '../epoch/ports.ts';
import { type PeerId, StarlingError } from '../spec/index.ts';
import { parseAddress, peerIn, UNREACHABLE_FIX } from './address.ts';
import { CONNECTION, REDIAL } from './limits.ts';
import type { PeerSource, PeerTable } from './peerTable.ts';
import type { Node, RemotePeer } from './types.ts';

/** A peer, or an address whose peer is not known yet, that this node keeps dialling until it is connected. */
interface Target {
  peer: PeerId | undefined;
  addresses: readonly string[];
  readonly source: PeerSource;
  failures: number;
  dueMs: number;
  isDialling: boolean;
}

export interface DiallerComponents {
  readonly node: Node;
  readonly peers: PeerTable;
  readonly journal: Journal;
}

/**
 * Dials bootstrap addresses, remembered peers and those the DHT names, and goes on for ever with growing pauses:
 * libp2p's own re-dialling gives a peer up after a cut of two minutes and lets five dead peers block the rest.
 */
export class Dialler {
  readonly #parts: DiallerComponents;
  /** By peer id; by address while the peer behind it is unknown. */
  readonly #targets = new Map<string, Target>();
  readonly #dialling = new AbortController();
  #inFlight = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: DiallerComponents) {
    this.#parts = parts;
    parts.peers.onPeer((peer, connected) => (connected ? this.#reached(peer) : this.#lost(peer)));
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), REDIAL.tickMs);
    this.#tick();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#dialling.abort(new Error('the host stops'));
  }

  /** Adds addresses to keep dialling. An address that names its peer with /p2p/ joins what is known of that peer. */
  know(addresses: readonly string[], source: PeerSource): void {
    for (const address of addresses) {
      const peer = peerIn(address);
      if (peer === this.#parts.node.peerId.toString()) continue;
      const key = peer ?? address;
      if (peer !== undefined && source !== 'inbound') this.#parts.peers.learned(peer, source);
      const target = this.#targets.get(key);
      if (target === undefined)
        this.#targets.set(key, {
          peer,
          addresses: [address],
          source,
          failures: 0,
          dueMs: this.#firstDueMs(peer, source),
          isDialling: false,
        });
      else {
        const others = target.addresses.filter((one) => one !== address);
        // What was remembered gives way to what is heard now, and never the other way round.
        target.addresses = (source === 'memory' ? [address, ...others] : [...others, address]).slice(-MAX_ADDRESSES);
      }
    }
    this.#bound();
  }

  /** Dials one address now and waits until the peer there shows that it is of this swarm. Throws UNREACHABLE or WRONG_SWARM. */
  async reach(address: string): Promise<PeerId> {
    const { node, peers } = this.#parts;
    const peer = await this.#connect(address);
    peers.learned(peer, 'dialled');
    const isPeer = (): boolean => peers.has(peer);
    if (!isPeer())
      await pEvent(node, 'peer:identify', { filter: (event: Event) => identified(event) === peer, timeout: IDENTIFY_MS }).catch(
        () => undefined,
      );
    if (!isPeer())
      throw new StarlingError('WRONG_SWARM', `${peer} at ${address} is not of this swarm`, {
        peer,
        phase: 'identify',
        fix: 'dial a member of this swarm',
      });
    this.know([address], 'dialled');
    return peer;
  }

  async #connect(address: string): Promise<PeerId> {
    try {
      const signal = AbortSignal.any([this.#dialling.signal, AbortSignal.timeout(CONNECTION.dialTimeoutMs)]);
      return (await this.#parts.node.dial(parseAddress(address), { signal })).remotePeer.toString();
    } catch (cause) {
      const facts = { peer: address, phase: 'dial', fix: UNREACHABLE_FIX };
      throw new StarlingError('UNREACHABLE', `nobody answers at ${address}: ${(cause as Error).message}`, facts, { cause });
    }
  }

  /** Peers worth remembering on disk: those that were reached, with their addresses. */
  known(): readonly { readonly peerId: PeerId; readonly addresses: readonly string[] }[] {
    return [...this.#targets].flatMap(([key, { peer, addresses, failures }]) =>
      peer !== key || failures >= FORGETTABLE ? [] : [{ peerId: peer, addresses }],
    );
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const target of this.#targets.values()) {
      if (this.#inFlight >= REDIAL.parallel) return;
      if (target.isDialling || target.dueMs > nowMs || this.#isConnected(target)) continue;
      if (target.source === 'dht' && this.#parts.peers.peers().length >= CONNECTION.targetPeers) continue;
      void this.#dial(target);
    }
  }

  #isConnected(target: Target): boolean {
    return target.peer !== undefined && this.#parts.peers.has(target.peer);
  }

  async #dial(target: Target): Promise<void> {
    target.isDialling = true;
    this.#inFlight += 1;
    try {
      const connection = await this.#parts.node.dial(
        nextAddresses(target).map((one) => parseAddress(one)),
        { signal: this.#dialling.signal },
      );
      this.#identified(target, connection.remotePeer.toString());
      // connected is not yet accepted: the next look comes in good time if identify shows no peer of ours
      this.#postpone(target);
    } catch (error) {
      if (!this.#dialling.signal.aborted) this.#failed(target, error as Error);
    } finally {
      target.isDialling = false;
      this.#inFlight -= 1;
    }
  }

  /** The peer behind a bare address is known from here on. */
  #identified(target: Target, peer: PeerId): void {
    this.#parts.peers.learned(peer, target.source);
    target.peer = peer;
  }

  #failed(target: Target, error: Error): void {
    this.#postpone(target);
    const { failures, addresses, source } = target;
    const isDue = (failures & (failures - 1)) === 0; // at 1, 2, 4, 8, ...: it goes on for ever, the journal does not
    const facts = { code: 'UNREACHABLE', address: addresses.join(' '), attempts: failures, reason: error.message, fix: UNREACHABLE_FIX };
    if (source === 'bootstrap' && isDue)
      this.#parts.journal.log('warn', 'network', `the bootstrap ${addresses[0]} is unreachable; dialling goes on`, facts);
    this.#parts.journal.count('network_dial_failures', 1, { source });
  }

  #postpone(target: Target): void {
    target.failures += 1;
    const waitMs = Math.min(REDIAL.maxMs, REDIAL.firstMs * 2 ** (target.failures - 1));
    target.dueMs = performance.now() + waitMs * (1 + REDIAL.jitter * Math.random());
  }

  #reached(peer: PeerId): void {
    this.know(this.#parts.peers.addresses(peer), 'inbound');
    for (const target of this.#targets.values()) if (target.peer === peer) target.failures = 0;
  }

  /** Two peers that the DHT shows each other, or that lose each other, both dial, one of them later. */
  #turnMs(peer: PeerId): number {
    return this.#parts.node.peerId.toString() < peer ? 0 : REDIAL.otherSideMs;
  }

  #firstDueMs(peer: PeerId | undefined, source: PeerSource): number {
    return source === 'dht' && peer !== undefined ? performance.now() + this.#turnMs(peer) : 0;
  }

  #lost(peer: PeerId): void {
    const dueMs = performance.now() + REDIAL.firstMs + this.#turnMs(peer);
    for (const target of this.#targets.values()) if (target.peer === peer) target.dueMs = dueMs;
  }

  #bound(): void {
    if (this.#targets.size <= REDIAL.maxKnown) return;
    const worst = [...this.#targets]
      .filter(([, one]) => one.source !== 'bootstrap' && !this.#isConnected(one))
      .sort(([, a], [, b]) => b.failures - a.failures)[0];
    if (worst !== undefined) this.#targets.delete(worst[0]);
  }
}

const identified = (event: Event): PeerId => (event as CustomEvent<{ peerId: RemotePeer }>).detail.peerId.toString();

/** Addresses of a peer in one dial: each may take half of a dial's time to fail, and silent ones (UDP) always do. */
const ADDRESSES_A_DIAL = 2;

/** The newest first, and at every further attempt the next ones: a dead address never hides a live one. */
function nextAddresses({ addresses, failures }: Pick<Target, 'addresses' | 'failures'>): readonly string[] {
  const newest = addresses.toReversed();
  const from = (failures * ADDRESSES_A_DIAL) % newest.length;
  return [...newest, ...newest].slice(from, from + Math.min(ADDRESSES_A_DIAL, newest.length));
}

/** Ms for a dialled peer to show that it belongs to this swarm. */
const IDENTIFY_MS = 5_000;
/** Addresses kept of one peer: newer ones push out older. */
const MAX_ADDRESSES = 16;
/** Dials that failed in a row after which a peer is not written to disk again. */
const FORGETTABLE = 16;
