import type { EntryId, Hex, SignedEntry } from '../spec/index.ts';
import type { Branch } from './chains.ts';
import { type Cursor, compareCursor, cursorOf, differencePage } from './difference.ts';
import { ForkSearch } from './forkSearch.ts';
import { authorKey, Frontier, headsOf, type Point, pointOf, resolvePoints } from './frontier.ts';
import type { LedgerGraph, Placed } from './graph.ts';
import { Reconciliation, violation } from './reconcile.ts';
import { decodeResponse, encodeRequest, type SyncHead, type SyncRequest, type SyncResponse } from './syncMessages.ts';
import { SYNC_LIMITS, type SyncLimits, saltOf } from './syncServer.ts';

/** Points in one list of a request: 300 KiB at most. What does not fit is left to the next sync. */
const MAX_POINTS = 16_384;
/** Entries of one exchange that this side did not take, because a rule refuses them or a parent is missing. */
const MAX_REFUSED = 4_096;

/**
 * Own branch ends up to which `want` guesses that the peer holds them, which saves a round when nobody forked. A wrong
 * guess sends the list twice: with more of them the peer is asked first.
 */
const MAX_GUESSES = 32;

type Phase = 'hello' | 'look' | 'confirm' | 'want' | 'probe' | 'push' | 'done';

/** Which answers a request may get. */
const ANSWERS = {
  hello: ['equal', 'differs'],
  look: ['ranges'],
  confirm: ['known'],
  want: ['entries', 'known'],
  probe: ['known'],
  push: ['ok'],
  done: [],
} as const satisfies Record<Phase, readonly SyncResponse['type'][]>;

/**
 * The asking side of sync, a state machine without a transport. It brings both sides to the union of what they
 * hold, both sides of forks with it:
 *
 *     for (let request = client.next(); request !== undefined; request = client.next())
 *       accept(client.receive(await send(request)));
 *
 * where `accept` judges each entry and adds it to the graph before `next` is called again. Looking at ranges of the
 * frontier tells where the sides differ; where an author forked, probes find the last common entry; then what is
 * missing here is pulled and what is missing there is pushed, parents first. A request that got no answer may be
 * sent again, and a new exchange after a cut one asks only for what is still missing.
 */
export class SyncClient {
  readonly #graph: LedgerGraph;
  readonly #head: SyncHead;
  readonly #limits: SyncLimits;
  /** Own branch ends as they were at the start. */
  readonly #frontier: Frontier;
  readonly #digest: Hex;
  readonly #salt: Hex;
  readonly #ranges: Reconciliation;
  #phase: Phase = 'hello';
  #peer: SyncHead | undefined;
  /** Ends of the peer's branches that are not held here. */
  #want: readonly Point[] = [];
  /** Their authors, each with the highest number. */
  #upTo: ReadonlyMap<Hex, number> = new Map();
  /** Entries that both hold: ends of branches, of either side or where a fork parts. */
  #shared: readonly EntryId[] = [];
  /** Those of wanted authors. */
  #common: Placed[] = [];
  /** Of wanted authors: ends of own branches of which the peer may hold all, a part or nothing. */
  #open: readonly Placed[] = [];
  #searches: readonly ForkSearch[] = [];
  /** Searches that the last probe served, with the number of points of each. */
  #asked: readonly { readonly search: ForkSearch; readonly count: number }[] = [];
  #pulled: Cursor | undefined;
  /** The entries of the last page: `next` looks which of them were taken. */
  #page: readonly SignedEntry[] = [];
  /** The ends of what was taken. */
  readonly #taken = new Set<EntryId>();
  #refused = 0;
  #pushed: Cursor | undefined;
  /** Where `#pushed` goes once the peer has said that it took the page. */
  #pushing: Cursor | undefined;

  constructor(graph: LedgerGraph, head: SyncHead, limits: SyncLimits = SYNC_LIMITS) {
    this.#graph = graph;
    this.#head = head;
    this.#limits = limits;
    this.#frontier = new Frontier(graph);
    this.#digest = this.#frontier.digest();
    this.#salt = saltOf(this.#digest);
    this.#ranges = new Reconciliation(this.#frontier, this.#salt);
  }

