/** A dishonest node is an honest engine whose words are changed on their way out. */
import type { Identity } from '../../crypto/index.ts';
import type { Gossip, RequestOptions, StreamProtocol, Streams } from '../../epoch/ports.ts';
import type { Random } from '../../learning/random.ts';
import { type PeerId, StarlingError, type SwarmId, type Verdict } from '../../spec/index.ts';
import type { SimulatedPort } from '../network.ts';

/** What a liar knows and owns: it may sign anything with its own keys, and nothing with another's. */
export interface LiarTools {
  readonly identity: Identity;
  readonly swarm: SwarmId;
  readonly random: Random;
  /** Sends to chosen peers alone. */
  readonly port: SimulatedPort;
  /** Splits the world in two, always the same way: whom to tell which of two stories. */
  isLeft(peer: PeerId): boolean;
}

type Handler = (from: PeerId, payload: Uint8Array) => Promise<Uint8Array | undefined>;

/** What differs from an honest node. What is not given stays honest. */
export interface Behaviour {
  /** Sends in the place of an honest publication; false sends that one too. */
  publish?(topic: string, data: Uint8Array): boolean;
  /** What `peer` is told instead; undefined is nothing. */
  notify?(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array): Uint8Array | undefined;
  /** The answer to a request, or to a notification (where nobody reads it). */
  answer?(from: PeerId, protocol: StreamProtocol, payload: Uint8Array, honest: Handler): Promise<Uint8Array | undefined>;
  /** Sees what others gossip. */
  hear?(topic: string, data: Uint8Array): void;
}

/** The ports of one process of a liar. It lies while `isActive`. */
export class Interceptor implements Gossip, Streams {
  readonly #port: SimulatedPort;
  readonly #behaviour: Behaviour;
  readonly #isActive: () => boolean;

  constructor(port: SimulatedPort, behaviour: Behaviour, isActive: () => boolean) {
    this.#port = port;
    this.#behaviour = behaviour;
    this.#isActive = isActive;
  }

  subscribe(topic: string): void {
    this.#port.subscribe(topic);
  }
  unsubscribe(topic: string): void {
    this.#port.unsubscribe(topic);
  }
  onMessage(handler: (topic: string, data: Uint8Array, from: PeerId) => Promise<Verdict>): void {
    this.#port.onMessage((topic, data, from) => {
      if (this.#isActive()) this.#behaviour.hear?.(topic, data);
      return handler(topic, data, from);
    });
  }
  async publish(topic: string, data: Uint8Array): Promise<{ readonly recipients: number }> {
    if (this.#isActive() && this.#behaviour.publish?.(topic, data) === true) return { recipients: this.#port.peers().length };
    return this.#port.publish(topic, data);
  }

  request(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    return this.#port.request(peer, protocol, payload, options);
  }
  notify(peer: PeerId, protocol: StreamProtocol, payload: Uint8Array): void {
    const { notify } = this.#behaviour;
    const told = this.#isActive() && notify !== undefined ? notify(peer, protocol, payload) : payload;
    if (told !== undefined) this.#port.notify(peer, protocol, told);
  }
  handle(protocol: StreamProtocol, handler: Handler): void {
    this.#port.handle(protocol, (from, payload) => {
      const { answer } = this.#behaviour;
      return this.#isActive() && answer !== undefined ? answer(from, protocol, payload, handler) : handler(from, payload);
    });
  }
  peers(): readonly PeerId[] {
    return this.#port.peers();
  }
  onPeer(listener: (peer: PeerId, connected: boolean) => void): void {
    this.#port.onPeer(listener);
  }
}

/** Keeps whoever asks waiting for ever. */
export const noAnswer = (): Promise<undefined> => new Promise(() => undefined);

export const refusal = (protocol: StreamProtocol): StarlingError => new StarlingError('NOT_FOUND', 'not here', { phase: protocol });
