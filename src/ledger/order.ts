import { fromHex, toHex, ZERO_HASH } from '../crypto/hash.ts';
import { type EntryId, type Fingerprint, type Hex, type Leaf, type SignedEntry, StarlingError } from '../spec/index.ts';
import { leavesHash } from '../wire/index.ts';
import type { LedgerGraph, Placed } from './graph.ts';
import { MerkleTree } from './tree.ts';

/** What the one order of the ledger looks at. `epoch` is that of the first cut that holds the entry. */
interface OrderKey {
  readonly epoch: number;
  readonly lam: number;
  readonly author: Fingerprint;
  readonly seq: number;
  readonly id: EntryId;
}

/**
 * The order of PROTOCOL section 3: (epoch of the first cut, lam, author, seq). The id comes last, because both
 * sides of a fork agree in the other four. Parents come before children: lam grows along prev and deps.
 */
const compareOrder = (a: OrderKey, b: OrderKey): number =>
  a.epoch - b.epoch || a.lam - b.lam || compareText(a.author, b.author) || a.seq - b.seq || compareText(a.id, b.id);

/** An entry with its place. A void entry stands on the losing branch of a fork: ordered, ignored by reducers. */
export interface OrderedEntry<E extends Placed = SignedEntry> {
  readonly index: number;
  readonly epoch: number;
  readonly void: boolean;
  readonly entry: E;
}

/** One that may stand behind the base, where its place alone is left. */
export type OrderedLeaf = OrderedEntry<SignedEntry | Placed>;

/** Where a cut ends. */
interface Cut {
  readonly epoch: number;
  readonly size: number;
  readonly leavesHash: Hex;
}

/**
 * The one order over the entries that decisions cut, with the Merkle tree over it: leaf i is entry i's id. Cuts are
 * appended epoch by epoch; when the choice of decisions changes, `rewind` and append the other ones.
 */
export class LedgerOrder {
  readonly tree = new MerkleTree();
  readonly #graph: LedgerGraph;
  readonly #ordered: OrderedLeaf[] = [];
  readonly #cuts: Cut[] = [];
  readonly #indexOf = new Map<EntryId, number>();

  constructor(graph: LedgerGraph) {
    this.#graph = graph;
  }

  get size(): number {
    return this.#ordered.length;
  }

  /** Over the places of all leaves, cut by cut (see `leavesHash` of wire); zeros before the first. */
  get leavesHash(): Hex {
    return this.#cuts.at(-1)?.leavesHash ?? ZERO_HASH;
  }

  /** Root over the first `size` entries, all of them by default. */
  root(size: number = this.size): Hex {
    return toHex(this.tree.rootAt(size));
  }