  /** Where the peer stands, once it has answered. */
  get peer(): SyncHead | undefined {
    return this.#peer;
  }

  /**
   * The next request frame, `undefined` when there is nothing left to ask or to send. Until it is answered the same
   * one comes again. Throws PROTOCOL_VIOLATION when too much of what the peer sent was not taken.
   */
  next(): Uint8Array | undefined {
    this.#settle();
    const request = this.#request();
    return request === undefined ? undefined : encodeRequest(request);
  }

  /**
   * Takes the answer to the last request. Returns entries, parents first, to judge and add before `next`.
   * Throws TOO_LARGE, MALFORMED, NON_CANONICAL, or PROTOCOL_VIOLATION when it is no answer to the request.
   */
  receive(bytes: Uint8Array): readonly SignedEntry[] {
    const response = decodeResponse(bytes);
    const allowed: readonly string[] = ANSWERS[this.#phase];
    if (!allowed.includes(response.type)) throw violation(`answered '${this.#phase}' with '${response.type}'`, 'sync.type');
    switch (response.type) {
      case 'equal':
        this.#peer = response.head;
        this.#phase = 'done';
        return [];
      case 'differs':
        this.#peer = response.head;
        this.#takeRanges(response.answers);
        return [];
      case 'ranges':
        this.#takeRanges(response.answers);
        return [];
      case 'known':
        if (this.#phase === 'probe') this.#takeProbes(response.known);
        else if (this.#phase === 'confirm') this.#takeOpen(response.known);
        else this.#takeGuess(response.known);
        return [];
      case 'entries':
        return this.#takeEntries(response);
      case 'ok':
        this.#pushed = this.#pushing;
        return [];
    }
  }

  #request(): SyncRequest | undefined {
    const salt = this.#salt;
    switch (this.#phase) {
      case 'hello':
        return { type: 'hello', head: this.#head, digest: this.#digest };
      case 'look':
        return { type: 'look', salt, asks: this.#ranges.asks() };
      case 'confirm':
        return { type: 'probe', salt, points: this.#points(this.#open) };
      case 'want':
        return {
          type: 'want',
          salt,
          want: this.#want,
          have: this.#points([...this.#common, ...this.#open]),
          after: this.#pulled ?? null,
        };
      case 'probe':
        return { type: 'probe', salt, points: this.#points(this.#probe()) };
      case 'push':
        return this.#push();
      case 'done':
        return undefined;
    }
  }

  #points(entries: readonly Placed[]): Point[] {
    return entries.map((entry) => pointOf(this.#salt, entry));
  }

  #takeRanges(answers: Extract<SyncResponse, { type: 'ranges' }>['answers']): void {
    this.#ranges.learn(answers);
    this.#phase = 'look';
    if (this.#ranges.asks().length === 0) this.#plan();
  }

  /** What to want, and what to name as held. */
  #plan(): void {
    const { same, tips } = this.#ranges;
    const found = resolvePoints(this.#graph, this.#salt, tips);
    const want = tips.filter((_, i) => found[i] === undefined).slice(0, MAX_POINTS);
    const upTo = new Map<Hex, number>();
    for (const { key, seq } of want) upTo.set(key, Math.max(seq, upTo.get(key) ?? 0));
    const shared = new Set([...same, ...found.filter((entry) => entry !== undefined)]);
    const isWanted = (entry: Placed): boolean => upTo.has(authorKey(entry.core.author));
    this.#want = want;
    this.#upTo = upTo;
    this.#shared = [...shared].map((entry) => entry.id);
    this.#common = [...shared].filter(isWanted).slice(0, MAX_POINTS);
    this.#open = this.#frontier.heads.filter((entry) => isWanted(entry) && !shared.has(entry)).slice(0, MAX_POINTS);
    this.#phase = want.length === 0 ? 'push' : this.#open.length > MAX_GUESSES ? 'confirm' : 'want';
  }

  /** The peer lacks some of what `want` said it holds. */
  #takeGuess(known: readonly boolean[]): void {
    const lost = known.indexOf(false);
    // Asked again in the same words, it would say the same again, for ever.
    if (lost < 0) throw violation('sent no entries, and names none that it lacks', 'sync.known');
    if (lost < this.#common.length) throw violation('lost entries that it held a moment ago', 'sync.known');
    this.#takeOpen(known.slice(this.#common.length));
  }

  /** Where the peer lacks an open end, search its chain for what the peer does hold. */
  #takeOpen(known: readonly boolean[]): void {
    if (known.length !== this.#open.length) throw violation('answered for another number of entries', 'sync.known');
    // No branch of the peer is longer than its author's longest tip tells.
    const longest = new Map(this.#upTo);
    for (const { core } of this.#common) {
      const key = authorKey(core.author);
      longest.set(key, Math.max(core.seq, longest.get(key) ?? 0));
    }
    const lacking = this.#open.filter((_, i) => known[i] === false);
    this.#searches = lacking.map(({ id, core }) => {
      const firstUnknown = Math.min(core.seq, (longest.get(authorKey(core.author)) as number) + 1);
      return new ForkSearch(this.#graph.branchOf(id) as Branch, firstUnknown);
    });
    this.#common.push(...this.#open.filter((_, i) => known[i] === true));
    this.#open = [];
    this.#phase = 'probe';
    this.#finishSearches();
  }

  #probe(): Placed[] {
    const ids: EntryId[] = [];
    const asked: { search: ForkSearch; count: number }[] = [];
    for (const search of this.#searches) {
      const probes = search.probes();
      if (ids.length + probes.length > MAX_POINTS) break;
      ids.push(...probes);
      asked.push({ search, count: probes.length });
    }
    this.#asked = asked;
    return this.#entries(ids);
  }

  #takeProbes(known: readonly boolean[]): void {
    if (known.length !== this.#asked.reduce((sum, { count }) => sum + count, 0)) {
      throw violation('answered another number of probes', 'sync.known');
    }
    let at = 0;
    for (const { search, count } of this.#asked) {
      search.learn(known.slice(at, at + count));
      at += count;
    }
    this.#finishSearches();
  }

  #finishSearches(): void {
    this.#common.push(...this.#entries(this.#searches.flatMap((search) => (search.done ? (search.common ?? []) : []))));
    this.#searches = this.#searches.filter((search) => !search.done);
    if (this.#searches.length === 0) this.#phase = 'want';
  }

  #takeEntries({ entries, more }: Extract<SyncResponse, { type: 'entries' }>): readonly SignedEntry[] {
    if (more && entries.length === 0) throw violation('announced more entries and sent none', 'sync.entries');
    for (const entry of entries) {
      const { author, seq } = entry.core;
      if (seq > (this.#upTo.get(authorKey(author)) ?? -1)) throw violation('sent an entry that nobody asked for', 'sync.entries');
      const cursor = cursorOf(entry);
      if (this.#pulled !== undefined && compareCursor(this.#pulled, cursor) >= 0)
        throw violation('sent entries out of order', 'sync.entries');
      this.#pulled = cursor;
    }
    this.#page = entries;
    if (!more) this.#phase = 'push';
    return entries;
  }

  /** What was taken of the last page is on both sides now. */
  #settle(): void {
    for (const { id, core } of this.#page) {
      if (!this.#graph.has(id)) {
        this.#refused += 1;
        continue;
      }
      if (core.prev !== null) this.#taken.delete(core.prev);
      this.#taken.add(id);
    }
    this.#page = [];
    if (this.#refused > MAX_REFUSED) throw violation(`sent more than ${MAX_REFUSED} entries that cannot be taken`, 'sync.entries');
  }

  /** A page of what is held here now and not on the peer's chains. */
  #push(): SyncRequest | undefined {
    const heads = headsOf(this.#graph).map((entry) => entry.id);
    const peers = [...this.#shared, ...this.#common.map((entry) => entry.id), ...this.#taken];
    const { entries } = differencePage(this.#graph, heads, peers, this.#pushed, this.#limits.pageBytes);
    const last = entries.at(-1);
    if (last === undefined) {
      this.#phase = 'done';
      return undefined;
    }
    this.#pushing = cursorOf(last);
    return { type: 'push', entries };
  }

  #entries(ids: readonly EntryId[]): Placed[] {
    return ids.map((id) => this.#graph.place(id) as Placed);
  }
}
