import fc from 'fast-check';
import type { WeighedRows } from '../../../../src/aggregation/index.ts';
import type { IntRow } from '../../../../src/compute/api.ts';
import { integers } from '../../../support/exactSums.ts';
import { cases } from '../rows.ts';

/** 1..9 rows of int8 or int16 over several scales, each with a weight of 1..7,000. */
export const weighed: fc.Arbitrary<WeighedRows> = cases.chain((c) =>
  fc
    .array(fc.integer({ min: 1, max: 7_000 }), { minLength: c.rows.length, maxLength: c.rows.length })
    .map((weights) => ({ ...c, weights })),
);

/** Rows of one scale and equal weights. */
export const plainInput = (rows: readonly IntRow[], weight = 100): WeighedRows => ({
  rows,
  weights: rows.map(() => weight),
  spans: [{ name: 'a', start: 0, end: (rows[0] as IntRow).length }],
  exponents: [0],
});

/** The same rows in another order. */
export function reordered(input: WeighedRows, seed: number): WeighedRows {
  const below = integers(seed);
  const order = input.rows.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const other = below(i + 1);
    [order[i], order[other]] = [order[other] as number, order[i] as number];
  }
  return { ...input, rows: order.map((i) => input.rows[i] as IntRow), weights: order.map((i) => input.weights[i] as number) };
}

/** Honest rows: `centre` and noise of +-`spread` in each of `length` elements. */
export function honestRows(count: number, length: number, centre: (k: number) => number, spread: number, seed: number): Int16Array[] {
  const below = integers(seed);
  return Array.from({ length: count }, () => Int16Array.from({ length }, (_, k) => centre(k) + below(2 * spread + 1) - spread));
}
