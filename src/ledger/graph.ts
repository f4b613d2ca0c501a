import {
  type AnyEntryCore,
  type EntryCore,
  type EntryId,
  type EntryKind,
  type Fingerprint,
  MAX_DEPS,
  type NodeCertificate,
  type SignedEntry,
  StarlingError,
} from '../spec/index.ts';
import { ancestorAt, type Branch, Chains, type Fork } from './chains.ts';

/** An entry whose kind is known. */
export type EntryOf<K extends EntryKind> = SignedEntry & { readonly core: EntryCore<K> };

/** Where an entry stands: what is known of every entry held, and all that stays of one behind the base. */
export interface Placed {
  readonly id: EntryId;
  readonly core: Pick<AnyEntryCore, 'author' | 'seq' | 'lam'>;
}

interface Held {
  entry: SignedEntry | Placed;
  readonly branch: Branch;
  /** Entries that name this one as prev or dep, in the order of arrival. */
  readonly children: EntryId[];
}

/**
 * Every accepted entry, indexed in memory. The set is closed: an entry comes after its prev and its deps. Both
 * sides of a fork (two entries of one author at one sequence number) are kept, with all that follows each. Of an entry
 * behind the base its place alone is left, and of a join all.
 */
export class LedgerGraph {
  readonly #held = new Map<EntryId, Held>();
  readonly #chains = new Chains();
  readonly #contributions = new Map<number, EntryOf<'contribution'>[]>();
  #decisions: EntryOf<'decision'>[] = [];
  readonly #joins = new Map<Fingerprint, EntryOf<'join'>>();
  /** Entries that nothing names yet. */
  readonly #sinks = new Set<EntryId>();

  /** Entries held. It only grows, so it also tells whether something derived from the graph is stale. */
  get size(): number {
    return this.#held.size;
  }

