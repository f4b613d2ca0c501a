/** What must hold at every moment of every run. */
import type { Applied } from '../epoch/chain.ts';
import type { ArchiveSegment, BlockHash, ContentRoot, EntryId, Hex, StarlingError } from '../spec/index.ts';

/** What is looked at of a node. */
export interface Watched {
  readonly index: number;
  /** Whether its process runs and has read its disk. */
  readonly started: boolean;
  readonly fatal: StarlingError | undefined;
  readonly acknowledged: readonly EntryId[];
  readonly disk: {
    readonly entries: { has(id: EntryId): boolean };
    readonly blocks: { segments(): Iterable<Pick<ArchiveSegment, 'leaves'>> };
  };
  /** Not asked for unless `started`. */
  readonly up: { readonly ctx: { readonly chain: { readonly finalized: Applied; at(epoch: number): Applied | undefined } } };
}

/**
 * conflict: two blocks at one epoch. roots: one block, two trees, states or models. regress: a final epoch was taken back.
 * lost: an acknowledged entry is gone. unfinished: the swarm did not go on in time. stopped: an honest process gave up.
 */
export type ViolationKind = 'conflict' | 'roots' | 'regress' | 'lost' | 'unfinished' | 'stopped';

export interface Violation {
  readonly kind: ViolationKind;
  readonly node: number;
  readonly epoch: number;
  /** Virtual. */
  readonly atMs: number;
  readonly detail: string;
}

/** What the honest nodes agree on at an epoch, as the first of them to finalise it has it. */
export interface Agreed {
  readonly epoch: number;
  readonly block: BlockHash;
  readonly treeRoot: Hex;
  readonly stateRoot: Hex;
  readonly modelRoot: ContentRoot;
  /** Contributions and joins of its roster. */
  readonly roster: number;
  /** Index of that node. */
  readonly first: number;
}

/** Of one honest process: the newest final step seen so far. */
interface Seen {
  final: Applied | undefined;
  epoch: number;
  stopped: boolean;
}

const ROOTS = ['treeRoot', 'stateRoot', 'modelRoot'] as const;

/** Watches the honest nodes of a world. `observe` is called after every event; a violation is told once. */
export class Invariants {
  readonly violations: Violation[] = [];
  /** Index = epoch - 1. */
  readonly agreed: Agreed[] = [];
  readonly #honest: readonly Watched[];
  readonly #nowMs: () => number;
  readonly #seen = new Map<number, Seen>();

  constructor(honest: readonly Watched[], nowMs: () => number) {
    this.#honest = honest;
    this.#nowMs = nowMs;
    for (const { index } of honest) this.#seen.set(index, { final: undefined, epoch: 0, stopped: false });
  }

  /** The least of what the honest nodes have final, none for a process that is down; and the most of what any ever had. */
  get least(): number {
    return Math.min(...this.#honest.map((n) => (n.started ? n.up.ctx.chain.finalized.state.epoch : 0)));
  }

  get most(): number {
    return this.agreed.length;
  }

  observe(): void {
    for (const node of this.#honest) {
      const seen = this.#seen.get(node.index) as Seen;
      if (node.fatal !== undefined && !seen.stopped) {
        seen.stopped = true;
        this.#report('stopped', node, seen.epoch, `${node.fatal.code}: ${node.fatal.message}`);
      }
      if (!node.started) continue;
      const { finalized } = node.up.ctx.chain;
      if (finalized !== seen.final) this.#advance(node, seen, finalized);
    }
  }

  /** The node's disk is empty from now on: what it had final, it may have to learn again. */
  forget(node: Watched): void {
    const seen = this.#seen.get(node.index);
    if (seen !== undefined) Object.assign(seen, { final: undefined, epoch: 0 });
  }

  /** Entries that an honest user was told are safe, with the honest nodes that hold neither them nor, archived, their places. */
  lost(): Map<EntryId, Watched[]> {
    const held = this.#honest.map(({ disk }) => {
      const archived = new Set([...disk.blocks.segments()].flatMap(({ leaves }) => leaves.map(({ id }) => id)));
      return (id: EntryId): boolean => archived.has(id) || disk.entries.has(id);
    });
    const lost = new Map<EntryId, Watched[]>();
    for (const id of new Set(this.#honest.flatMap((n) => n.acknowledged))) {
      const without = this.#honest.filter((_, i) => held[i]?.(id) === false);
      if (without.length > 0) lost.set(id, without);
    }
    return lost;
  }

  reportLost(): void {
    for (const [id, without] of this.lost())
      for (const node of without.slice(0, 1)) this.#report('lost', node, this.most, `entry ${id} is not on ${without.length} honest nodes`);
  }

  reportUnfinished(withinMs: number, wanted: number): void {
    for (const node of this.#honest) {
      const epoch = node.started ? node.up.ctx.chain.finalized.state.epoch : 0;
      if (epoch < wanted) this.#report('unfinished', node, epoch, `epoch ${wanted} was not final within ${withinMs} ms`);
    }
  }

  #advance(node: Watched, seen: Seen, finalized: Applied): void {
    const { epoch } = finalized.state;
    if (epoch < seen.epoch) this.#report('regress', node, epoch, `epoch ${seen.epoch} was final here`);
    for (let n = Math.min(seen.epoch + 1, epoch); n <= epoch; n++) {
      const applied = node.up.ctx.chain.at(n);
      if (applied !== undefined && n > 0) this.#compare(node, applied);
    }
    seen.final = finalized;
    seen.epoch = epoch;
  }

  #compare(node: Watched, { id, state, stateRoot, body }: Applied): void {
    const { epoch, treeRoot, modelRoot } = state;
    const here = { epoch, block: id, treeRoot, stateRoot, modelRoot, roster: body?.roster.length ?? 0, first: node.index };
    const before = this.agreed[epoch - 1];
    if (before === undefined) this.agreed[epoch - 1] = here;
    else if (before.block !== id) this.#report('conflict', node, epoch, `block ${id}, on node ${before.first} ${before.block}`);
    else
      for (const root of ROOTS)
        if (before[root] !== here[root])
          this.#report('roots', node, epoch, `${root} ${here[root]}, on node ${before.first} ${before[root]}`);
  }

  #report(kind: ViolationKind, node: Watched, epoch: number, detail: string): void {
    this.violations.push({ kind, node: node.index, epoch, atMs: Math.round(this.#nowMs()), detail });
  }
}
