import type { RobustRule } from './rule.ts';

/**
 * Coordinate-wise median (Yin, Chen, Ramchandran, Bartlett, "Byzantine-robust distributed learning", ICML 2018,
 * arXiv:1803.01498). Odd K: S = the middle value, D = 1; even K: S = the sum of the middle two, D = 2.
 *
 * Breakdown: fewer than half of the rows; every coordinate then lies within what honest rows hold there. Weights do not
 * count: a row has one voice, since a sample count is a claim and a median is for those who do not believe claims.
 */
export const median: RobustRule = async (compute, { rows }) => ({
  sum: await compute.trimmedSum(rows, (rows.length - 1) >> 1),
  weightTotal: rows.length % 2 === 1 ? 1 : 2,
});
