import { type Gossip, LENT_PROTOCOL, type RequestOptions, type StreamProtocol, type Streams } from '../epoch/ports.ts';
import type { Random } from '../learning/random.ts';
import { asStarlingError, GOSSIP_MAX_BYTES, type PeerId, StarlingError, type Verdict } from '../spec/index.ts';
import type { VirtualClock } from './clock.ts';

export interface LinkModel {
  /** Share of gossip and notifications that never arrive. Requests and answers, as over TCP, are sent again. */
  readonly loss: number;
  readonly minDelayMs: number;
  /** Uniform delays end here; of exponential ones 99 in 100 do, the others take as long as they take. */
  readonly maxDelayMs: number;
  /** Share of gossip messages that arrive twice. */
  readonly duplication: number;
  /** Uniform unless it says otherwise. */
  readonly delay?: 'uniform' | 'exponential';
  /** Share of gossip and notifications that are held back for up to HELD_BACK times the longest delay: later ones overtake. */
  readonly reordering?: number;
  /** Ms one way that two peers are apart beside all that: sites. */
  readonly apartMs?: (a: PeerId, b: PeerId) => number;
}

/** Ms after a cut until a peer counts as gone, and after a heal until it is connected again (tuned libp2p: 2.4-2.9 s, 1 s). */
const LOSS_NOTICED_MS = 2_500;
const RECONNECT_MS = 1_000;

/** Ms until a lost packet of a request or an answer is sent again (RFC 6298: at least 200 ms in practice), doubling. */
const RETRANSMIT_MS = 200;

/** Longest delays that a held-back message waits. */
const HELD_BACK = 10;
/** Mean of an exponential delay whose 99th percentile is 1. */
const TAIL_MEAN = 1 / Math.log(100);

/** What is read in memory that was lent and given back: no message begins with it. */
const LENT_BYTE = 0xdb;

/** A network of peers under a virtual clock: it delays, drops, repeats and parts messages as its seed says. */
export class SimulatedNetwork {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly link: LinkModel;
  readonly #ports = new Map<PeerId, SimulatedPort>();
  #group = new Map<PeerId, number>();
  /** Links that are cut, each in both directions. */
  readonly #cut = new Set<string>();
  messages = 0;

  constructor(clock: VirtualClock, random: Random, link: LinkModel) {
    this.clock = clock;
    this.random = random;
    this.link = link;
  }

