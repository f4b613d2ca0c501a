/**
 * Rings of rings. The core of a swarm stands in a grid; a reduce-scatter runs along the first dimension over everything, along
 * the next over the part that is left to each, and so on, then the all-gathers in reverse. A ring is a grid of one dimension, and
 * sides of two are recursive halving (Rabenseifner 2004). Every summand counts once: along each dimension the members of a line
 * hold sums over disjoint sets. Bytes a member: 2 (N-1)/N of the row whatever the sides; steps: 2 sum (side - 1).
 */
import {
  checkSummands,
  encodingOf,
  type Plan,
  partOf,
  type Range,
  type Rank,
  type Summands,
  type Transfer,
  totalEncoding,
} from './plan.ts';

export interface Grid {
  /** Members of the core are ranks 0 .. product - 1, the first side fastest: lines of the first dimension are neighbours in rank. */
  readonly sides: readonly number[];
  /** For each rank beyond the core: the core's ranks that take its row in, a part each, and give it the sum of that part. */
  readonly leaves: readonly (readonly Rank[])[];
}

/** Sides of a grid are at most this long: 7-smooth numbers are dense: the core has at least nine tenths of 17 to 10,000 members. */
const SIDES = [2, 3, 5, 7] as const;
/** Partners of a leaf at most: each carries this part of a row more, and the leaf keeps that many streams. */
const MAX_PARTNERS = 16;

export const ringOf = (members: number): Grid => ({ sides: members > 1 ? [members] : [], leaves: [] });

/**
 * The grid for that many members: the core is the largest number that is a product of 2, 3, 5 and 7; the others become leaves,
 * each folded into partners of its own, so that no core member serves two.
 */
export function gridOf(members: number): Grid {
  let core = Math.max(1, members);
  while (sidesOf(core) === undefined) core--;
  const count = members - core;
  const partners = Math.min(MAX_PARTNERS, Math.floor(core / Math.max(1, count)));
  const leaves = Array.from({ length: Math.max(0, count) }, (_, leaf) => Array.from({ length: partners }, (_, i) => leaf * partners + i));
  return { sides: sidesOf(core) as readonly number[], leaves };
}

/** Prime factors, the least first: half of every row then makes its first hop in the width of its type. None if one is above 7. */
function sidesOf(n: number): readonly number[] | undefined {
  const sides: number[] = [];
  for (const side of SIDES) for (; n % side === 0; n /= side) sides.push(side);
  return n === 1 ? sides : undefined;
}

/** Steps of the whole schedule. */
const gridSteps = ({ sides, leaves }: Grid): number => 2 * sides.reduce((sum, side) => sum + side - 1, 0) + (leaves.length > 0 ? 2 : 0);

/** Pairs of ranks that exchange something, each direction that is used. */
export function gridEdges(grid: Grid): (readonly [from: Rank, to: Rank])[] {
  const core = coreOf(grid);
  const edges = grid.leaves.flatMap((partners, i) => partners.map((partner) => [core + i, partner] as const));
  let stride = 1;
  for (const side of grid.sides) {
    for (let rank = 0; rank < core; rank++) {
      const at = Math.floor(rank / stride) % side;
      edges.push([rank, rank + (((at + 1) % side) - at) * stride]);
    }
    stride *= side;
  }
  return edges;
}

/** What `rank` sends and receives. Throws MALFORMED or BOUNDS_EXCEEDED for summands that cannot be scheduled. */
export function gridPlan(grid: Grid, rank: Rank, summands: Summands): Plan {
  checkSummands(summands);
  const steps = gridSteps(grid);
  const core = coreOf(grid);
  const transfers = rank < core ? coreTransfers(grid, rank, summands) : leafTransfers(grid, rank, summands);
  const kept = transfers.filter(({ start, end }) => end > start).sort((a, b) => a.step - b.step);
  return {
    rank,
    steps,
    sends: kept.filter(({ from }) => from === rank),
    receives: kept.filter(({ to }) => to === rank),
  };
}

const coreOf = ({ sides }: Grid): number => sides.reduce((product, side) => product * side, 1);

/** A leaf gives each partner a part of its row first, and gets the sum of that part last. */
function leafTransfers(grid: Grid, leaf: Rank, summands: Summands): Transfer[] {
  const partners = grid.leaves[leaf - coreOf(grid)] ?? [];
  const steps = gridSteps(grid);
  return partners.flatMap((partner, i): Transfer[] => {
    const part = partOf({ start: 0, end: summands.elements }, partners.length, i);
    return [
      { step: 0, phase: 'fold', from: leaf, to: partner, ...part, mode: 'add', encoding: encodingOf([leaf], summands) },
      { step: steps - 1, phase: 'unfold', from: partner, to: leaf, ...part, mode: 'set', encoding: totalEncoding(summands) },
    ];
  });
}

function coreTransfers(grid: Grid, rank: Rank, summands: Summands): Transfer[] {
  const { sides, leaves } = grid;
  const core = coreOf(grid);
  const transfers = leaves.flatMap((partners, i) =>
    partners.includes(rank) ? leafTransfers(grid, core + i, summands).filter((t) => t.from === rank || t.to === rank) : [],
  );
  const total = totalEncoding(summands);
  let step = leaves.length > 0 ? 1 : 0;
  let stride = 1;
  let owned: Range = { start: 0, end: summands.elements };
  const lines: { readonly side: number; readonly at: number; readonly next: Rank; readonly prev: Rank; readonly range: Range }[] = [];
  for (const side of sides) {
    const at = Math.floor(rank / stride) % side;
    const along = (by: number): Rank => rank + (((at + by + side) % side) - at) * stride;
    const line = { side, at, next: along(1), prev: along(-1), range: owned };
    lines.push(line);
    const move = (from: Rank, to: Rank, segment: number, behind: number): Transfer => ({
      step,
      phase: 'reduceScatter',
      from,
      to,
      ...partOf(line.range, side, (segment + side) % side),
      mode: 'add',
      encoding: encodingOf(contributors(grid, from, stride, side, behind), summands),
    });
    for (let t = 0; t < side - 1; t++, step++) transfers.push(move(rank, line.next, at - t, t), move(line.prev, rank, at - 1 - t, t));
    owned = partOf(owned, side, (at + 1) % side);
    stride *= side;
  }
  for (const { side, at, next, prev, range } of lines.reverse()) {
    const move = (from: Rank, to: Rank, segment: number): Transfer => ({
      step,
      phase: 'allGather',
      from,
      to,
      ...partOf(range, side, (segment + side) % side),
      mode: 'set',
      encoding: total,
    });
    for (let t = 0; t < side - 1; t++, step++) transfers.push(move(rank, next, at + 1 - t), move(prev, rank, at - t));
  }
  return transfers;
}

/**
 * Whose rows are in what `rank` sends along a dimension: of the `behind` + 1 members of its line up to itself, all that their
 * earlier lines hold, and their leaves. (A leaf gives each partner a part only; counting it for all is a bound all the same.)
 */
function contributors(grid: Grid, rank: Rank, stride: number, side: number, behind: number): Rank[] {
  const core = coreOf(grid);
  const at = Math.floor(rank / stride) % side;
  const plane = Math.floor(rank / (stride * side)) * stride * side;
  const found: Rank[] = [];
  for (let back = 0; back <= behind; back++) {
    const first = plane + ((at - back + side) % side) * stride;
    for (let other = first; other < first + stride; other++) found.push(other);
  }
  const inside = new Set(found);
  grid.leaves.forEach((partners, i) => {
    if (partners.some((partner) => inside.has(partner))) found.push(core + i);
  });
  return found;
}
