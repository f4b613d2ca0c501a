/** Who is in reach: whose heartbeats come, and which block they stand on. */
import { quorumOf } from '../consensus/index.ts';
import { BEAT, type Beat, type Fingerprint } from '../spec/index.ts';
import type { Clock } from './ports.ts';

/** Ms that one more member adds to the pause between heartbeats: two hundred members beat every five seconds. */
const PER_MEMBER_MS = 25;
/** Ms by which a beat may come late and still count, on a loaded machine or after a loss. */
const GRACE_MS = 500;

interface Heard {
  readonly beat: Beat;
  readonly atMs: number;
  /** Its connection broke after this beat. */
  lost: boolean;
}

export class Reach {
  readonly #clock: Clock;
  readonly #heard = new Map<Fingerprint, Heard>();
  readonly #sinceMs: number;
  #members = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.nowMs();
  }

  /** Ms between two beats of a member of this swarm. */
  get everyMs(): number {
    return Math.max(BEAT.everyMs, this.#members * PER_MEMBER_MS);
  }

  setMembers(count: number): void {
    this.#members = count;
  }

  /** True when this is newer than what was heard of its node. */
  isNews(beat: Beat): boolean {
    return beat.seq > (this.#heard.get(beat.node)?.beat.seq ?? -1);
  }

  /** Its signature is checked, and it is news. */
  hear(beat: Beat): void {
    this.#heard.set(beat.node, { beat, atMs: this.#clock.nowMs(), lost: false });
  }

  /** Its connection is gone: it counts again with its next beat, which may come over others. */
  lose(node: Fingerprint): void {
    const heard = this.#heard.get(node);
    if (heard !== undefined) heard.lost = true;
  }

  isHere(node: Fingerprint): boolean {
    const heard = this.#heard.get(node);
    return heard !== undefined && !heard.lost && this.#clock.nowMs() - heard.atMs <= BEAT.missed * this.everyMs + GRACE_MS;
  }

  /** Ms since the last beat of a node, or since this one began to listen. */
  silentMs(node: Fingerprint): number {
    return this.#clock.nowMs() - (this.#heard.get(node)?.atMs ?? this.#sinceMs);
  }

  /** Whether a quorum of these voters, `self` among them or not, can be heard. */
  isQuorate(voters: readonly Fingerprint[], self: Fingerprint): boolean {
    return voters.filter((voter) => voter === self || this.isHere(voter)).length >= quorumOf(voters.length);
  }

  /** The last beat of every node, to hand to a peer that has just connected. */
  beats(): Beat[] {
    return [...this.#heard.values()].filter((heard) => this.isHere(heard.beat.node)).map((heard) => heard.beat);
  }

  of(node: Fingerprint): Beat | undefined {
    return this.#heard.get(node)?.beat;
  }
}

/** Where a node's replica differs from this one. */
export interface Divergence {
  readonly node: Fingerprint;
  /** The first block at which it differed; of what its disk holds, the newest one when it was noticed. */
  readonly sinceEpoch: number;
  /** Of its heartbeat, or of what it reads from its disk. */
  readonly field: 'block' | 'treeRoot' | 'modelRoot' | 'entries' | 'blocks' | 'content';
  /** Which item of what its disk holds, in words. */
  readonly where?: string;
  readonly here: string;
  readonly there: string;
  /** Milliseconds since 1970 at which it was noticed. */
  readonly noticedMs: number;
}

/** Whether a heartbeat that agrees says nothing against it. */
export const isOfDisk = ({ field }: Divergence): boolean => field === 'entries' || field === 'blocks' || field === 'content';
