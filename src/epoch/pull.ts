/** Content by its root from several holders at once, every chunk checked on arrival (PROTOCOL section 3). */
import { chunkCount, contentOf, verifyChunk } from '../crypto/index.ts';
import { CHUNK_BYTES, type ContentRoot, FRAME_MAX_BYTES, type PeerId, StarlingError } from '../spec/index.ts';
import { decodeContentIndex, encodeContentRequest } from '../wire/messages.ts';
import type { Streams } from './ports.ts';

export interface PullOptions {
  /** Ms for one chunk from one holder that sends nothing else. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** A holder failed or lied (HASH_MISMATCH, PROTOCOL_VIOLATION) and is left; the error names it. */
  readonly onFault?: (holder: PeerId, error: StarlingError) => void;
}

/** Holders asked at once: enough to fill a home link, few enough that a dead one is noticed soon. The others stand by. */
const HOLDERS_AT_ONCE = 4;
/** Chunks asked for at once: hides the round trip, and three answers are all a holder must keep for us. */
const OUTSTANDING = 3;
/** Holders that one chunk is asked of at once: whoever is late with it, and whoever is not. */
const ASKED_OF = 2;

/** Who may have the content, best first; a function is asked again whenever there is room for one more. */
export type Holders = readonly PeerId[] | (() => readonly PeerId[]);

/**
 * Pulls content by its root from these holders, HOLDERS_AT_ONCE of them at a time, each once. Each proves by the leaves that it holds
 * the content and gives one chunk before more are asked of it, so that a liar costs one. A holder that fails or lies is left,
 * its chunks go to others; at the end, chunks that are late with one holder are asked of those that are done.
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
  if (sizeBytes > 0) return await new Pull(streams, holders, partsOf(root, sizeBytes), options).run();
  if (contentOf(new Uint8Array(0)).root !== root) throw wrongSize(0);
  return new Uint8Array(0);
}

/** Contents of which what came is kept: a model, and a sum that is asked for beside it. Each takes its size in memory. */
const UNFINISHED_KEPT = 2;

/** Pulls whose next attempt asks only for what has not come: a holder may go, and an epoch end, before large content is here. */
export class ResumedPulls {
  readonly #unfinished = new Map<ContentRoot, Parts>();

  /** As `pullContent`. What an attempt leaves is kept until content that failed later takes its place. */
  async pull(
    streams: Pick<Streams, 'request'>,
    holders: Holders,
    root: ContentRoot,
    sizeBytes: number,
    options: PullOptions,
  ): Promise<Uint8Array> {
    const left = this.#unfinished.get(root);
    const parts = left?.content.byteLength === sizeBytes ? left : partsOf(root, sizeBytes);
    this.#unfinished.delete(root);
    try {
      return await new Pull(streams, holders, parts, options).run();
    } catch (error) {
      if (parts.leaves !== undefined && parts.missing.size < parts.leaves.length) this.#unfinished.set(root, parts);
      for (const oldest of this.#unfinished.keys()) if (this.#unfinished.size > UNFINISHED_KEPT) this.#unfinished.delete(oldest);
      throw error;
    }
  }
}

/** Content as far as it has come. */
interface Parts {
  readonly root: ContentRoot;
  readonly content: Uint8Array;
  /** Behind `root`, as the first holder gave them; undefined before. */
  leaves: readonly Uint8Array[] | undefined;
  /** Chunks that are not in `content`. */
  readonly missing: Set<number>;
}

const partsOf = (root: ContentRoot, sizeBytes: number): Parts => ({
  root,
  content: new Uint8Array(sizeBytes),
  leaves: undefined,
  missing: new Set(Array(chunkCount(sizeBytes)).keys()),
});

interface Holder {
  readonly peer: PeerId;
  /** Its leaves were right. */
  proven: boolean;
  /** Chunks it owes. */
  readonly owes: Set<number>;
  /** Number of the latest request that it answered, 0 before the first. */
  answered: number;
}

/** A chunk that is asked for. */
interface Ask {
  readonly of: Set<Holder>;
  /** Number of the latest request for it. */
  number: number;
}

class Pull {
  readonly #streams: Pick<Streams, 'request'>;
  readonly #parts: Parts;
  readonly #options: PullOptions;
  /** Chunks that nobody is asked for. */
  readonly #open: Set<number>;
  readonly #asked = new Map<number, Ask>();
  readonly #candidates: () => readonly PeerId[];
  readonly #tried = new Set<PeerId>();
  readonly #holders = new Set<Holder>();
  #requests = 0;
  #lastFault: StarlingError | undefined;
  readonly #result = Promise.withResolvers<Uint8Array>();
  readonly #over = new AbortController();

