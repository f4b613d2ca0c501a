/** Content by its root from several holders at once, every chunk checked on arrival (PROTOCOL section 4). */
import { NeighbourBandit } from '../aggregation/index.ts';
import { chunkCount, contentOf, verifyChunk } from '../crypto/index.ts';
import { CHUNK_BYTES, type ContentRoot, FRAME_MAX_BYTES, type PeerId, StarlingError } from '../spec/index.ts';
import { decodeContentIndex, decodeHeldChunks, encodeContentRequest, type HeldChunks } from '../wire/messages.ts';
import { type Ask, chooseChunk, type Holder, hasChunk, type Parts, partsOf } from './parts.ts';
import type { Streams } from './ports.ts';

export interface PullOptions {
  /** Ms for one chunk from one holder that sends nothing else. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** A holder failed or lied (HASH_MISMATCH, PROTOCOL_VIOLATION) and is left; the error names it. */
  readonly onFault?: (holder: PeerId, error: StarlingError) => void;
  /** Between chunks that equally few have, [0, 1): nodes that pull at the same time then ask for different ones. By default the first. */
  readonly uniform?: () => number;
}

/** Holders that are asked for chunks at once: enough to fill a home link, few enough that a dead one is noticed soon. */
const HOLDERS_AT_ONCE = 4;
/** Holders that have said what they have, or are about to: those that are asked are chosen among them. The others stand by. */
const HOLDERS_KNOWN = 2 * HOLDERS_AT_ONCE;
/** Chunks asked for at once: hides the round trip, and three answers are all a holder must keep for us. */
const OUTSTANDING = 3;
/**
 * Share of the chunks that comes here until a holder that lacks what is wanted is asked again what it has: it pulls as this node
 * does. So one holder is asked 32 times at most, in some hundred bytes each.
 */
const ASK_AGAIN_SHARE = 1 / 32;

/** Who may have the content, best first; a function is asked again whenever there is room for one more. */
export type Holders = readonly PeerId[] | (() => readonly PeerId[]);

/** What the pulls of one node share. */
export interface Shared {
  /** How fast each holder was, and who is tried next: the choice is this node's alone. */
  readonly bandit: NeighbourBandit;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** Pulls that run beside each other, this one included. */
  readonly isSharedBy: () => number;
}

/**
 * Pulls content by its root from these holders, HOLDERS_AT_ONCE of them at a time. Each proves by the leaves that it knows
 * the content, says which chunks it has, and gives one before more are asked of it, so that a liar costs one. A holder that fails or lies is
 * left, its chunks go to others; one that has some chunks gives those, and is asked again for more. The chunk that fewest have goes first.
 * Of more holders than are asked at once the fast ones are, and the others now and then, in case that has changed (bandit.ts).
 * Holds `sizeBytes` of memory and the chunks under way: the caller bounds it.
 * Throws NOT_FOUND when no holder is left, HASH_MISMATCH when the content has another size than was announced.
 */
export async function pullContent(
  streams: Pick<Streams, 'request'>,
  holders: Holders,
  root: ContentRoot,
  sizeBytes: number,
  options: PullOptions,
): Promise<Uint8Array> {
  options.signal?.throwIfAborted();
  const alone: Shared = { bandit: new NeighbourBandit(), nowMs: () => 0, isSharedBy: () => 1 };
  if (sizeBytes > 0) return await new Pull(streams, holders, partsOf(root, sizeBytes), options, alone).run();
  if (contentOf(new Uint8Array(0)).root !== root) throw wrongSize(0);
  return new Uint8Array(0);
}

export class Pull {
  readonly #streams: Pick<Streams, 'request'>;
  readonly #parts: Parts;
  readonly #options: PullOptions;
  readonly #shared: Shared;
  /** Chunks that nobody is asked for. */
  readonly #open: Set<number>;
  readonly #asked = new Map<number, Ask>();
  readonly #candidates: () => readonly PeerId[];
  /** Everybody who was asked anything, but for those that are left. */
  readonly #holders = new Map<PeerId, Holder>();
  readonly #left = new Set<PeerId>();
  #requests = 0;
  #lastFault: StarlingError | undefined;
  readonly #result = Promise.withResolvers<Uint8Array>();
  readonly #over = new AbortController();

  constructor(streams: Pick<Streams, 'request'>, holders: Holders, parts: Parts, options: PullOptions, shared: Shared) {
    this.#streams = streams;
    this.#parts = parts;
    this.#options = options;
    this.#shared = shared;
    this.#open = new Set(parts.missing);
    this.#candidates = typeof holders === 'function' ? holders : () => holders;
  }

