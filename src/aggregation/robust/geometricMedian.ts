import { WEIGHT_TOTAL } from '../../spec/index.ts';
import { centreOf, integerRoot, lowerMedian, startOf } from './centre.ts';
import { distancesFrom } from './distances.ts';
import type { Aggregated, RobustRule } from './rule.ts';

/** Steps. Pillutla et al. take 3 from the mean; 8 from the coordinate median come within a thousandth of the least sum (held by tests). */
const STEPS = 8;

/** Bits of a row's share, beyond those of its weight. */
const SHARE_BITS = 32n;

/** A distance counts as at least 2^-8 of the median one: a row that the point meets does not hold it there. Bits of its square. */
const FLOOR_BITS = 16n;

/**
 * Geometric median, the point v of the least sum W_i |q_i - v|, by smoothed Weiszfeld steps (Pillutla, Kakade, Harchaoui,
 * "Robust aggregation for federated learning", IEEE TSP 2022, arXiv:1912.13445): v <- sum c_i q_i / sum c_i with c_i
 * proportional to W_i / |q_i - v|, eight times from the coordinate median.
 *
 * c_i is W_i / |q_i - v| in fixed point, rounded down so that they add up to at most 65,536; v is rounded to whole numbers
 * between steps. S = sum c_i q_i, D = sum c_i of the last one. Breakdown: fewer than half of the weight (and of the rows,
 * which settle the start).
 */
export const geometricMedian: RobustRule = async (compute, input) => {
  const { rows, weights } = input;
  let centre = await startOf(compute, input);
  let aggregated: Aggregated | undefined;
  for (let step = 0; step < STEPS; step++) {
    const distances = await distancesFrom(compute, centre, input);
    const floor = (lowerMedian(distances) >> FLOOR_BITS) + 1n;
    const largest = distances.reduce((a, b) => (a > b ? a : b), floor);
    const shares = distances.map((distance, i) => {
      const inverse = integerRoot((largest << (2n * SHARE_BITS)) / (distance > floor ? distance : floor));
      return BigInt(weights[i] as number) * inverse;
    });
    const total = shares.reduce((a, b) => a + b, 0n);
    const counted = shares.map((share) => Number((share * BigInt(WEIGHT_TOTAL)) / total));
    aggregated = { sum: await compute.weightedSum(rows, counted), weightTotal: counted.reduce((a, b) => a + b, 0) };
    centre = await centreOf(compute, aggregated, centre);
  }
  return aggregated as Aggregated;
};
