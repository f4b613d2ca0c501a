/**
 * Nodes without a quorum mix what they have learned with their neighbours, round by round. In a round each node freezes its row, and
 * over each edge both ends compute what flows from the two frozen rows. Of two ends the one with the lower fingerprint offers and the
 * other decides, once for each offer and on disk before it answers; who has no answer asks again, after a restart or a heal too, and
 * the flow counts whenever it comes: it is a transfer between two accounts.
 */
import { bytesOf, ETA_ONE, int32Of } from '../../aggregation/index.ts';
import { asStarlingError, type Fingerprint, type Hex, type PeerId, StarlingError } from '../../spec/index.ts';
import {
  DIFFUSION_MAX_BYTES,
  type DiffusionAnswer,
  type DiffusionOffer,
  decodeDiffusionAnswer,
  decodeDiffusionOffer,
  encodeDiffusionAnswer,
  encodeDiffusionOffer,
} from '../../wire/index.ts';
import { answerMs, type Clock, type Journal, type Streams } from '../ports.ts';
import type { Account } from './account.ts';
import type { Edge } from './edges.ts';

/** All that the weights allow: w = 1 / (1 + the higher degree) leaves each node a share of its own, so nothing swings. */
const ETA = ETA_ONE;
/** Ms between two rounds, at the least: a pause is as long as the round before it took, so that learning has its share of the time. */
const ROUND_MS = 500;
/** Neighbours on either side of a node, by fingerprint: of a swarm where everyone reaches everyone, enough to mix in a few rounds. */
const SIDE = 8;
/** Rounds by which a node jumps ahead to where a neighbour is: a week. */
const MAX_JUMP = 2 ** 20;

export interface DiffusionWorld {
  readonly clock: Clock;
  readonly streams: Pick<Streams, 'request' | 'handle'>;
  readonly journal: Journal;
  readonly self: Fingerprint;
  /** No quorum is in reach, and this node mixes. */
  isOn(): boolean;
  /** The newest final block. */
  base(): Hex;
  /** The member behind a peer. */
  nodeOf(peer: PeerId): Fingerprint | undefined;
  peerOf(node: Fingerprint): PeerId | undefined;
  /** Connected members that train, this node not among them. */
  members(): readonly Fingerprint[];
  /** A round begins. */
  changed(): void;
  /** A round came to nothing. */
  failed(error: unknown): void;
}

export class Mixing {
  readonly #world: DiffusionWorld;
  readonly #account: Account;
  #round = 0;
  #neighbours: readonly Fingerprint[] = [];
  /** Who was answered in this round, and for which piece: an edge counts once in a round. */
  readonly #used = new Set<string>();
  #running: Promise<void> = Promise.resolve();
  #ticking = false;
  #timer: { cancel(): void } | undefined;
  #stopped = false;

  constructor(world: DiffusionWorld, account: Account) {
    this.#world = world;
    this.#account = account;
    world.streams.handle('diffusion', async (from, payload) => {
      const node = world.nodeOf(from);
      if (node === undefined || node > world.self)
        throw new StarlingError('PEER_REFUSED', 'nothing is taken from this node', { peer: from, phase: 'average' });
      return encodeDiffusionAnswer(this.answer(node, decodeDiffusionOffer(payload)));
    });
  }

  get round(): number {
    return this.#round;
  }

  get neighbours(): readonly Fingerprint[] {
    return this.#neighbours;
  }

