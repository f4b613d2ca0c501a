import { type EntryId, type Hex, type SignedEntry, StarlingError } from '../spec/index.ts';
import type { Branch } from './chains.ts';
import { type Cursor, compareCursor, cursorOf, differencePage } from './difference.ts';
import { ForkSearch } from './forkSearch.ts';
import { authorPrefix, frontierDigest, headPrefix, headsOf, type Tip } from './frontier.ts';
import type { LedgerGraph } from './graph.ts';
import { decodeResponse, encodeRequest, type SyncHead, type SyncRequest, type SyncResponse } from './syncMessages.ts';
import { SYNC_LIMITS, type SyncLimits } from './syncServer.ts';

/** Ids in one list of a request: 256 KiB. What does not fit is left to the next sync. */
const MAX_IDS = 16_384;
/** Tips taken from one peer: 6.5 MiB. */
const MAX_TIPS = 2 ** 18;

type Phase = 'hello' | 'tips' | 'want' | 'probe' | 'push' | 'done';

/** Which answers a request may get. */
const ANSWERS = {
  hello: ['equal', 'tips'],
  tips: ['tips'],
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
 * where `accept` judges each entry and adds it to the graph before `next` is called again. Tips tell what the other
 * side has; where an author forked, probes find the last common entry; then what is missing here is pulled and what
 * is missing there is pushed, parents first.
 */
export class SyncClient {
  readonly #graph: LedgerGraph;
  readonly #head: SyncHead;
  readonly #limits: SyncLimits;
  #phase: Phase = 'hello';
  #peer: SyncHead | undefined;
  readonly #tips: Tip[] = [];
  #lastTip = new Uint8Array();
  /** Ends of the peer's branches that are not held here. */
  #want: readonly Hex[] = [];
  /** Of those authors: entries that both hold. */
  #common: EntryId[] = [];
  /** Of those authors: ends of own branches of which the peer may hold all, a part or nothing. */
  #open: readonly SignedEntry[] = [];
  #searches: readonly ForkSearch[] = [];
  /** Searches that the last probe served, with the number of ids of each. */
  #asked: readonly { readonly search: ForkSearch; readonly count: number }[] = [];
  #pulled: Cursor | undefined;
  #pushed: Cursor | undefined;

  constructor(graph: LedgerGraph, head: SyncHead, limits: SyncLimits = SYNC_LIMITS) {
    this.#graph = graph;
    this.#head = head;
    this.#limits = limits;
  }

  /** Where the peer stands, once it has answered. */
  get peer(): SyncHead | undefined {
    return this.#peer;
  }

  /** The next request frame, `undefined` when there is nothing left to ask or to send. */
  next(): Uint8Array | undefined {
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
    if (!allowed.includes(response.type)) throw violation(`answered '${this.#phase}' with '${response.type}'`);
    switch (response.type) {
      case 'equal':
        this.#peer = response.head;
        this.#phase = 'done';
        return [];
      case 'tips':
        this.#takeTips(response);
        return [];
      case 'known':
        if (this.#phase === 'probe') this.#takeProbes(response.known);
        else this.#takeOpen(response.known);
        return [];
      case 'entries':
        return this.#takeEntries(response);
      case 'ok':
        return [];
    }
  }

  #request(): SyncRequest | undefined {
    switch (this.#phase) {
      case 'hello':
        return { type: 'hello', head: this.#head, digest: frontierDigest(this.#graph) };
      case 'tips':
        return { type: 'tips', after: this.#lastTip };
      case 'want': {
        const have = [...this.#common, ...this.#open.map((entry) => entry.id)];
        return { type: 'want', want: this.#want, have: have.map(headPrefix), after: this.#pulled ?? null };
      }
      case 'probe':
        return { type: 'probe', ids: this.#probe().map(headPrefix) };
      case 'push':
        return this.#push();
      case 'done':
        return undefined;
    }
  }

  #takeTips({ head, tips, last, more }: Extract<SyncResponse, { type: 'tips' }>): void {
    if (more && tips.length === 0) throw violation('announced more tips and sent none');
    if (this.#lastTip.length > 0 && tips.length > 0 && Buffer.compare(last, this.#lastTip) <= 0) throw violation('sent tips out of order');
    this.#peer = head;
    this.#tips.push(...tips);
    this.#lastTip = Uint8Array.from(last);
    if (this.#tips.length > MAX_TIPS) throw violation(`sent more than ${MAX_TIPS} tips`);
    this.#phase = more ? 'tips' : 'want';
    if (!more) this.#plan();
  }

  /** What to want, and what to name as held. */
  #plan(): void {
    const held = (tip: Tip): SignedEntry | undefined => this.#graph.findByPrefix(tip.head);
    const wanted = this.#tips.filter((tip) => held(tip) === undefined).slice(0, MAX_IDS);
    const authors = new Set(wanted.map((tip) => tip.author));
    const isConcerned = (entry: SignedEntry): boolean => authors.has(authorPrefix(entry.core.author));
    const common = new Set(this.#tips.flatMap((tip) => held(tip) ?? []).filter(isConcerned));
    this.#want = wanted.map((tip) => tip.head);
    this.#common = [...common].map((entry) => entry.id).slice(0, MAX_IDS);
    this.#open = headsOf(this.#graph)
      .filter((entry) => isConcerned(entry) && !common.has(entry))
      .slice(0, MAX_IDS);
    this.#phase = this.#want.length > 0 ? 'want' : 'push';
  }

  /** The peer lacks some of the open ends: search their chains for what it does hold. */
  #takeOpen(known: readonly boolean[]): void {
    const answers = known.slice(this.#common.length);
    if (known.length !== this.#common.length + this.#open.length || known.indexOf(false) < this.#common.length) {
      throw violation('lost entries that it held a moment ago');
    }
    const lacking = this.#open.filter((_, i) => answers[i] === false);
    this.#common.push(...this.#open.filter((_, i) => answers[i] === true).map((entry) => entry.id));
    this.#open = [];
    // No branch of the peer is longer than its author's longest tip tells.
    const longest = new Map<Hex, number>();
    for (const { author, seq } of this.#tips) longest.set(author, Math.max(seq, longest.get(author) ?? 0));
    this.#searches = lacking.map(({ id, core }) => {
      const firstUnknown = Math.min(core.seq, (longest.get(authorPrefix(core.author)) ?? 0) + 1);
      return new ForkSearch(this.#graph.branchOf(id) as Branch, firstUnknown);
    });
    this.#phase = 'probe';
    this.#finishSearches();
  }

  #probe(): EntryId[] {
    const ids: EntryId[] = [];
    const asked: { search: ForkSearch; count: number }[] = [];
    for (const search of this.#searches) {
      const probes = search.probes();
      if (ids.length + probes.length > MAX_IDS) break;
      ids.push(...probes);
      asked.push({ search, count: probes.length });
    }
    this.#asked = asked;
    return ids;
  }

  #takeProbes(known: readonly boolean[]): void {
    if (known.length !== this.#asked.reduce((sum, { count }) => sum + count, 0)) throw violation('answered another number of probes');
    let at = 0;
    for (const { search, count } of this.#asked) {
      search.learn(known.slice(at, at + count));
      at += count;
    }
    this.#finishSearches();
  }

  #finishSearches(): void {
    this.#common.push(...this.#searches.flatMap((search) => (search.done ? (search.common ?? []) : [])));
    this.#searches = this.#searches.filter((search) => !search.done);
    if (this.#searches.length === 0) this.#phase = 'want';
  }

  #takeEntries({ entries, more }: Extract<SyncResponse, { type: 'entries' }>): readonly SignedEntry[] {
    if (more && entries.length === 0) throw violation('announced more entries and sent none');
    for (const entry of entries) {
      const cursor = cursorOf(entry);
      if (this.#pulled !== undefined && compareCursor(this.#pulled, cursor) >= 0) throw violation('sent entries out of order');
      this.#pulled = cursor;
    }
    if (!more) this.#phase = 'push';
    return entries;
  }

  /** A page of what is held here now and not on the peer's chains. */
  #push(): SyncRequest | undefined {
    const heads = headsOf(this.#graph).map((entry) => entry.id);
    const peers = this.#tips.flatMap((tip) => this.#graph.findByPrefix(tip.head)?.id ?? []);
    const { entries } = differencePage(this.#graph, heads, [...peers, ...this.#common], this.#pushed, this.#limits.pageBytes);
    const last = entries.at(-1);
    if (last === undefined) {
      this.#phase = 'done';
      return undefined;
    }
    this.#pushed = cursorOf(last);
    return { type: 'push', entries };
  }
}

const violation = (what: string): StarlingError =>
  new StarlingError('PROTOCOL_VIOLATION', `the peer ${what}`, {
    phase: 'sync',
    fix: 'sync with another peer; this one runs other software',
  });
