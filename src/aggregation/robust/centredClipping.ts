import { WEIGHT_TOTAL } from '../../spec/index.ts';
import { centreOf, integerRoot, lowerMedian, startOf } from './centre.ts';
import { distancesFrom } from './distances.ts';
import type { Aggregated, RobustRule } from './rule.ts';

/** Steps. Karimireddy et al. find one to three enough, from a start that is not far off. */
const STEPS = 3;

/** Fixed point of tau / distance. */
const ONE = 1n << 32n;

/**
 * Centred clipping (Karimireddy, He, Jaggi, "Learning from history for Byzantine robust optimization", ICML 2021,
 * arXiv:2012.10333): v <- v + sum W_i / W min(1, tau / |q_i - v|) (q_i - v), three times. Unlike the paper's it keeps
 * nothing between epochs: v starts at the coordinate median, and tau is the median distance of the rows from v.
 *
 * With c_i = floor(65,536 W_i / W min(1, tau / distance)) and c_0 = 65,536 - sum c_i: S = c_0 v + sum c_i q_i,
 * D = 65,536, v rounded to whole numbers. Breakdown: fewer than half of the rows, which settle the start and tau; a liar
 * then moves v by at most its share of the weight times tau in a step.
 */
export const centredClipping: RobustRule = async (compute, input) => {
  const { rows, weights } = input;
  const total = BigInt(weights.reduce((a, b) => a + b, 0));
  let centre = await startOf(compute, input);
  let aggregated: Aggregated | undefined;
  for (let step = 0; step < STEPS; step++) {
    const distances = await distancesFrom(compute, centre, input);
    const tau = lowerMedian(distances);
    const shares = distances.map((distance, i) => {
      const kept = distance <= tau ? ONE : integerRoot((tau * ONE * ONE) / distance);
      return Number((BigInt(weights[i] as number) * BigInt(WEIGHT_TOTAL) * kept) / (total * ONE));
    });
    const rest = WEIGHT_TOTAL - shares.reduce((a, b) => a + b, 0);
    aggregated = { sum: await compute.weightedSum([...rows, centre], [...shares, rest]), weightTotal: WEIGHT_TOTAL };
    centre = await centreOf(compute, aggregated, centre);
  }
  return aggregated as Aggregated;
};
