import { type Fingerprint, LINK_EXPONENT_MAX } from '../../spec/index.ts';

/** What it takes to send over a link, in whole units (such as microseconds a chunk), the same both ways. */
export type LinkCost = (a: Fingerprint, b: Fingerprint) => number;

/** What a member says of its links (`ContributionBody.links`). */
export interface LinkClaim {
  readonly author: Fingerprint;
  readonly links: readonly number[];
}

/** A link of which not both ends have told is as far as none that was measured. */
const UNKNOWN_EXPONENT = LINK_EXPONENT_MAX + 1;

/**
 * Costs of the links between those who claim, as all derive them from the same claims: the larger of what its two ends say, so that nobody
 * comes nearer to another than that one has measured. `members`: those whom places in a claim stand for. Undefined where nothing tells
 * one link from another.
 */
export function claimedCosts(members: readonly Fingerprint[], claims: readonly LinkClaim[]): LinkCost | undefined {
  const placeOf = new Map(members.map((member, place) => [member, place]));
  const places = claims.map(({ author }) => placeOf.get(author) ?? -1);
  const n = claims.length;
  const exponents = new Uint8Array(n * n).fill(UNKNOWN_EXPONENT);
  for (const [i, { links }] of claims.entries()) {
    for (let j = 0; j < i; j++) {
      const one = links[places[j] as number] ?? 0;
      const other = (claims[j] as LinkClaim).links[places[i] as number] ?? 0;
      if (one > 0 && other > 0) exponents[i * n + j] = exponents[j * n + i] = Math.max(one, other);
    }
  }
  const least = exponents.reduce((a, b, at) => (at % (n + 1) === 0 ? a : Math.min(a, b)), UNKNOWN_EXPONENT);
  if (exponents.every((exponent, at) => exponent === least || at % (n + 1) === 0)) return undefined;
  const rowOf = new Map(claims.map(({ author }, i) => [author, i]));
  return (a, b) => {
    const [i, j] = [rowOf.get(a), rowOf.get(b)];
    return 2 ** (i === undefined || j === undefined ? UNKNOWN_EXPONENT : (exponents[i * n + j] as number));
  };
}

/**
 * The order in which those that are near each other stand together: for every bound, those who are joined by links within it are neighbours
 * in rank. In such a group, and among groups, the order is `ranked`'s. So a ring leaves each site once, and the first dimensions of a
 * grid, whose lines are neighbours in rank, stay inside.
 *
 * Clusters (single linkage; Gower and Ross 1969), not the shortest ring: in a shortest ring, whoever claims to be far from all but one stands beside that
 * one. Here a claim chooses a group, and the beacon the places in it.
 *
 * A measurement is local and an order must be everyone's: `cost` MUST be part of what q voters sign for the attempt.
 */
export function localOrder(ranked: readonly Fingerprint[], cost: LinkCost): Fingerprint[] {
  const n = ranked.length;
  const pairs = new Map<number, number[]>();
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const at = cost(ranked[i] as Fingerprint, ranked[j] as Fingerprint);
      const alike = pairs.get(at);
      if (alike === undefined) pairs.set(at, [i * n + j]);
      else alike.push(i * n + j);
    }
  }
  const parent = Int32Array.from({ length: n }, (_, i) => i);
  const rootOf = (i: number): number => {
    let root = i;
    while (parent[root] !== root) root = parent[root] as number;
    parent[i] = root;
    return root;
  };
  let groups = Array.from({ length: n }, (_, i) => [i]);
  for (const [, alike] of [...pairs].sort(([a], [b]) => a - b)) {
    for (const pair of alike) {
      parent[rootOf(pair % n)] = rootOf(Math.floor(pair / n));
    }
    // Groups stand in the order of their first ranks, and so do those that they become.
    const merged = new Map<number, number[]>();
    for (const group of groups) {
      const root = rootOf(group[0] as number);
      merged.set(root, [...(merged.get(root) ?? []), ...group]);
    }
    groups = [...merged.values()];
    if (groups.length === 1) break;
  }
  return groups.flat().map((rank) => ranked[rank] as Fingerprint);
}

/**
 * Sides of a grid in the order whose steps cost least over all links: dimensions stay inside sites where a product of sides is as long as a
 * site. The first of those that are alike, as `sides` stands. A sum, not the farthest link of each step: whoever is far from everybody is
 * in all dimensions, and adds the same to every order.
 */
export function localSides(sides: readonly number[], order: readonly Fingerprint[], cost: LinkCost): readonly number[] {
  const core = sides.reduce((product, side) => product * side, 1);
  const known = new Map<string, number>();
  const along = (stride: number, side: number): number => {
    const before = known.get(`${stride} ${side}`);
    if (before !== undefined) return before;
    let sum = 0;
    for (let rank = 0; rank < core; rank++) {
      const at = Math.floor(rank / stride) % side;
      const next = rank + (((at + 1) % side) - at) * stride;
      sum += cost(order[rank] as Fingerprint, order[next] as Fingerprint);
    }
    known.set(`${stride} ${side}`, sum);
    return sum;
  };
  let best = { sides, cost: Number.POSITIVE_INFINITY };
  const extend = (chosen: readonly number[], left: readonly number[], stride: number, spent: number): void => {
    if (spent >= best.cost) return;
    if (left.length === 0) best = { sides: chosen, cost: spent };
    for (const side of new Set(left))
      extend([...chosen, side], left.toSpliced(left.indexOf(side), 1), stride * side, spent + (side - 1) * along(stride, side));
  };
  extend([], sides, 1, 0);
  return best.sides;
}
