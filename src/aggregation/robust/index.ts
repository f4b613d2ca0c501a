import type { IntRow } from '../../compute/api.ts';
import type { AggregationRule } from '../../spec/index.ts';
import { centredClipping } from './centredClipping.ts';
import { geometricMedian } from './geometricMedian.ts';
import { krum, multiKrum } from './krum.ts';
import { mean } from './mean.ts';
import { median } from './median.ts';
import type { RuleCompute } from './pieces.ts';
import type { Aggregated, RobustRule, WeighedRows } from './rule.ts';
import { trimmedMean } from './trimmedMean.ts';

export { inPieces } from './pieces.ts';
export type { Aggregated, WeighedRows } from './rule.ts';
export { liarsAmong } from './rule.ts';

const RULES: Readonly<Record<AggregationRule, RobustRule>> = {
  mean,
  median,
  'trimmed-mean': trimmedMean,
  krum,
  'multi-krum': multiKrum,
  'centred-clipping': centredClipping,
  'geometric-median': geometricMedian,
};

/**
 * Aggregates a roster's rows by the rule of its genesis. A row of weight 0 takes no part under any rule; where none is
 * left, `weightTotal` is 0. Throws BAD_SHAPE and BOUNDS_EXCEEDED as `compute` does.
 */
export async function aggregate(rule: AggregationRule, compute: RuleCompute, input: WeighedRows): Promise<Aggregated> {
  const weighing = input.rows.map((_, i) => i).filter((i) => input.weights[i] !== 0);
  if (weighing.length === 0) return { sum: new Int32Array(input.spans.at(-1)?.end ?? 0), weightTotal: 0 };
  return RULES[rule](compute, {
    ...input,
    rows: weighing.map((i) => input.rows[i] as IntRow),
    weights: weighing.map((i) => input.weights[i] as number),
  });
}
