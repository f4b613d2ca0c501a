import type { IntRow } from '../../src/compute/api.ts';
import { MAX_TOTAL_WEIGHT } from '../../src/compute/inputs.ts';

/** One input of `weightedSum`. */
export interface SumCase {
  readonly rows: readonly IntRow[];
  readonly weights: readonly number[];
}

/** Integers below a bound, the same from one seed: mulberry32. */
export function integers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/**
 * Sums of 1..64 nodes of int8 and int16 in turn, with values at their extremes and weights up to the whole budget,
 * one of them nearly all of it in every fourth case. Every tenth case has a length at the edge of a bucket.
 */
export function* exactSumCases(count: number, seed: number): Generator<SumCase> {
  const below = integers(seed);
  for (let i = 0; i < count; i++) {
    const nodes = 1 + below(64);
    const length = i % 10 === 9 ? 4_095 + below(3) : 1 + below(300);
    const [Type, min, max] = i % 2 === 0 ? ([Int16Array, -32_767, 32_767] as const) : ([Int8Array, -128, 127] as const);
    const value = [() => min + below(max - min + 1), () => (below(2) === 0 ? min : max), () => max, () => min][below(4)] as () => number;
    const rows = Array.from({ length: nodes }, () => new Type(length).map(value));
    yield { rows, weights: i % 4 === 0 ? oneHeavy(nodes, below) : shared(nodes, below) };
  }
}

/** 65,535 for one node, 1 for another, 0 for the rest. */
function oneHeavy(nodes: number, below: (n: number) => number): number[] {
  const weights = new Array<number>(nodes).fill(0);
  const heavy = below(nodes);
  weights[heavy] = MAX_TOTAL_WEIGHT - 1;
  if (nodes > 1) weights[(heavy + 1) % nodes] = 1;
  return weights;
}

/** The whole budget, cut at random. */
function shared(nodes: number, below: (n: number) => number): number[] {
  const cuts = Array.from({ length: nodes - 1 }, () => below(MAX_TOTAL_WEIGHT + 1)).sort((a, b) => a - b);
  return [...cuts, MAX_TOTAL_WEIGHT].map((cut, i) => cut - (cuts[i - 1] ?? 0));
}

/** The same sum with its terms in another order. */
export function shuffled({ rows, weights }: SumCase, seed: number): SumCase {
  const below = integers(seed);
  const order = rows.map((_, j) => j);
  for (let j = order.length - 1; j > 0; j--) {
    const other = below(j + 1);
    [order[j], order[other]] = [order[other] as number, order[j] as number];
  }
  return { rows: order.map((j) => rows[j] as IntRow), weights: order.map((j) => weights[j] as number) };
}
