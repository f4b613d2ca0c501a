/** Step 7 in a scheduled epoch: the sum that members made over streams, with what shows that it is theirs (PROTOCOL section 6). */
import { bytesOf } from '../aggregation/index.ts';
import type { AggregateHeader, SwarmState } from '../spec/index.ts';
import { aggregateHash, encodeOpening } from '../wire/index.ts';
import { nothingAveraged, weightsOf } from './average.ts';
import type { EpochContext } from './context.ts';
import type { Averaged, AverageJob } from './exchange/index.ts';
import { contentInTurns } from './served.ts';
import type { Aggregate } from './sums.ts';

/** Takes part in summing a settled roster. Resolves on every node that settled it, with or without a row of its own. As `sums.begin`. */
export const averageByStreams = (ctx: EpochContext, job: AverageJob): Promise<Aggregate> =>
  ctx.sums.begin(job, (averaged) => aggregateOf(ctx, job.base, averaged));

async function aggregateOf(ctx: EpochContext, base: SwarmState, averaged: Averaged): Promise<Aggregate> {
  const { attempt, sum, rhoSum, commitments, ruled } = averaged;
  const { roster, dropped } = attempt;
  const weightTotal = ruled?.weightTotal ?? averaged.weights.reduce((total, weight) => total + weight, 0);
  if (weightTotal === 0) return nothingAveraged(ctx, base, roster);
  const opening = encodeOpening({ attempt, rhoSum, commitments });
  const content = bytesOf(sum);
  const header: AggregateHeader = {
    v: 1,
    epoch: base.epoch + 1,
    weightTotal,
    sumRoot: (await contentInTurns(ctx.ports.clock, content)).root,
    sumBytes: content.byteLength,
    distances: (ruled?.distances ?? []).map(String),
    // Durable before anybody hears of the hash that names it.
    opening: { root: await ctx.ports.blobs.put(opening), bytes: opening.byteLength },
  };
  const hash = aggregateHash(header);
  ctx.sums.keepChecked(hash, attempt);
  return { roster, weights: weightsOf(ctx, base, roster), dropped, hash, header, sum };
}
