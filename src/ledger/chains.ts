import type { EntryId, Fingerprint } from '../spec/index.ts';

/**
 * A run of one author's entries without a gap: `ids[i]` has sequence number `fromSeq + i`. The first branch of an
 * author starts at 0; a fork starts another one, whose first entry follows an entry inside `parent` (or nothing,
 * when two entries claim sequence number 0).
 */
export interface Branch {
  readonly author: Fingerprint;
  readonly fromSeq: number;
  readonly parent: Branch | undefined;
  readonly ids: EntryId[];
}

/** Where one author's chain parts: every entry held that follows the same predecessor, sorted by id. */
export interface Fork {
  readonly author: Fingerprint;
  readonly seq: number;
  readonly ids: readonly EntryId[];
}

/**
 * Author chains as branches. Ancestors by sequence number cost O(forks of that author), not O(length),
 * which is what makes sync and proofs cheap. The caller guarantees that parents come first.
 */
export class Chains {
  readonly #byAuthor = new Map<Fingerprint, Branch[]>();

  /** Places an entry after its predecessor, which stands in `parent`; returns its branch. */
  add(id: EntryId, author: Fingerprint, seq: number, parent: Branch | undefined): Branch {
    if (parent !== undefined && parent.fromSeq + parent.ids.length === seq) {
      parent.ids.push(id);
      return parent;
    }
    const branch: Branch = { author, fromSeq: seq, parent, ids: [id] };
    const branches = this.#byAuthor.get(author);
    if (branches === undefined) this.#byAuthor.set(author, [branch]);
    else branches.push(branch);
    return branch;
  }

  authors(): IterableIterator<Fingerprint> {
    return this.#byAuthor.keys();
  }

  branchesOf(author: Fingerprint): readonly Branch[] {
    return this.#byAuthor.get(author) ?? [];
  }

  /** The last entry of every branch of this author: one, or more when it forked. */
  tipsOf(author: Fingerprint): EntryId[] {
    return this.branchesOf(author).map((branch) => branch.ids[branch.ids.length - 1] as EntryId);
  }

  /** Entries of this author at a sequence number: none, one, or the sides of a fork. */
  at(author: Fingerprint, seq: number): EntryId[] {
    return this.branchesOf(author).flatMap((branch) => branch.ids[seq - branch.fromSeq] ?? []);
  }

  /** Sorted by sequence number. */
  forksOf(author: Fingerprint): Fork[] {
    const branches = this.branchesOf(author);
    if (branches.length < 2) return [];
    const groups = new Map<string, Fork & { ids: EntryId[] }>();
    for (const branch of branches) {
      const prev = branch.parent === undefined ? '' : ancestorAt(branch.parent, branch.fromSeq - 1);
      const key = prev ?? '';
      let group = groups.get(key);
      if (group === undefined) {
        const elder = branch.parent?.ids[branch.fromSeq - branch.parent.fromSeq];
        group = { author, seq: branch.fromSeq, ids: elder === undefined ? [] : [elder] };
        groups.set(key, group);
      }
      group.ids.push(branch.ids[0] as EntryId);
    }
    return [...groups.values()]
      .filter((fork) => fork.ids.length > 1)
      .map((fork) => ({ ...fork, ids: fork.ids.sort() }))
      .sort((x, y) => x.seq - y.seq || ((x.ids[0] as EntryId) < (y.ids[0] as EntryId) ? -1 : 1));
  }
}

/** The entry with this sequence number on the way from the author's first entry to the end of `branch`. */
export function ancestorAt(branch: Branch, seq: number): EntryId | undefined {
  let at: Branch | undefined = branch;
  while (at !== undefined && seq < at.fromSeq) at = at.parent;
  return at?.ids[seq - at.fromSeq];
}