  /** A fresh attachment for `peer`; one it had before is dead (a restarted process). */
  attach(peer: PeerId): SimulatedPort {
    this.detach(peer);
    const port = new SimulatedPort(this, peer);
    this.#ports.set(peer, port);
    this.clock.after(this.link.maxDelayMs, () => this.#refresh());
    return port;
  }

  detach(peer: PeerId): void {
    const port = this.#ports.get(peer);
    if (port === undefined) return;
    port.closed = true;
    this.#ports.delete(peer);
    this.clock.after(LOSS_NOTICED_MS, () => this.#refresh());
  }

  /** Parts the network into groups; peers not named stay together in group 0. */
  partition(...groups: readonly (readonly PeerId[])[]): void {
    this.#group = new Map(groups.flatMap((peers, i) => peers.map((p) => [p, i + 1] as const)));
    this.clock.after(LOSS_NOTICED_MS, () => this.#refresh());
  }

  /** Cuts single links, both ways, until the network heals: whoever is connected over others stays so. */
  cut(...links: readonly (readonly [PeerId, PeerId])[]): void {
    for (const [a, b] of links) this.#cut.add(`${a} ${b}`).add(`${b} ${a}`);
    this.clock.after(LOSS_NOTICED_MS, () => this.#refresh());
  }

  heal(): void {
    this.#group = new Map();
    this.#cut.clear();
    this.clock.after(RECONNECT_MS, () => this.#refresh());
  }

  port(peer: PeerId): SimulatedPort | undefined {
    return this.#ports.get(peer);
  }

  ports(): Iterable<SimulatedPort> {
    return this.#ports.values();
  }

  reachable(a: PeerId, b: PeerId): boolean {
    const isParted = (this.#group.get(a) ?? 0) !== (this.#group.get(b) ?? 0) || this.#cut.has(`${a} ${b}`);
    return this.#ports.has(a) && this.#ports.has(b) && !isParted;
  }

  /**
   * Delivers `run` after a drawn delay, unless the two are apart when it leaves or arrives. What the link loses is
   * gone, or sent again where the transport is `reliable`.
   */
  deliver(from: PeerId, to: PeerId, run: () => void, reliable = false): void {
    this.messages++;
    if (!this.reachable(from, to)) return;
    const { minDelayMs, maxDelayMs, loss, delay, reordering = 0 } = this.link;
    const drawn = this.random.uniform();
    const siteMs = this.link.apartMs?.(from, to) ?? 0;
    let delayMs = siteMs + minDelayMs + (delay === 'exponential' ? -Math.log(1 - drawn) * TAIL_MEAN : drawn) * (maxDelayMs - minDelayMs);
    if (!reliable && reordering > 0 && this.random.uniform() < reordering) delayMs += this.random.uniform() * HELD_BACK * maxDelayMs;
    for (let resendMs = RETRANSMIT_MS; this.random.uniform() < loss; resendMs *= 2) {
      if (!reliable) return;
      delayMs += resendMs;
    }
    const port = this.#ports.get(to);
    this.clock.after(delayMs, () => {
      if (port !== undefined && !port.closed && this.reachable(from, to)) run();
    });
  }

  #refresh(): void {
    for (const a of this.#ports.values()) {
      for (const b of this.#ports.values()) if (a !== b) a.connection(b.peer, this.reachable(a.peer, b.peer));
      for (const p of a.peers()) if (!this.#ports.has(p)) a.connection(p, false);
    }
  }
}

/** What the other side's error becomes on this side, as over real streams: whatever it was, it was the peer that refused. */
function refusal(peer: PeerId, error: unknown): StarlingError {
  const { code, message } = asStarlingError(error);
  return new StarlingError('PEER_REFUSED', `${peer} refused: ${message}`, { peer, reason: code });
}

type Handler = (from: PeerId, payload: Uint8Array) => Promise<Uint8Array | undefined>;

/** One peer's Gossip and Streams. Gossip goes straight to every subscriber, each copy with a fate of its own. */
export class SimulatedPort implements Gossip, Streams {
  readonly peer: PeerId;
  closed = false;
  readonly #network: SimulatedNetwork;
  readonly #topics = new Set<string>();
  readonly #handlers = new Map<StreamProtocol, Handler>();
  readonly #connected = new Set<PeerId>();
  readonly #listeners: ((peer: PeerId, connected: boolean) => void)[] = [];
  #onMessage: ((topic: string, data: Uint8Array, from: PeerId) => Promise<Verdict>) | undefined;

  constructor(network: SimulatedNetwork, peer: PeerId) {
    this.#network = network;
    this.peer = peer;
  }

  subscribe(topic: string): void {
    this.#topics.add(topic);
  }
  unsubscribe(topic: string): void {
    this.#topics.delete(topic);
  }
  onMessage(handler: (topic: string, data: Uint8Array, from: PeerId) => Promise<Verdict>): void {
    this.#onMessage = handler;
  }

  publish(topic: string, data: Uint8Array): Promise<{ readonly recipients: number }> {
    return this.publishTo(() => true, topic, data);
  }

  /** As `publish`, to the peers that `isMeant` alone: what an honest node cannot do. */
  async publishTo(isMeant: (peer: PeerId) => boolean, topic: string, data: Uint8Array): Promise<{ readonly recipients: number }> {
    if (data.byteLength > GOSSIP_MAX_BYTES) throw new StarlingError('TOO_LARGE', 'gossip message over the bound', { phase: 'publish' });
    let recipients = 0;
    if (this.closed) return { recipients };
    const sent = Uint8Array.from(data);
    for (const port of this.#network.ports()) {
      if (port === this || !isMeant(port.peer) || !port.#topics.has(topic) || !this.#network.reachable(this.peer, port.peer)) continue;
      recipients++;
      const copies = this.#network.random.uniform() < this.#network.link.duplication ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        this.#network.deliver(this.peer, port.peer, () => port.#hear(topic, sent.slice(), this.peer));
      }
    }
    return { recipients };
  }

  /** A handler that fails (a disk that ends under it) harms nobody else: the message is gone. */
  #hear(topic: string, data: Uint8Array, from: PeerId): void {
    void this.#onMessage?.(topic, data, from).catch(() => undefined);
  }

  request(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const timer = this.#network.clock.after(options.timeoutMs, () =>
        reject(new StarlingError('PEER_TIMEOUT', `no answer to ${protocol} in ${options.timeoutMs} ms`, { peer, phase: protocol })),
      );
      const answer = (finish: () => void) => {
        timer.cancel();
        finish();
      };
      const ask = () => {
        const port = this.#network.port(peer);
        void port?.serve(protocol, this.peer, payload).then(
          (bytes) => this.#network.deliver(peer, this.peer, () => answer(() => resolve(bytes ?? new Uint8Array())), true),
          (error: unknown) => this.#network.deliver(peer, this.peer, () => answer(() => reject(refusal(peer, error))), true),
        );
      };
      if (!this.closed) this.#network.deliver(this.peer, peer, ask, true);
    });
  }

  notify(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array): void {
    if (this.closed) return;
    this.#network.deliver(
      this.peer,
      peer,
      () =>
        void this.#network
          .port(peer)
          ?.serve(protocol, this.peer, payload)
          .catch(() => undefined),
    );
  }

  handle(protocol: StreamProtocol, handler: Handler): void {
    this.#handlers.set(protocol, handler);
  }

  async serve(protocol: StreamProtocol, from: PeerId, payload: Uint8Array): Promise<Uint8Array | undefined> {
    const handler = this.#handlers.get(protocol);
    if (handler === undefined) throw new StarlingError('PEER_REFUSED', `${protocol} is not served`, { peer: this.peer, phase: protocol });
    const bytes = Uint8Array.from(payload);
    try {
      return await handler(from, bytes);
    } finally {
      if (protocol === LENT_PROTOCOL) bytes.fill(LENT_BYTE);
    }
  }

  peers(): readonly PeerId[] {
    return [...this.#connected];
  }

  onPeer(listener: (peer: PeerId, connected: boolean) => void): void {
    this.#listeners.push(listener);
  }

  connection(peer: PeerId, connected: boolean): void {
    if (this.closed || this.#connected.has(peer) === connected) return;
    if (connected) this.#connected.add(peer);
    else this.#connected.delete(peer);
    for (const listener of this.#listeners) listener(peer, connected);
  }
}
