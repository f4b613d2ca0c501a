import { type BlockHash, type DecisionBody, type DecisionId, type Fingerprint, holdsSeat, type SwarmState } from '../spec/index.ts';

/** The decisions that a node has applied, from genesis (epoch 0) to its head. */
export interface AppliedChain {
  readonly head: { readonly state: SwarmState };
  at(epoch: number): { readonly id: DecisionId; readonly state: SwarmState } | undefined;
}

/** What a fork choice says: everything applied up to `epoch` stays, and `next` follows it, oldest first. */
export interface Choice {
  readonly epoch: number;
  readonly next: readonly DecisionId[];
}

interface Latest {
  readonly seq: number;
  readonly decision: DecisionId;
}

/** A decision whose line to the root is known. `jump` is an ancestor: see `highest`. */
class Node {
  readonly id: DecisionId;
  readonly parent: Node;
  /** The root's epoch and the decisions since: the epoch of everything that can be applied. */
  readonly depth: number;
  readonly jump: Node;

  constructor(id: DecisionId, parent: Node | undefined, rootEpoch = 0) {
    this.id = id;
    this.parent = parent ?? this;
    this.depth = parent === undefined ? rootEpoch : parent.depth + 1;
    const far = parent?.jump;
    this.jump =
      parent === undefined || far === undefined ? this : parent.depth - far.depth === far.depth - far.jump.depth ? far.jump : parent;
  }
}

/** A seat's latest decision, and where its line leaves the applied chain: after `epoch`, with `branch`. */
interface Voice {
  readonly author: Fingerprint;
  readonly node: Node;
  readonly epoch: number;
  readonly branch: Node | undefined;
}

/** The members that hold a seat in a state. */
export const seatsOf = (state: SwarmState): Fingerprint[] => state.members.filter((m) => holdsSeat(m.nodeClass)).map((m) => m.fingerprint);

/**
 * The tree of provisional decisions over the newest final block, and its fork choice (PROTOCOL section 3): from the root take, among the
 * children, the one whose subtree holds the most seats (each counted by its latest decision), then the lower hash.
 * As GHOST (Sompolinsky and Zohar 2015) with one voice a seat. Seats are those of the decision that the children
 * stand on, so that every node that has applied it weighs alike; a child that no seat supports is never taken.
 */
export class DecisionTree {
  readonly root: BlockHash;
  readonly rootEpoch: number;
  readonly #bodies = new Map<DecisionId, DecisionBody>();
  readonly #children = new Map<DecisionId, DecisionId[]>();
  readonly #authors = new Map<DecisionId, Set<Fingerprint>>();
  readonly #latest = new Map<Fingerprint, Latest>();
  readonly #nodes = new Map<DecisionId, Node>();