  /**
   * Adds an entry that the rules accepted. Returns false when it is held already.
   * Throws MISSING_PARENT when prev or a dep is not held.
   */
  add(entry: SignedEntry): boolean {
    if (this.#held.has(entry.id)) return false;
    const [missing] = this.missingParents(entry);
    if (missing !== undefined) throw missingParent(entry.id, missing);
    const { author, seq, prev } = entry.core;
    const parent = prev === null ? undefined : this.#held.get(prev)?.branch;
    this.#held.set(entry.id, { entry, branch: this.#chains.add(entry.id, author, seq, parent), children: [] });
    for (const id of parentsOf(entry)) {
      this.#held.get(id)?.children.push(entry.id);
      this.#sinks.delete(id);
    }
    this.#sinks.add(entry.id);
    this.#index(entry);
    return true;
  }

  /**
   * Adds the place of an entry behind the base, after that of its predecessor. Throws MISSING_PARENT. A place that is held
   * already is passed over.
   */
  addPlace(place: Placed, prev: EntryId): void {
    if (this.#held.has(place.id)) return;
    const { author, seq } = place.core;
    const parent = this.#held.get(prev);
    if (parent === undefined) throw missingParent(place.id, prev);
    this.#held.set(place.id, { entry: place, branch: this.#chains.add(place.id, author, seq, parent.branch), children: [] });
    parent.children.push(place.id);
    this.#sinks.delete(prev);
    this.#sinks.add(place.id);
  }

  /** Lets what entries say go, joins excepted: their places stay. */
  forget(ids: Iterable<EntryId>): void {
    for (const id of ids) {
      const held = this.#held.get(id);
      if (held === undefined || !isWhole(held.entry) || isKind(held.entry, 'join')) continue;
      const { author, seq, lam } = held.entry.core;
      if (isKind(held.entry, 'contribution')) this.#forgetContribution(held.entry);
      held.entry = { id, core: { author, seq, lam } };
    }
  }

  /** An entry with what it says; undefined behind the base. */
  get(id: EntryId): SignedEntry | undefined {
    const entry = this.#held.get(id)?.entry;
    return entry !== undefined && isWhole(entry) ? entry : undefined;
  }

  /** Where an entry stands. */
  place(id: EntryId): Placed | undefined {
    return this.#held.get(id)?.entry;
  }

  has(id: EntryId): boolean {
    return this.#held.has(id);
  }

  /** Every entry that is whole in the order of arrival, parents before children. */
  *entries(): IterableIterator<SignedEntry> {
    for (const { entry } of this.#held.values()) if (isWhole(entry)) yield entry;
  }

  /** Parents that an entry names and this graph does not hold: what to ask a peer for. */
  missingParents(entry: SignedEntry): EntryId[] {
    return parentsOf(entry).filter((id) => !this.#held.has(id));
  }

  /** Entries that name this one as prev or dep. */
  children(id: EntryId): readonly EntryId[] {
    return this.#held.get(id)?.children ?? [];
  }

  /** Authors of the entries held, sorted. */
  authors(): Fingerprint[] {
    return [...this.#chains.authors()].sort();
  }

  /** The last entry of every branch of an author: none, one, or several when it forked. */
  heads(author: Fingerprint): EntryId[] {
    return this.#chains.tipsOf(author);
  }

  /** Entries of an author at a sequence number: none, one, or the sides of a fork. */
  at(author: Fingerprint, seq: number): EntryId[] {
    return this.#chains.at(author, seq);
  }

  branchesOf(author: Fingerprint): readonly Branch[] {
    return this.#chains.branchesOf(author);
  }

  branchOf(id: EntryId): Branch | undefined {
    return this.#held.get(id)?.branch;
  }

  /** The author's entries from sequence number 0 up to and including `id`. Empty when `id` is not held. */
  chain(id: EntryId): EntryId[] {
    const held = this.#held.get(id);
    if (held === undefined) return [];
    return Array.from({ length: held.entry.core.seq + 1 }, (_, seq) => ancestorAt(held.branch, seq) as EntryId);
  }

  /** The predecessor of an entry on its author's chain, null of the first, and of one that is not held. */
  prevOf(id: EntryId): EntryId | null {
    const held = this.#held.get(id);
    return (held === undefined ? undefined : ancestorAt(held.branch, held.entry.core.seq - 1)) ?? null;
  }

  /** Whether `ancestor` is `id` or stands before it on its author's chain. */
  precedes(ancestor: EntryId, id: EntryId): boolean {
    const a = this.#held.get(ancestor);
    const b = this.#held.get(id);
    if (a === undefined || b === undefined || a.entry.core.seq > b.entry.core.seq) return false;
    return ancestorAt(b.branch, a.entry.core.seq) === ancestor;
  }

  /** Places where an author signed two entries for one sequence number: what evidence is made of. */
  forks(): Fork[] {
    return this.authors().flatMap((author) => this.#chains.forksOf(author));
  }

  forksOf(author: Fingerprint): Fork[] {
    return this.#chains.forksOf(author);
  }

  /**
   * `ids` and all that they stand on (prev and deps), without the entries for which `excluded` answers true and
   * without what only those stand on. Unordered. Throws MISSING_PARENT when one of `ids` is not held.
   */
  closure(ids: Iterable<EntryId>, excluded: (id: EntryId) => boolean): EntryId[] {
    const seen = new Set<EntryId>();
    const open = [...ids];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      if (seen.has(id) || excluded(id)) continue;
      const held = this.#held.get(id);
      if (held === undefined) {
        throw new StarlingError('MISSING_PARENT', `entry ${id} is not held`, { field: id, fix: 'fetch it from a peer first' });
      }
      seen.add(id);
      if (isWhole(held.entry)) open.push(...parentsOf(held.entry));
    }
    return [...seen];
  }

  /**
   * What the next entry of `author` should name as deps: entries of others that nothing names yet, the latest
   * (highest lam, then lowest id) first when there are more than an entry may name. Sorted by id.
   */
  freshDeps(author: Fingerprint): EntryId[] {
    const fresh = [...this.#sinks].map((id) => this.#held.get(id) as Held).filter((held) => held.entry.core.author !== author);
    fresh.sort((a, b) => b.entry.core.lam - a.entry.core.lam || (a.entry.id < b.entry.id ? -1 : 1));
    return fresh
      .slice(0, MAX_DEPS)
      .map((held) => held.entry.id)
      .sort();
  }

  /** Contributions that name this epoch, in the order of arrival. */
  contributionsOf(epoch: number): readonly EntryOf<'contribution'>[] {
    return this.#contributions.get(epoch) ?? [];
  }

  /** Decision entries of epochs after `epoch`, in the order of arrival. What is before is forgotten: ask with growing epochs. */
  decisionsAfter(epoch: number): readonly EntryOf<'decision'>[] {
    if (this.#decisions.some((entry) => entry.core.body.epoch <= epoch))
      this.#decisions = this.#decisions.filter((entry) => entry.core.body.epoch > epoch);
    return this.#decisions;
  }

  /** The join an author's chain starts with; of a forked start, the first that arrived. */
  joinOf(author: Fingerprint): EntryOf<'join'> | undefined {
    return this.#joins.get(author);
  }

  certificateOf(author: Fingerprint): NodeCertificate | undefined {
    return this.#joins.get(author)?.core.body.certificate;
  }

  /** Of the others that name its epoch, which may be any, some may be wanted still. */
  #forgetContribution({ id, core }: EntryOf<'contribution'>): void {
    const { epoch } = core.body;
    const left = this.contributionsOf(epoch).filter((other) => other.id !== id);
    if (left.length > 0) this.#contributions.set(epoch, left);
    else this.#contributions.delete(epoch);
  }

  #index(entry: SignedEntry): void {
    if (isKind(entry, 'contribution')) {
      const epoch = entry.core.body.epoch;
      const list = this.#contributions.get(epoch);
      if (list === undefined) this.#contributions.set(epoch, [entry]);
      else list.push(entry);
    } else if (isKind(entry, 'decision')) {
      this.#decisions.push(entry);
    } else if (isKind(entry, 'join') && !this.#joins.has(entry.core.author)) {
      this.#joins.set(entry.core.author, entry);
    }
  }
}

/** Whether all of an entry is held. */
export const isWhole = (entry: SignedEntry | Placed): entry is SignedEntry => 'coreBytes' in entry;

export function isKind<K extends EntryKind>(entry: SignedEntry, kind: K): entry is EntryOf<K> {
  return entry.core.kind === kind;
}

/** prev (if any) and deps. */
export const parentsOf = (entry: SignedEntry): readonly EntryId[] =>
  entry.core.prev === null ? entry.core.deps : [entry.core.prev, ...entry.core.deps];

const missingParent = (id: EntryId, parent: EntryId): StarlingError =>
  new StarlingError('MISSING_PARENT', `entry ${id} names ${parent}, which is not held`, {
    field: parent,
    fix: 'add parents before children',
  });
