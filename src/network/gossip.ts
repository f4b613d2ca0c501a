import type { GossipSub, PublishResult, TopicValidatorFn } from '@libp2p/gossipsub';
import { RateLimiter } from '@libp2p/utils';
import type { Gossip, Journal } from '../epoch/ports.ts';
import { GOSSIP_MAX_BYTES, ignore, type PeerId, reject, StarlingError, type Verdict } from '../spec/index.ts';
import { GOSSIP } from './limits.ts';
import { excessMs } from './pace.ts';
import type { Penalties } from './penalties.ts';

export interface GossipComponents {
  readonly pubsub: GossipSub;
  readonly journal: Journal;
  readonly penalties: Penalties;
  /** True for the topics that the swarm uses: gossipsub itself cannot bound them once it runs (CVE-2026-46679). */
  readonly isTopicAllowed: (topic: string) => boolean;
}

type Handler = Parameters<Gossip['onMessage']>[0];
type Result = Awaited<ReturnType<TopicValidatorFn>>;
const RESULTS = { accept: 'accept', ignore: 'ignore', reject: 'reject' } as Record<Verdict['kind'], Result>;

/** The port `Gossip` over gossipsub. Messages are signed by what they carry, not by gossipsub (StrictNoSign). */
export class LibpGossip implements Gossip {
  readonly #parts: GossipComponents;
  readonly #messages = new RateLimiter({ points: GOSSIP.messagesPerSecond, duration: 1 });
  readonly #bytes = new RateLimiter({ points: GOSSIP.bytesPerSecond, duration: 1 });
  readonly #topics = new Set<string>();
  #handler: Handler | undefined;
  #isRunning = false;
  #stopped = false;

  constructor(parts: GossipComponents) {
    this.#parts = parts;
    parts.pubsub.topicValidators = new EveryTopic((peer, message) => this.#validate(peer.toString(), message.topic, message.data));
  }

  /** Joins the topics asked for so far; gossipsub itself takes none before it runs. */
  start(): void {
    this.#isRunning = true;
    for (const topic of this.#topics) this.#parts.pubsub.subscribe(topic);
  }

  stop(): void {
    this.#stopped = true;
    this.#isRunning = false;
  }

  subscribe(topic: string): void {
    if (this.#topics.has(topic)) return;
    this.#topics.add(topic);
    if (this.#isRunning) this.#parts.pubsub.subscribe(topic);
  }

  unsubscribe(topic: string): void {
    if (this.#topics.delete(topic) && this.#isRunning) this.#parts.pubsub.unsubscribe(topic);
  }

  async publish(topic: string, data: Uint8Array): Promise<{ readonly recipients: number }> {
    if (data.byteLength > GOSSIP_MAX_BYTES)
      throw new StarlingError('TOO_LARGE', `a gossip message has ${data.byteLength} bytes, at most ${GOSSIP_MAX_BYTES} are allowed`, {
        field: topic,
        phase: 'publish',
        fix: 'announce it and let the others pull it',
      });
    if (!this.#isRunning) return { recipients: 0 };
    const { recipients }: PublishResult = await this.#parts.pubsub.publish(topic, data);
    return { recipients: recipients.length };
  }

  onMessage(handler: Handler): void {
    this.#handler = handler;
  }

  async #validate(from: PeerId, topic: string, data: Uint8Array): Promise<Result> {
    const verdict = await this.#verdict(from, topic, data);
    if (verdict.kind !== 'accept') {
      this.#parts.journal.count('network_gossip_refused', 1, { verdict: verdict.kind, code: verdict.code });
      if (verdict.kind === 'reject') {
        this.#parts.penalties.add(from, GOSSIP.rejectPenalty);
        this.#parts.journal.log('debug', 'network', `gossip from ${from} rejected: ${verdict.reason}`, {
          peer: from,
          topic,
          code: verdict.code,
        });
      }
    }
    return RESULTS[verdict.kind];
  }

  async #verdict(from: PeerId, topic: string, data: Uint8Array): Promise<Verdict> {
    // [IGNORE] this node stops: nothing is kept
    if (this.#stopped) return ignore('NOT_READY', 'this node stops');
    // [IGNORE] more than one neighbour may bring in a second: a burst is not yet malice, but it costs standing
    if (excessMs(this.#messages, from, 1) > 0 || excessMs(this.#bytes, from, data.byteLength) > 0) {
      this.#parts.penalties.add(from, GOSSIP.excessPenalty);
      return ignore('BOUNDS_EXCEEDED', 'too many messages');
    }
    // [REJECT] larger than any message of the protocol
    if (data.byteLength > GOSSIP_MAX_BYTES) return reject('TOO_LARGE', `${data.byteLength} bytes, at most ${GOSSIP_MAX_BYTES}`);
    if (this.#handler === undefined || !this.#topics.has(topic)) {
      // [REJECT] a topic the swarm does not have
      if (!this.#isAllowed(topic)) return reject('PROTOCOL_VIOLATION', `unknown topic ${topic.slice(0, 100)}`);
      // [IGNORE] a topic we left or have not joined: nothing here can judge it
      return ignore('EPOCH_PAST', 'not subscribed');
    }
    try {
      return await this.#handler(topic, new Uint8Array(data), from); // a copy: the message may be a view of a larger buffer
    } catch (error) {
      // [IGNORE] our own failure is not the sender's
      this.#parts.journal.log('error', 'network', 'the gossip handler failed', { topic, error: String(error) });
      return ignore('INTERNAL', 'the handler failed');
    }
  }

  /** The topic is a stranger's text: a rule that cannot even read it does not allow it. */
  #isAllowed(topic: string): boolean {
    try {
      return this.#parts.isTopicAllowed(topic);
    } catch {
      return false;
    }
  }
}

/** gossipsub forwards what has no validator, so every topic, unknown ones too, has this one. */
class EveryTopic extends Map<string, TopicValidatorFn> {
  readonly #validator: TopicValidatorFn;
  constructor(validator: TopicValidatorFn) {
    super();
    this.#validator = validator;
  }
  override get(): TopicValidatorFn {
    return this.#validator;
  }
}
