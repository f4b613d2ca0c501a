import type { DecisionBody, DecisionId, Fingerprint } from '../spec/index.ts';

interface Latest {
  readonly seq: number;
  readonly decision: DecisionId;
}

/**
 * The tree of provisional decisions and its fork choice (PROTOCOL section 3): from the root take, among the
 * children, the one whose subtree holds the most authors (each counted by its latest decision), then the
 * lower hash. As GHOST (Sompolinsky and Zohar 2015) with one voice an author.
 */
export class DecisionTree {
  readonly root: DecisionId;
  readonly #bodies = new Map<DecisionId, DecisionBody>();
  readonly #children = new Map<DecisionId, DecisionId[]>();
  readonly #authors = new Map<DecisionId, Set<Fingerprint>>();
  readonly #latest = new Map<Fingerprint, Latest>();

  constructor(root: DecisionId) {
    this.root = root;
  }

  /**
   * Learns one decision entry. Returns false when it changes nothing. Parents may come later, and so may an author's
   * earlier entries: what follows does not depend on the order. Of two decisions under one number of a forked chain
   * the lower hash counts.
   */
  add(author: Fingerprint, seq: number, id: DecisionId, body: DecisionBody): boolean {
    const authors = this.#authors.get(id) ?? new Set();
    const said = authors.has(author);
    this.#authors.set(id, authors.add(author));
    if (!this.#bodies.has(id)) {
      this.#bodies.set(id, body);
      const siblings = this.#children.get(body.prev) ?? [];
      siblings.push(id);
      this.#children.set(body.prev, siblings);
    }
    const latest = this.#latest.get(author);
    const later = latest === undefined || seq > latest.seq || (seq === latest.seq && id < latest.decision);
    if (later) this.#latest.set(author, { seq, decision: id });
    return !said || (later && latest?.decision !== id);
  }

  body(id: DecisionId): DecisionBody | undefined {
    return this.#bodies.get(id);
  }

  /** Who wrote this very decision. */
  authorsOf(id: DecisionId): ReadonlySet<Fingerprint> {
    return this.#authors.get(id) ?? new Set();
  }

  children(id: DecisionId): readonly DecisionId[] {
    return this.#children.get(id) ?? [];
  }

  /** Authors whose latest decision is `id` or stands on it. */
  supporters(id: DecisionId): ReadonlySet<Fingerprint> {
    const found = new Set<Fingerprint>();
    for (const [author, { decision }] of this.#latest) {
      for (let at: DecisionId | undefined = decision; at !== undefined && at !== this.root; at = this.#bodies.get(at)?.prev) {
        if (at === id) found.add(author);
      }
    }
    return found;
  }

  /** Decisions from the first after the root to the head, among those that `allowed` does not rule out. */
  best(allowed: (id: DecisionId) => boolean = () => true): DecisionId[] {
    const weight = this.#subtreeWeights();
    const path: DecisionId[] = [];
    for (let at = this.root; ; ) {
      const children = this.children(at).filter(allowed);
      if (children.length === 0) return path;
      at = children.reduce((a, b) => {
        const wa = weight.get(a) ?? 0;
        const wb = weight.get(b) ?? 0;
        return wb > wa || (wb === wa && b < a) ? b : a;
      });
      path.push(at);
    }
  }

  #subtreeWeights(): Map<DecisionId, number> {
    const weight = new Map<DecisionId, number>();
    for (const { decision } of this.#latest.values()) {
      for (let at: DecisionId | undefined = decision; at !== undefined && at !== this.root; at = this.#bodies.get(at)?.prev) {
        weight.set(at, (weight.get(at) ?? 0) + 1);
      }
    }
    return weight;
  }
}