  /** `root`: the block that everything in here stands on, of epoch `rootEpoch`. */
  constructor(root: BlockHash, rootEpoch = 0) {
    this.root = root;
    this.rootEpoch = rootEpoch;
    this.#nodes.set(root, new Node(root, undefined, rootEpoch));
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
      const parent = this.#nodes.get(body.prev);
      if (parent !== undefined) this.#attach(id, parent);
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

  /** Those of `seats` whose latest decision is `id` or stands on it. */
  supporters(id: DecisionId, seats: readonly Fingerprint[]): Fingerprint[] {
    const node = this.#nodes.get(id);
    if (node === undefined) return [];
    return seats.filter((seat) => {
      const latest = this.#latestOf(seat);
      return latest !== undefined && highest(latest, (n) => n.depth >= node.depth) === node;
    });
  }

  /**
   * Where the choice leaves what is applied, and at most `limit` decisions from there, none that `allowed` rules out.
   * What is applied stays unless a sibling is better. Beyond what is applied the seats of the last applied decision
   * stand in for those that are not known yet: ask again once `next[0]` is applied. Costs a search of logarithmic
   * length for each seat and decision of `next`, however long the chain is.
   */
  best(applied: AppliedChain, allowed: (id: DecisionId) => boolean = () => true, limit = Number.POSITIVE_INFINITY): Choice {
    const voices = this.#voices(applied);
    const branching = new Set(voices.flatMap((v) => (v.branch === undefined ? [] : [v.epoch])));
    for (const epoch of [...branching].sort((a, b) => a - b)) {
      const here = applied.at(epoch);
      if (here === undefined) continue;
      const kept = this.#nodes.get(applied.at(epoch + 1)?.id ?? '');
      const seats = new Set(seatsOf(here.state));
      const chosen = heaviest(
        voices.filter((v) => seats.has(v.author)),
        (v) => (v.epoch > epoch ? kept : v.epoch === epoch ? v.branch : undefined),
        (child) => child === kept?.id || allowed(child),
      );
      if (chosen !== undefined && chosen.child !== kept) return { epoch, next: ahead(chosen, allowed, limit) };
    }
    return { epoch: applied.head.state.epoch, next: [] };
  }

  /** The voices of the head's seats: members stay, so whoever held a seat before holds one at the head. */
  #voices(applied: AppliedChain): Voice[] {
    return seatsOf(applied.head.state).flatMap((author) => {
      const node = this.#latestOf(author);
      if (node === undefined) return [];
      const branch = highest(node, (n) => applied.at(n.depth)?.id !== n.id);
      return [{ author, node, branch, epoch: (branch?.parent ?? node).depth }];
    });
  }

  #latestOf(author: Fingerprint): Node | undefined {
    return this.#nodes.get(this.#latest.get(author)?.decision ?? '');
  }

  /** Gives a decision its place, and with it those that waited for it. */
  #attach(id: DecisionId, parent: Node): void {
    const open: [DecisionId, Node][] = [[id, parent]];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const node = new Node(...next);
      this.#nodes.set(node.id, node);
      for (const child of this.children(node.id)) open.push([child, node]);
    }
  }
}

/** A child with the voices in its subtree. */
interface Camp {
  readonly child: Node;
  readonly voices: readonly Voice[];
}

/** The heaviest child by voices, then the lower hash; undefined where no voice speaks for an allowed one. */
function heaviest(
  voices: readonly Voice[],
  childOf: (voice: Voice) => Node | undefined,
  allowed: (id: DecisionId) => boolean,
): Camp | undefined {
  const camps = new Map<Node, Voice[]>();
  for (const voice of voices) {
    const child = childOf(voice);
    if (child === undefined) continue;
    const behind = camps.get(child);
    if (behind === undefined) camps.set(child, [voice]);
    else behind.push(voice);
  }
  let best: Camp | undefined;
  for (const [child, behind] of camps) {
    if (!allowed(child.id)) continue;
    const more = behind.length - (best?.voices.length ?? 0);
    if (best === undefined || more > 0 || (more === 0 && child.id < best.child.id)) best = { child, voices: behind };
  }
  return best;
}

function ahead(from: Camp, allowed: (id: DecisionId) => boolean, limit: number): DecisionId[] {
  const path: DecisionId[] = [];
  for (let at: Camp | undefined = from; at !== undefined && path.length < limit; ) {
    const { depth } = at.child;
    path.push(at.child.id);
    at = heaviest(at.voices, (v) => highest(v.node, (n) => n.depth > depth), allowed);
  }
  return path;
}

/**
 * The ancestor nearest to the root, the node itself included, up to which `holds` holds along the whole line;
 * undefined where it does not hold for the node. `holds` must not hold again above where it ceased to. Takes a
 * logarithmic number of steps: jump pointers in skew-binary lengths (Myers 1983, An applicative random-access stack).
 */
function highest(node: Node, holds: (node: Node) => boolean): Node | undefined {
  if (!holds(node)) return undefined;
  for (let at = node; ; ) {
    const up = holds(at.jump) ? at.jump : holds(at.parent) ? at.parent : at;
    if (up === at) return at;
    at = up;
  }
}
