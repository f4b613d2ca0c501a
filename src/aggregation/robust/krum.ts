import type { IntRow } from '../../compute/api.ts';
import { distancesBetween } from './distances.ts';
import { mean } from './mean.ts';
import type { RuleCompute } from './pieces.ts';
import { liarsAmong, type RobustRule, type WeighedRows } from './rule.ts';

/**
 * Krum (Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine learning with adversaries", NeurIPS 2017): a row's score is
 * the sum of its squared distances to its K - f - 2 nearest others (at least one), f = floor((K-1)/3), and the row of the
 * least score is the answer: S = that row, D = 1.
 *
 * Breakdown: f rows where K > 2f + 2, that is for every K but 1, 2 and 4. Weights do not count. Equal scores, as
 * those of any two rows, go to the row that comes first.
 */
export const krum: RobustRule = async (compute, input) => {
  const [best] = await byScore(compute, input);
  return { sum: Int32Array.from(input.rows[best as number] as IntRow), weightTotal: 1 };
};

/**
 * Multi-Krum (same paper): the weighted mean of the K - f - 2 rows (at least one) of the least scores. Weights choose
 * none of them; they weigh what was chosen. S = sum W_i q_i, D = sum W_i over these.
 */
export const multiKrum: RobustRule = async (compute, input) => {
  const chosen = (await byScore(compute, input)).slice(0, neighbours(input.rows.length));
  return mean(compute, {
    ...input,
    rows: chosen.map((i) => input.rows[i] as IntRow),
    weights: chosen.map((i) => input.weights[i] as number),
  });
};

/** Others whose distance counts, and rows that multi-Krum keeps. */
const neighbours = (rows: number): number => Math.max(1, rows - liarsAmong(rows) - 2);

/** Indices of the rows, best score first; equal scores in the order of the rows. */
async function byScore(compute: RuleCompute, input: WeighedRows): Promise<number[]> {
  const count = input.rows.length;
  const distances = await distancesBetween(compute, input);
  const scores = input.rows.map((_, i) =>
    distances
      .slice(i * count, (i + 1) * count)
      .toSpliced(i, 1)
      .sort(ascending)
      .slice(0, neighbours(count))
      .reduce((sum, distance) => sum + distance, 0n),
  );
  return scores.map((_, i) => i).sort((a, b) => ascending(scores[a] as bigint, scores[b] as bigint)); // a stable sort
}

const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);