  start(): void {
    this.#next(ROUND_MS);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Decides what was offered; the same answer however often it is asked. Throws PEER_REFUSED while nothing can be decided. */
  answer(node: Fingerprint, offer: DiffusionOffer): DiffusionAnswer {
    const { piece, seq, degree } = offer;
    if (this.#account.isMoving) throw new StarlingError('PEER_REFUSED', 'not now: this node learns', { phase: 'average' });
    const known = this.#account.edge(piece, node);
    if (known !== undefined && seq <= known.seq) {
      const isLast = seq === known.seq && known.version !== null;
      const values = isLast ? bytesOf(this.#account.rowOf(piece, known.version)) : undefined;
      return { seq: known.seq, round: this.#round, end: values === undefined ? null : { degree: known.degree, values } };
    }
    const isCurrent = this.#world.isOn() && offer.base === this.#world.base();
    if (isCurrent && offer.round > this.#round && offer.round <= this.#round + MAX_JUMP) this.#begin(offer.round);
    const edge = { seq, version: null, degree: 0, round: offer.round };
    const own = this.#account.frozen(piece);
    const theirs = int32Of(offer.values);
    const slot = `${node}/${piece}`;
    const isDue = isCurrent && offer.round === this.#round && this.#neighbours.includes(node) && !this.#used.has(slot);
    if (!isDue || own === undefined || !this.#account.isSound(piece, theirs)) {
      this.#account.mark(piece, node, edge);
      return { seq, round: this.#round, end: null };
    }
    this.#used.add(slot);
    const end = { values: own.values, degree: this.#neighbours.length };
    const answered: Edge = { ...edge, version: own.version, degree: end.degree };
    this.#account.flow(piece, node, answered, end, { values: theirs, degree }, ETA);
    return { seq, round: this.#round, end: { degree: end.degree, values: bytesOf(own.values) } };
  }

  #next(delayMs: number): void {
    this.#timer?.cancel();
    if (!this.#stopped) this.#timer = this.#world.clock.after(delayMs, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    this.#ticking = true;
    const sinceMs = this.#world.clock.nowMs();
    if (this.#world.isOn()) this.#begin(this.#round + 1);
    else this.#running = this.#watched(this.#settleAll([]));
    // Another one where a neighbour was ahead meanwhile.
    for (let running: unknown; running !== this.#running; ) {
      running = this.#running;
      await running;
    }
    this.#ticking = false;
    this.#next(Math.max(ROUND_MS, this.#world.clock.nowMs() - sinceMs));
  }

  #begin(round: number): void {
    this.#round = round;
    this.#used.clear();
    this.#neighbours = neighboursOf(this.#world.self, this.#world.members());
    this.#account.freeze();
    const asked = this.#neighbours.filter((node) => this.#world.self < node);
    this.#running = this.#watched(Promise.all([...asked.map((node) => this.#mix(node, round)), this.#settleAll(asked)]));
    if (!this.#ticking) this.#next(ROUND_MS);
    this.#world.changed();
  }

  /** Ends however it ends: a disk that fails is said. */
  async #watched(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!this.#stopped) this.#world.failed(error);
    }
  }

  /** All pieces of one edge, one after the other. */
  async #mix(node: Fingerprint, round: number): Promise<void> {
    for (let piece = 0; piece < this.#account.pieces && this.#round === round && !this.#stopped; piece++) {
      if ((this.#account.edge(piece, node)?.version ?? null) !== null && !(await this.#settle(piece, node))) return;
      const own = this.#account.frozen(piece);
      if (this.#account.isMoving) return;
      if (own === undefined || this.#round !== round) continue;
      const seq = (this.#account.edge(piece, node)?.seq ?? 0) + 1;
      this.#account.mark(piece, node, { seq, version: own.version, degree: this.#neighbours.length, round });
      if (!(await this.#settle(piece, node))) return;
    }
  }

  /** Asks about all that was offered and has no answer yet; but for these, who are asked in any case. */
  async #settleAll(asked: readonly Fingerprint[]): Promise<void> {
    const open = [...this.#account.open()].filter(({ node }) => this.#world.self < node && !asked.includes(node));
    await Promise.all(open.map(({ piece, node }) => this.#settle(piece, node)));
  }

  /** Offers what is open, again where it was offered before. False where no answer came. */
  async #settle(piece: number, node: Fingerprint): Promise<boolean> {
    const edge = this.#account.edge(piece, node);
    const peer = this.#world.peerOf(node);
    if (peer === undefined || edge === undefined || edge.version === null || this.#stopped) return false;
    const { seq, round, degree, version } = edge;
    const values = this.#account.rowOf(piece, version);
    const answer = await this.#ask(peer, { base: this.#world.base(), piece, seq, round, degree, values: bytesOf(values) });
    // Another question may have had its answer meanwhile.
    if (answer === undefined || this.#stopped || this.#account.isMoving || this.#account.edge(piece, node) !== edge) return false;
    this.#take(piece, node, edge, values, answer);
    if (answer.round > this.#round && answer.round <= this.#round + MAX_JUMP && this.#world.isOn()) this.#begin(answer.round);
    return true;
  }

  async #ask(peer: PeerId, offer: DiffusionOffer): Promise<DiffusionAnswer | undefined> {
    const { streams, journal } = this.#world;
    try {
      const options = { timeoutMs: answerMs(2 * DIFFUSION_MAX_BYTES), maxResponseBytes: DIFFUSION_MAX_BYTES };
      return decodeDiffusionAnswer(await streams.request(peer, 'diffusion', encodeDiffusionOffer(offer), options));
    } catch (error) {
      journal.log('debug', 'epoch', 'a neighbour did not answer', asStarlingError(error, { phase: 'average', peer }).toJSON());
      return undefined;
    }
  }

  #take(piece: number, node: Fingerprint, { seq, degree, round }: Edge, values: Int32Array, answer: DiffusionAnswer): void {
    const edge = { seq: Math.max(seq, answer.seq), version: null, degree: 0, round };
    const theirs = answer.end === null || answer.seq !== seq ? undefined : int32Of(answer.end.values);
    // Who answers with what it cannot have, and has taken its half, lies: what it took is its own affair.
    if (answer.end === null || theirs === undefined || !this.#account.isSound(piece, theirs)) this.#account.mark(piece, node, edge);
    else this.#account.flow(piece, node, edge, { values, degree }, { values: theirs, degree: answer.end.degree }, ETA);
  }
}

/** Up to SIDE on either side in the circle of fingerprints: both ends of an edge choose each other where both see the same members. */
function neighboursOf(self: Fingerprint, members: readonly Fingerprint[]): Fingerprint[] {
  if (members.length <= 2 * SIDE) return [...members];
  const circle = [...members].sort();
  const at = circle.findIndex((node) => node > self);
  const from = at < 0 ? circle.length : at;
  return Array.from({ length: 2 * SIDE }, (_, i) => circle[(from - SIDE + i + circle.length) % circle.length] as Fingerprint);
}
