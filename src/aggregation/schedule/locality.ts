import type { Fingerprint } from '../../spec/index.ts';

/** What it takes to send over a link, in whole units (such as microseconds a chunk), the same both ways. */
export type LinkCost = (a: Fingerprint, b: Fingerprint) => number;

/** Rounds of improvement: each looks at every pair of links once. */
const ROUNDS = 8;

/**
 * The order in which neighbours are near each other: from the first rank on always to the nearest left, ties to the lower rank, then
 * pairs of links are exchanged while that shortens the ring (2-opt, Croes 1958). Lines of a grid's first dimensions, which carry the
 * most bytes, are neighbours in rank, so it serves them too.
 *
 * A measurement is local and an order must be everyone's: `cost` MUST be part of what q voters sign for the attempt. Where no costs are
 * signed, the beacon's order stands: it is what keeps members from choosing their neighbours.
 */
export function localOrder(ranked: readonly Fingerprint[], cost: LinkCost): Fingerprint[] {
  const [first, ...left] = ranked;
  if (first === undefined) return [];
  const order = [first];
  while (left.length > 0) {
    const last = order.at(-1) as Fingerprint;
    let nearest = 0;
    for (let i = 1; i < left.length; i++) if (cost(last, left[i] as Fingerprint) < cost(last, left[nearest] as Fingerprint)) nearest = i;
    order.push(...left.splice(nearest, 1));
  }
  for (let round = 0; round < ROUNDS && shorten(order, cost); round++);
  return order;
}

/** Turns stretches of the ring around wherever its two ends become cheaper. True if any did. */
function shorten(order: Fingerprint[], cost: LinkCost): boolean {
  const n = order.length;
  const at = (i: number): Fingerprint => order[i % n] as Fingerprint;
  let changed = false;
  for (let i = 0; i < n - 2; i++) {
    for (let j = i + 2; j < n - (i === 0 ? 1 : 0); j++) {
      const before = cost(at(i), at(i + 1)) + cost(at(j), at(j + 1));
      if (cost(at(i), at(j)) + cost(at(i + 1), at(j + 1)) >= before) continue;
      order.splice(i + 1, j - i, ...order.slice(i + 1, j + 1).reverse());
      changed = true;
    }
  }
  return changed;
}
