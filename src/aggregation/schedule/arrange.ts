import type { Fingerprint } from '../../spec/index.ts';
import { type Grid, gridEdges, gridOf, ringOf } from './grid.ts';
import { type LinkCost, localOrder, localSides } from './locality.ts';
import { rankOrder } from './rank.ts';

/** Members up to which one ring serves: beyond it, the steps of a ring take longer than its bytes (PROTOCOL section 6). */
export const RING_MAX_MEMBERS = 16;
/** Orders tried before a member with failed links is moved out of the core. */
const ORDERS = 32;
/** Of these the first go by nearness, where costs are signed: a site of two whose link failed is parted by none of them. */
const NEAR_ORDERS = 16;

export interface Arrangement {
  /** By rank. */
  readonly order: readonly Fingerprint[];
  readonly grid: Grid;
  /** Members that no link is left to: they take no part. */
  readonly stranded: readonly Fingerprint[];
}

/** A link that failed, in either direction. */
export type BrokenLink = readonly [Fingerprint, Fingerprint];

export interface ArrangeInput {
  readonly beacon: Uint8Array;
  readonly attempt: number;
  readonly members: readonly Fingerprint[];
  readonly broken: readonly BrokenLink[];
  /** ring or grid, whatever the number of members; by their number where it is left out. */
  readonly shape?: 'ring' | 'grid';
  /** Signed with the attempt, if at all: neighbours in rank are then near each other (locality.ts). */
  readonly cost?: LinkCost;
}

/**
 * Ranks and grid for an attempt, such that nothing goes over a link that failed: the first of some orders by the beacon that avoids
 * them; where none does, the member with most failed links becomes a leaf of those it still reaches, and so on down to a star.
 * A pure function of what q voters sign for the attempt: every member finds the same.
 */
export function arrange({ beacon, attempt, members, broken, shape, cost }: ArrangeInput): Arrangement {
  const failed = new Set(broken.flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]));
  const fails = (a: Fingerprint, b: Fingerprint): boolean => failed.has(`${a} ${b}`);
  let core = rankOrder(beacon, attempt, members);
  const outside: Fingerprint[] = [];
  for (;;) {
    for (let i = 0; i < ORDERS; i++) {
      const ranked = i === 0 ? core : rankOrder(beacon, attempt + i * 2 ** 32, core);
      const near = i < NEAR_ORDERS ? cost : undefined;
      const order = near === undefined ? ranked : localOrder(ranked, near);
      const isGrid = shape === undefined ? order.length > RING_MAX_MEMBERS : shape === 'grid';
      const plain = isGrid ? gridOf(order.length) : ringOf(order.length);
      const grid = near === undefined ? plain : { ...plain, sides: localSides(plain.sides, order, near) };
      const isFree = gridEdges(grid).every(([a, b]) => !fails(order[a] as Fingerprint, order[b] as Fingerprint));
      if (isFree || order.length <= 1) return withLeaves(order, grid, outside, fails);
    }
    const failures = (member: Fingerprint): number => core.filter((other) => fails(member, other)).length;
    const worst = core.reduce((a, b) => (failures(b) >= failures(a) ? b : a));
    core = core.filter((member) => member !== worst);
    outside.push(worst);
  }
}

/** Members outside join as leaves of core members they reach: the first few, by rank. */
function withLeaves(
  order: readonly Fingerprint[],
  grid: Grid,
  outside: readonly Fingerprint[],
  fails: (a: Fingerprint, b: Fingerprint) => boolean,
): Arrangement {
  const core = grid.sides.reduce((product, side) => product * side, 1);
  const reached = outside.map((leaf) => order.slice(0, core).flatMap((partner, rank) => (fails(leaf, partner) ? [] : [rank])));
  const joined = outside.filter((_, i) => (reached[i] as number[]).length > 0);
  const leaves = reached.filter((ranks) => ranks.length > 0).map((ranks) => ranks.slice(0, RING_MAX_MEMBERS));
  return {
    order: [...order, ...joined],
    grid: { sides: grid.sides, leaves: [...grid.leaves, ...leaves] },
    stranded: outside.filter((member) => !joined.includes(member)),
  };
}
