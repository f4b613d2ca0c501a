import { fromHex, hashWithDomain, toHex } from '../crypto/index.ts';
import type { EntryId, Fingerprint, Hex } from '../spec/index.ts';
import type { LedgerGraph, Placed } from './graph.ts';

/** Hex digits of a fingerprint that name an author in sync: 3 bytes. Authors that share them share one name. */
export const KEY_DIGITS = 6;
/** Bytes of a tag. Salted (see `tagOf`), so that 48 bits are enough: a false match takes 2^48 hashes, for one exchange. */
export const TAG_BYTES = 6;
/** Bytes of the salt of an exchange. */
export const SALT_BYTES = 8;

/**
 * An entry as sync names it: 3 bytes of its author, its number, and a tag. Nothing relies on the first two being
 * unique; where authors or entries share them, the tag tells them apart.
 */
export interface Point {
  readonly key: Hex;
  readonly seq: number;
  readonly tag: Hex;
}

export const authorKey = (author: Fingerprint): Hex => author.slice(0, KEY_DIGITS);

/**
 * A short hash of some entries' ids. The salt is the start of the asker's frontier digest, which nobody knows before
 * the entries exist: an author cannot prepare two entries, or two sets of them, that share a tag.
 */
export const tagOf = (salt: Hex, ids: readonly EntryId[]): Hex =>
  toHex(hashWithDomain('starling/tag/1', fromHex(salt), fromHex(ids.join(''))).subarray(0, TAG_BYTES));

export const pointOf = (salt: Hex, { id, core }: Placed): Point => ({
  key: authorKey(core.author),
  seq: core.seq,
  tag: tagOf(salt, [id]),
});

/** The last entry of every branch of every author. */
export const headsOf = (graph: LedgerGraph): Placed[] =>
  graph.authors().flatMap((author) => graph.heads(author).map((id) => graph.place(id) as Placed));

/**
 * The ends of all branches at one moment, in the order of their places: a place is the author's key, then the id, 70
 * hex digits. An id fixes all that stands behind it, so equal frontiers mean equal sets of entries.
 */
export class Frontier {
  readonly heads: readonly Placed[];
  readonly #places: readonly string[];

  constructor(graph: LedgerGraph) {
    const placed = headsOf(graph).map((entry) => ({ place: authorKey(entry.core.author) + entry.id, entry }));
    placed.sort((a, b) => (a.place < b.place ? -1 : 1));
    this.heads = placed.map(({ entry }) => entry);
    this.#places = placed.map(({ place }) => place);
  }

  /** sha256 over all ids. */
  digest(): Hex {
    return toHex(hashWithDomain('starling/frontier/1', fromHex(this.heads.map(({ id }) => id).join(''))));
  }

  /** The branch ends whose place starts with `prefix`. */
  within(prefix: Hex): readonly Placed[] {
    // 'g' comes after every hex digit.
    return this.heads.slice(this.#firstFrom(prefix), this.#firstFrom(`${prefix}g`));
  }

  #firstFrom(bound: string): number {
    return lowerBound(this.#places.length, (i) => (this.#places[i] as string) < bound);
  }
}

/**
 * The entries that `points` name, `undefined` where none is held. One pass over the branches of the authors concerned,
 * however many points name them: an author with a hundred thousand forks costs what its entries cost to read.
 */
export function resolvePoints(graph: LedgerGraph, salt: Hex, points: readonly Point[]): (Placed | undefined)[] {
  const numbers = new Map<Hex, Set<number>>();
  for (const { key, seq } of points) numbers.set(key, (numbers.get(key) ?? new Set()).add(seq));
  const found = new Map<string, EntryId>();
  for (const author of graph.authors()) {
    const key = authorKey(author);
    const seqs = [...(numbers.get(key) ?? [])].sort((a, b) => a - b);
    if (seqs.length === 0) continue;
    for (const { fromSeq, ids } of graph.branchesOf(author)) {
      const end = fromSeq + ids.length;
      for (let i = lowerBound(seqs.length, (j) => (seqs[j] as number) < fromSeq); i < seqs.length && (seqs[i] as number) < end; i++) {
        const seq = seqs[i] as number;
        const id = ids[seq - fromSeq] as EntryId;
        found.set(nameOf({ key, seq, tag: tagOf(salt, [id]) }), id);
      }
    }
  }
  return points.map((point) => graph.place(found.get(nameOf(point)) ?? ''));
}

const nameOf = ({ key, seq, tag }: Point): string => `${key} ${seq} ${tag}`;

/** How many of 0..length-1 come before the first one that is not `below`; `below` holds for a beginning of them. */
function lowerBound(length: number, below: (i: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (below(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