  /**
   * Appends the cut of a decision: what its roster stands on (prev and deps) and no earlier cut holds. Returns the
   * new entries in order. Throws EPOCH_REGRESSION when the last cut is not of an earlier epoch, MISSING_PARENT when
   * a rostered entry is not held.
   */
  append(epoch: number, roster: readonly EntryId[]): readonly OrderedEntry[] {
    const last = this.#cuts.at(-1);
    if (last !== undefined && last.epoch >= epoch) {
      throw new StarlingError('EPOCH_REGRESSION', `a cut of epoch ${epoch} cannot follow one of epoch ${last.epoch}`, {
        field: 'epoch',
        fix: `rewind to epoch ${epoch - 1} first`,
      });
    }
    const from = this.size;
    const ids = this.#graph.closure(roster, (id) => this.#indexOf.has(id));
    const keys = ids.map((id): OrderKey => {
      const { lam, author, seq } = this.#place(id).core;
      return { epoch, lam, author, seq, id };
    });
    keys.sort(compareOrder);
    const cut = new Set(ids);
    const rostered = this.#chainsInside(roster, cut);
    const appended = keys.map(({ id }): OrderedEntry => {
      const entry = this.#entry(id);
      const ordered = { index: this.size, epoch, void: this.#isVoid(entry, from, cut, rostered), entry };
      this.#push(ordered);
      return ordered;
    });
    this.#cuts.push({ epoch, size: this.size, leavesHash: leavesHash(this.leavesHash, appended.map(this.#leaf)) });
    return appended;
  }

  /** Appends a cut from behind the base: leaves whose places the graph holds, and what `leavesHash` is after them. */
  restore(epoch: number, leaves: readonly Leaf[], after: Hex): void {
    for (const { id, void: isVoid } of leaves) this.#push({ index: this.size, epoch, void: isVoid, entry: this.#place(id) });
    this.#cuts.push({ epoch, size: this.size, leavesHash: after });
  }

  /** Leaves `from` to `size` (exclusive), which must be whole. */
  leaves(from: number, size: number): Leaf[] {
    return this.#ordered.slice(from, size).map((ordered) => this.#leaf(ordered as OrderedEntry));
  }

  /** Leaves `from` to `size` (exclusive) stand behind the base now: holds on to what the graph holds of them. */
  forget(from: number, size: number): void {
    for (let i = from; i < size; i++) {
      const ordered = this.#ordered[i] as OrderedLeaf;
      this.#ordered[i] = { ...ordered, entry: this.#place(ordered.entry.id) };
    }
  }

  /** Drops the cuts of epochs after `epoch`. */
  rewind(epoch: number): void {
    while ((this.#cuts.at(-1)?.epoch ?? 0) > epoch) this.#cuts.pop();
    const size = this.#cuts.at(-1)?.size ?? 0;
    for (const dropped of this.#ordered.splice(size)) this.#indexOf.delete(dropped.entry.id);
    this.tree.truncate(size);
  }

  at(index: number): OrderedLeaf | undefined {
    return this.#ordered[index];
  }

  /** Where an entry stands, `undefined` when no cut holds it. */
  find(id: EntryId): OrderedLeaf | undefined {
    const index = this.#indexOf.get(id);
    return index === undefined ? undefined : this.#ordered[index];
  }

  /** Leaves `from` to `to` (exclusive) in order. */
  slice(from: number, to: number = this.size): readonly OrderedLeaf[] {
    return this.#ordered.slice(from, to);
  }

  /**
   * What follows a void entry is void. Of the entries that follow one predecessor, one is not void: the one that an
   * earlier cut holds; else, inside this cut, one on the branch of a rostered entry; else the lowest (lam, id).
   */
  #isVoid(entry: SignedEntry, from: number, cut: ReadonlySet<EntryId>, rostered: ReadonlySet<EntryId>): boolean {
    const { author, seq, prev, lam } = entry.core;
    if (prev !== null && this.find(prev)?.void === true) return true;
    for (const id of this.#graph.at(author, seq)) {
      if (id === entry.id || this.#graph.prevOf(id) !== prev) continue;
      const index = this.#indexOf.get(id);
      if (index !== undefined && index < from) return true;
      if (!cut.has(id)) continue;
      const rival = this.#entry(id);
      const byRoster = Number(rostered.has(id)) - Number(rostered.has(entry.id));
      if (byRoster > 0) return true;
      if (byRoster === 0 && (rival.core.lam - lam || compareText(id, entry.id)) < 0) return true;
    }
    return false;
  }

  /** The rostered entries and, along their authors' chains, what they follow inside the cut. */
  #chainsInside(roster: readonly EntryId[], cut: ReadonlySet<EntryId>): Set<EntryId> {
    const marked = new Set<EntryId>();
    for (const start of roster) {
      for (let id: EntryId | null = start; id !== null && cut.has(id) && !marked.has(id); id = this.#entry(id).core.prev) marked.add(id);
    }
    return marked;
  }

  #push(ordered: OrderedLeaf): void {
    this.#indexOf.set(ordered.entry.id, this.size);
    this.#ordered.push(ordered);
    this.tree.append(fromHex(ordered.entry.id));
  }

  #leaf = ({ entry: { id, core }, void: isVoid }: OrderedEntry): Leaf => ({
    id,
    prev: core.prev === null ? null : (this.#indexOf.get(core.prev) as number),
    lam: core.lam,
    void: isVoid,
  });

  #entry(id: EntryId): SignedEntry {
    return this.#graph.get(id) as SignedEntry;
  }

  #place(id: EntryId): SignedEntry | Placed {
    return this.#graph.place(id) as Placed;
  }
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