  constructor(streams: Pick<Streams, 'request'>, holders: Holders, parts: Parts, options: PullOptions) {
    this.#streams = streams;
    this.#parts = parts;
    this.#options = options;
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

  /** Turns to the next holders where there is room. */
  #engage(): void {
    if (this.#holders.size < HOLDERS_AT_ONCE) {
      const untried = this.#candidates().filter((peer) => !this.#tried.has(peer));
      for (const peer of new Set(untried.slice(0, HOLDERS_AT_ONCE - this.#holders.size))) {
        const holder: Holder = { peer, proven: false, owes: new Set(), answered: 0 };
        this.#tried.add(peer);
        this.#holders.add(holder);
        void this.#watch(holder, this.#prove(holder));
      }
    }
    if (this.#holders.size === 0) this.#result.reject(this.#nobody());
  }

  /** Gives every holder as much to do as it may have. */
  #fill(): void {
    for (const holder of this.#holders) {
      const most = !holder.proven ? 0 : holder.answered === 0 ? 1 : OUTSTANDING;
      while (holder.owes.size < most) {
        const chunk = this.#choose(holder);
        if (chunk === undefined) break;
        void this.#watch(holder, this.#fetch(holder, chunk));
      }
    }
  }

  /**
   * A chunk that nobody is asked for, or else one that is late: asked of another before something that this holder has
   * answered already, or still on its way when this holder has nothing left to do.
   */
  #choose(holder: Holder): number | undefined {
    const [open] = this.#open;
    if (open !== undefined || holder.answered === 0) return open;
    for (const [chunk, ask] of this.#asked)
      if (ask.of.size < ASKED_OF && !ask.of.has(holder) && (ask.number < holder.answered || holder.owes.size === 0)) return chunk;
    return undefined;
  }

  async #prove(holder: Holder): Promise<void> {
    const answer = await this.#ask(holder, 'leaves', FRAME_MAX_BYTES, this.#options.timeoutMs);
    let leaves: readonly Uint8Array[];
    try {
      ({ leaves } = decodeContentIndex(answer, this.#parts.root));
    } catch (cause) {
      throw this.#lie(holder, 'leaves', cause);
    }
    // The root binds the number of leaves, so a count that differs is the announcement's fault and no holder's.
    if (leaves.length !== chunkCount(this.#parts.content.byteLength)) {
      this.#result.reject(wrongSize(this.#parts.content.byteLength));
      return;
    }
    this.#parts.leaves ??= leaves;
    holder.proven = true;
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
    const bytes = await this.#ask(holder, chunk, CHUNK_BYTES, this.#options.timeoutMs * holder.owes.size * this.#holders.size);
    if (this.#isOver || !this.#holders.has(holder)) return;
    if (!verifyChunk(this.#parts.leaves as Uint8Array[], chunk, bytes)) throw this.#lie(holder, `a chunk ${chunk}`);
    holder.owes.delete(chunk);
    holder.answered = Math.max(holder.answered, number);
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
      if (this.#isOver || !this.#holders.has(holder)) return;
      if (error instanceof StarlingError) this.#leave(holder, error);
      else this.#result.reject(error);
    }
    if (this.#isOver) return;
    this.#engage();
    this.#fill();
  }

  #leave(holder: Holder, error: StarlingError): void {
    this.#holders.delete(holder);
    this.#lastFault = error;
    for (const chunk of holder.owes) {
      const ask = this.#asked.get(chunk);
      if (ask?.of.delete(holder) !== true || ask.of.size > 0) continue;
      this.#asked.delete(chunk);
      this.#open.add(chunk);
    }
    this.#options.onFault?.(holder.peer, error);
  }

  #ask(holder: Holder, index: number | 'leaves', maxResponseBytes: number, timeoutMs: number): Promise<Uint8Array> {
    const { signal } = this.#options;
    return this.#streams.request(holder.peer, 'content', encodeContentRequest({ root: this.#parts.root, index }), {
      timeoutMs,
      maxResponseBytes,
      signal: signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal]),
    });
  }

  #lie(holder: Holder, what: string, cause?: unknown): StarlingError {
    return new StarlingError(
      'HASH_MISMATCH',
      `${holder.peer} gave ${what} that is not of content ${this.#parts.root.slice(0, 8)}`,
      { peer: holder.peer, phase: 'pull' },
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
