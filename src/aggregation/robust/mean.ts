import type { RobustRule } from './rule.ts';

/** S = sum W_i q_i, D = sum W_i (PROTOCOL section 6). Bears no liar: one row moves it as far as its weight reaches. */
export const mean: RobustRule = async (compute, { rows, weights }) => ({
  sum: await compute.weightedSum(rows, weights),
  weightTotal: weights.reduce((a, b) => a + b, 0),
});
