import { liarsAmong, type RobustRule } from './rule.ts';

/**
 * Coordinate-wise trimmed mean (Yin, Chen, Ramchandran, Bartlett, ICML 2018, arXiv:1803.01498): the f lowest and the f
 * highest values of a coordinate are left out, f = floor((K-1)/3). S = sum of the others, D = K - 2f.
 *
 * Breakdown: f rows. Every coordinate then lies within what honest rows hold there. Weights do not count, as with the median.
 */
export const trimmedMean: RobustRule = async (compute, { rows }) => {
  const trim = liarsAmong(rows.length);
  return { sum: await compute.trimmedSum(rows, trim), weightTotal: rows.length - 2 * trim };
};
