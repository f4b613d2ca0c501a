/** Sorting and selection networks: lists of comparators, each of which leaves the smaller value on its first wire. */

/** Wires a < b. */
export type Comparator = readonly [a: number, b: number];

/**
 * Batcher's odd-even mergesort for any number of wires (K. Batcher, "Sorting networks and their applications", AFIPS
 * 1968; iterative form of Knuth, TAOCP volume 3, algorithm 5.2.2M): about n log2(n)^2 / 4 comparators, 543 for 64 wires.
 */
export function sortingNetwork(wires: number): Comparator[] {
  const network: Comparator[] = [];
  for (let p = 1; p < wires; p *= 2) {
    for (let k = p; k >= 1; k /= 2) {
      for (let j = k % p; j + k < wires; j += 2 * k) {
        for (let a = j; a < Math.min(j + k, wires - k); a++) {
          if (Math.floor(a / (2 * p)) === Math.floor((a + k) / (2 * p))) network.push([a, a + k]);
        }
      }
    }
  }
  return network;
}

/** A comparator of a selection: a value that nobody reads is not computed. */
export interface Selecting {
  readonly wires: Comparator;
  readonly min: boolean;
  readonly max: boolean;
}

/**
 * What is left of the sorting network where only this matters: which values end on the wires trim..wires-trim-1, in any
 * order. Seen from the end, a comparator of two wires that are both kept, or both dropped, changes nothing.
 */
export function selectionNetwork(wires: number, trim: number): Selecting[] {
  const fate: ('kept' | 'dropped' | 'ordered')[] = Array.from({ length: wires }, (_, i) =>
    i < trim || i >= wires - trim ? 'dropped' : 'kept',
  );
  const selection: Selecting[] = [];
  for (const [a, b] of sortingNetwork(wires).reverse()) {
    if (fate[a] === fate[b] && fate[a] !== 'ordered') continue;
    selection.push({ wires: [a, b], min: fate[a] !== 'dropped', max: fate[b] !== 'dropped' });
    fate[a] = fate[b] = 'ordered';
  }
  return selection.reverse();
}