  async run(): Promise<Uint8Array> {
    const { signal } = this.#options;
    const giveUp = (): void => this.#result.reject(signal?.reason);
    signal?.addEventListener('abort', giveUp);
    this.#engage();
    try {
      return await this.#result.promise;
    } finally {
      signal?.removeEventListener('abort', giveUp);
      // Whoever is late need not go on.
      this.#over.abort(new StarlingError('TIMEOUT', 'the content is here, or is not wanted any more', { phase: 'pull' }));
    }
  }

  get #isOver(): boolean {
    return this.#over.signal.aborted;
  }

  /** Those that give something now, or are about to say what they have. */
  #engaged(): Holder[] {
    const missing = [...this.#parts.missing];
    return [...this.#holders.values()].filter(
      (holder) => holder.isAsked || holder.owes.size > 0 || missing.some((chunk) => hasChunk(holder, chunk)),
    );
  }

  /** Turns to the next holders where there is room. */
  #engage(): void {
    const engaged = this.#engaged();
    for (const peer of this.#candidates()) {
      if (engaged.length >= HOLDERS_KNOWN) return;
      if (this.#left.has(peer)) continue;
      const known = this.#holders.get(peer);
      if (known !== undefined && (engaged.includes(known) || !this.#isWorthAsking(known, engaged.length === 0))) continue;
      const holder = known ?? { peer, has: undefined, isAsked: true, missingThen: 0, owes: new Set(), answered: 0, sinceMs: 0 };
      this.#holders.set(peer, holder);
      engaged.push(holder);
      holder.isAsked = true;
      holder.missingThen = this.#parts.missing.size;
      void this.#watch(holder, this.#askHeld(holder));
    }
    if (engaged.length === 0) this.#result.reject(this.#nobody());
  }

  /** It pulls the same, as likely as not: where this node has come on, so has it. */
  #isWorthAsking({ missingThen }: Holder, isUrgent: boolean): boolean {
    const arrived = missingThen - this.#parts.missing.size;
    return arrived >= (isUrgent ? 1 : Math.max(1, ASK_AGAIN_SHARE * chunkCount(this.#parts.content.byteLength)));
  }

  /**
   * Gives those that are asked at once as much to do as they may have; others that owe something finish that. Whoever has everything has it
   * for all who pull: others that have less may come.
   */
  #fill(): void {
    const holders = this.#engaged();
    const { uniform = () => 0 } = this.#options;
    const standing = { open: this.#open, asked: this.#asked, holders, uniform };
    const areOthers = [...this.#holders.values()].some(({ has }) => has !== undefined && has !== 'all');
    let busy = 0;
    for (const holder of this.#bySpeed(holders)) {
      if (busy >= HOLDERS_AT_ONCE) return;
      const most = holder.has === undefined ? 0 : holder.answered === 0 || (areOthers && holder.has === 'all') ? 1 : OUTSTANDING;
      while (holder.owes.size < most) {
        const chunk = chooseChunk(holder, standing);
        if (chunk === undefined) break;
        void this.#watch(holder, this.#fetch(holder, chunk));
      }
      if (holder.owes.size > 0) busy += 1;
    }
  }

  /** Whom to ask first: those never measured in the order in which they were met. */
  #bySpeed(holders: readonly Holder[]): Holder[] {
    const byPeer = new Map(holders.map((holder) => [holder.peer, holder]));
    return this.#shared.bandit.pick([...byPeer.keys()], byPeer.size, () => 0).map((peer) => byPeer.get(peer) as Holder);
  }

  /** What a holder has; of one that was not asked before, whether it knows the content at all. */
  async #askHeld(holder: Holder): Promise<void> {
    const isFirst = holder.has === undefined;
    try {
      const answer = await this.#ask(
        holder,
        isFirst ? 'leaves' : 'held',
        FRAME_MAX_BYTES,
        this.#options.timeoutMs * this.#shared.isSharedBy(),
      );
      if (!this.#isOver) holder.has = isFirst ? this.#hasOf(holder, answer) : this.#hasNow(holder, answer);
    } catch (error) {
      // It may have some of it later.
      if (!(error instanceof StarlingError) || error.code !== 'PEER_REFUSED' || error.facts.reason !== 'NOT_FOUND') throw error;
      holder.has = undefined;
      this.#lastFault = error;
    } finally {
      holder.isAsked = false;
    }
  }

  #hasOf(holder: Holder, answer: Uint8Array): HeldChunks | undefined {
    const { root, content } = this.#parts;
    const index = this.#read(holder, 'leaves', () => decodeContentIndex(answer, root));
    // The root binds the number of leaves, so a count that differs is the announcement's fault and no holder's.
    if (index.leaves.length !== chunkCount(content.byteLength)) {
      this.#result.reject(wrongSize(content.byteLength));
      return undefined;
    }
    this.#parts.leaves ??= index.leaves;
    return index.held;
  }

  #hasNow(holder: Holder, answer: Uint8Array): HeldChunks {
    return this.#read(holder, 'a list of chunks', () => decodeHeldChunks(answer, chunkCount(this.#parts.content.byteLength)));
  }

  /** What an answer says; one that cannot be read is a lie. */
  #read<T>(holder: Holder, what: string, decode: () => T): T {
    try {
      return decode();
    } catch (cause) {
      throw this.#lie(holder, what, cause);
    }
  }

  async #fetch(holder: Holder, chunk: number): Promise<void> {
    const number = ++this.#requests;
    const ask = this.#asked.get(chunk) ?? { of: new Set(), number };
    ask.of.add(holder);
    ask.number = number;
    holder.owes.add(chunk);
    this.#asked.set(chunk, ask);
    this.#open.delete(chunk);
    // It comes behind what this holder owes already, and the others share the way to us.
    const asked = [...this.#holders.values()].filter(({ owes }) => owes.size > 0).length;
    const shared = holder.owes.size * asked * this.#shared.isSharedBy();
    const { nowMs } = this.#shared;
    const askedMs = nowMs();
    const bytes = await this.#ask(holder, chunk, CHUNK_BYTES, this.#options.timeoutMs * shared);
    if (this.#isOver || this.#left.has(holder.peer)) return;
    if (!verifyChunk(this.#parts.leaves as Uint8Array[], chunk, bytes)) throw this.#lie(holder, `a chunk ${chunk}`);
    holder.owes.delete(chunk);
    holder.answered = Math.max(holder.answered, number);
    // Chunks that it owed before came first.
    this.#shared.bandit.measured(holder.peer, bytes.byteLength, nowMs() - Math.max(askedMs, holder.sinceMs));
    holder.sinceMs = nowMs();
    if (this.#asked.delete(chunk)) this.#take(chunk, bytes);
  }

  #take(chunk: number, bytes: Uint8Array): void {
    const { content, missing } = this.#parts;
    const { byteLength } = content;
    if (bytes.byteLength !== Math.min(CHUNK_BYTES, byteLength - chunk * CHUNK_BYTES)) {
      this.#result.reject(wrongSize(byteLength));
      return;
    }
    content.set(bytes, chunk * CHUNK_BYTES);
    missing.delete(chunk);
    if (missing.size === 0) this.#result.resolve(content);
  }

  /** Whatever comes of a request, somebody may have something to do. A holder's fault ends its part; any other error all. */
  async #watch(holder: Holder, work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (this.#isOver || this.#left.has(holder.peer)) return;
      if (error instanceof StarlingError) this.#leave(holder, error);
      else this.#result.reject(error);
    }
    if (this.#isOver) return;
    this.#engage();
    this.#fill();
  }

  #leave(holder: Holder, error: StarlingError): void {
    this.#holders.delete(holder.peer);
    this.#left.add(holder.peer);
    this.#lastFault = error;
    for (const chunk of holder.owes) {
      const ask = this.#asked.get(chunk);
      if (ask?.of.delete(holder) !== true || ask.of.size > 0) continue;
      this.#asked.delete(chunk);
      this.#open.add(chunk);
    }
    this.#options.onFault?.(holder.peer, error);
  }

  #ask(holder: Holder, index: number | 'leaves' | 'held', maxResponseBytes: number, timeoutMs: number): Promise<Uint8Array> {
    const { signal } = this.#options;
    return this.#streams.request(holder.peer, 'content', encodeContentRequest({ root: this.#parts.root, index }), {
      timeoutMs,
      maxResponseBytes,
      signal: signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal]),
    });
  }

  #lie(holder: Holder, what: string, cause?: unknown): StarlingError {
    const field = cause instanceof StarlingError ? cause.facts.field : undefined;
    return new StarlingError(
      'HASH_MISMATCH',
      `${holder.peer} gave ${what} that is not of content ${this.#parts.root.slice(0, 8)}`,
      { peer: holder.peer, phase: 'pull', field: field ?? 'content' },
      { cause },
    );
  }

  #nobody(): StarlingError {
    const chunks = chunkCount(this.#parts.content.byteLength);
    const arrived = chunks - this.#parts.missing.size;
    const peer = this.#lastFault?.facts.peer;
    return new StarlingError(
      'NOT_FOUND',
      `no holder is left that gives content ${this.#parts.root.slice(0, 8)} (${arrived} of ${chunks} chunks arrived)`,
      { phase: 'pull', fix: 'wait until a peer that holds it is connected', ...(peer === undefined ? {} : { peer }) },
      { cause: this.#lastFault },
    );
  }
}

const wrongSize = (sizeBytes: number): StarlingError =>
  new StarlingError('HASH_MISMATCH', `the content is not of the ${sizeBytes} bytes that were announced`, {
    field: 'sizeBytes',
    phase: 'pull',
  });
