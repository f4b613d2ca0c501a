import { faultsOf, quorumOf } from '../../consensus/index.ts';
import { Random } from '../../learning/random.ts';

export const LIAR_KINDS = ['silent', 'equivocator', 'withholder', 'stale', 'amplifier', 'splitter'] as const;
export type LiarKind = (typeof LIAR_KINDS)[number];

/** Heights of one run; faults come in those up to the half. */
const HEIGHTS = 20;
const SIZES = [4, 7, 10] as const;
/** Faults of a run: at most so many. */
const MAX_FAULTS = 12;
const FAULT_KINDS = ['part', 'edge', 'isolate', 'crash', 'crashUnsent', 'crashAll', 'lossy'] as const;

/**
 * Something goes wrong in a height: when the first honest node enters it, when the first locks a block, or when the first
 * decides. part: two random sides. edge: one side has q voters, or one less. isolate: that node is cut off. crash: that
 * node loses its memory; crashUnsent: between saving its next vote and sending it. crashAll: all of them do. lossy: half of
 * what is sent is lost.
 */
export interface Fault {
  readonly height: number;
  readonly when: 'entered' | 'locked' | 'decided';
  readonly afterMs: number;
  readonly lengthMs: number;
  readonly kind: (typeof FAULT_KINDS)[number];
}

/** One run: all that is drawn before it starts. */
export interface VotesPlan {
  readonly seed: number;
  readonly nodes: number;
  readonly heights: number;
  /** By index. */
  readonly liars: ReadonlyMap<number, LiarKind>;
  readonly faults: readonly Fault[];
  /** Share of messages lost, and delivered twice, for as long as there are faults. */
  readonly loss: number;
  readonly duplicates: number;
  /** Ms. Mean of the exponential delay of a message; one in fifty takes ten times as long. */
  readonly delayMs: number;
  /** Share of the heights in which the nodes do not offer the same block. */
  readonly discord: number;
}

/** Half of the runs have f liars, for each seed the same. `over` replaces what a test wants otherwise. */
export function votesPlan(seed: number, over: Partial<VotesPlan> = {}): VotesPlan {
  const random = Random.from('votes', seed);
  const nodes = over.nodes ?? (SIZES[seed % SIZES.length] as number);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  const liars = new Map<number, LiarKind>();
  const isCalm = random.uniform() < 0.3;
  if (random.uniform() < 0.5) {
    const kind = random.uniform() < 0.5 ? pick(LIAR_KINDS) : undefined;
    for (const index of random.permutation(nodes).slice(0, faultsOf(nodes))) liars.set(index, kind ?? pick(LIAR_KINDS));
  }
  const faults = Array.from({ length: isCalm ? 0 : 1 + random.below(MAX_FAULTS) }, (): Fault => {
    const height = 1 + random.below(HEIGHTS / 2);
    const when = pick(['entered', 'locked', 'decided'] as const);
    const afterMs = random.uniform() < 0.5 ? 0 : random.uniform() * 200;
    return { height, when, afterMs, lengthMs: 100 + random.uniform() ** 2 * 6_000, kind: pick(FAULT_KINDS) };
  });
  return {
    seed,
    nodes,
    heights: HEIGHTS,
    liars,
    faults,
    loss: isCalm ? 0.01 : pick([0, 0.05, 0.2]),
    duplicates: pick([0, 0.1]),
    delayMs: pick([2, 10, 40]),
    discord: pick([0, 0.2, 1]),
    ...over,
  };
}

/** The two sides of a partition, as the side of each node. */
export function sidesOf(fault: Fault, node: number, nodes: number, random: Random): readonly number[] {
  const sides = new Array<number>(nodes).fill(0);
  if (fault.kind === 'isolate') {
    sides[node] = 1;
    return sides;
  }
  const size = fault.kind === 'edge' ? quorumOf(nodes) - random.below(2) : 1 + random.below(nodes - 1);
  for (const index of random.permutation(nodes).slice(size)) sides[index] = 1;
  return sides;
}
