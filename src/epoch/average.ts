/** Step 7, average: every node that holds the rows of a roster computes the same sum (PROTOCOL section 6). */
import { aggregate, bytesOf, distancesOfMoved, inPieces, narrowWeights, rosterWeights } from '../aggregation/index.ts';
import type { IntRow } from '../compute/api.ts';
import { contentOf, ZERO_HASH } from '../crypto/index.ts';
import { type EntryOf, isKind } from '../ledger/index.ts';
import { type AggregateHeader, type DecisionBody, type EntryId, StarlingError, type SwarmState } from '../spec/index.ts';
import { trustOf } from '../state/index.ts';
import { aggregateHash } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import type { Aggregate } from './sums.ts';
import { turn } from './turns.ts';

/**
 * Weights of a roster over `base`, one an id: membership entries weigh 0. Samples are claims, which a rule that bears liars
 * does not count: under those, trust alone weighs.
 */
export function weightsOf(ctx: EpochContext, base: SwarmState, roster: readonly EntryId[]): number[] {
  const contributions = contributionsIn(ctx, roster);
  const { aggregation, maxSamples } = ctx.genesis;
  const weigh = ctx.isScheduled(base) ? narrowWeights : rosterWeights;
  const weights = weigh(
    contributions.map((e) => ({
      samples: aggregation === 'mean' ? Math.min(e.core.body.samples, maxSamples) : 1,
      trust: trustOf(base, e.core.author),
    })),
  );
  const byId = new Map(contributions.map((e, i) => [e.id, weights[i] as number]));
  return roster.map((id) => byId.get(id) ?? 0);
}

interface Averaged {
  readonly base: SwarmState;
  readonly roster: string;
  readonly aggregate: Promise<Aggregate>;
}

/** What each node averaged last: the audit of its own decision asks for the same again. One model's size in memory. */
const last = new WeakMap<EpochContext, Averaged>();

/** Throws AGGREGATE_MISSING when a rostered row is not held, or, in a scheduled epoch, nothing is summed here. `roster` sorted by id. */
export function average(ctx: EpochContext, base: SwarmState, roster: readonly EntryId[]): Promise<Aggregate> {
  if (ctx.isScheduled(base) && weighs(ctx, base, roster)) return ctx.sums.of(base, roster);
  const named = roster.join(' ');
  const before = last.get(ctx);
  if (before?.base === base && before.roster === named) return before.aggregate;
  const aggregate = averageOnce(ctx, base, roster);
  const averaged = { base, roster: named, aggregate };
  last.set(ctx, averaged);
  aggregate.catch(() => {
    if (last.get(ctx) === averaged) last.delete(ctx);
  });
  return aggregate;
}

/** The head has moved on: what was averaged over another base is let go. */
export function forgetAverage(ctx: EpochContext): void {
  if (last.get(ctx)?.base !== ctx.chain.head.state) last.delete(ctx);
  ctx.sums.forget(ctx.chain.head.state, ctx.chain.finalized.state.epoch);
}

async function averageOnce(ctx: EpochContext, base: SwarmState, roster: readonly EntryId[]): Promise<Aggregate> {
  const weights = weightsOf(ctx, base, roster);
  const contributions = contributionsIn(ctx, roster);
  const weighing = roster.flatMap((id, i) => (contributions.some((e) => e.id === id) ? [weights[i] as number] : []));
  if (weighing.every((weight) => weight === 0)) return { roster, weights, dropped: [], hash: ZERO_HASH, header: undefined, sum: undefined };
  const rows = contributions.map((e) => rowOf(ctx, e));
  const turns = (): Promise<void> => turn(ctx.ports.clock);
  const { sum, weightTotal } = await aggregate(ctx.genesis.aggregation, inPieces(ctx.ports.compute, turns), {
    rows,
    weights: weighing,
    spans: ctx.spans,
    exponents: base.scaleExponents,
  });
  const distances = (await distancesOfMoved(rows, ctx.spans, base.scaleExponents, undefined, turns)).map(String);
  const content = bytesOf(sum);
  const header: AggregateHeader = {
    v: 1,
    epoch: base.epoch + 1,
    weightTotal,
    sumRoot: contentOf(content).root,
    sumBytes: content.byteLength,
    distances,
    opening: null,
  };
  return { roster, weights, dropped: [], hash: aggregateHash(header), header, sum };
}

/** Whether something in a roster has a weight, so that it averages to something. */
export const weighs = (ctx: EpochContext, base: SwarmState, roster: readonly EntryId[]): boolean =>
  weightsOf(ctx, base, roster).some((weight) => weight > 0);

/** The aggregate where nobody is left to sum: what else is in the roster takes effect, contributions do not. */
export async function nothingAveraged(ctx: EpochContext, base: SwarmState, roster: readonly EntryId[]): Promise<Aggregate> {
  const contributions = new Set(contributionsIn(ctx, roster).map(({ id }) => id));
  return averageOnce(
    ctx,
    base,
    roster.filter((id) => !contributions.has(id)),
  );
}

/** Whether every contribution of a roster is held here, so that its aggregate can be recomputed. */
export const holdsRows = (ctx: EpochContext, body: DecisionBody): boolean =>
  contributionsIn(ctx, body.roster).every((e) => ctx.updates.row(e.id) !== undefined);

function contributionsIn(ctx: EpochContext, roster: readonly EntryId[]): EntryOf<'contribution'>[] {
  return roster.flatMap((id) => {
    const entry = ctx.replica.graph.get(id);
    return entry !== undefined && isKind(entry, 'contribution') ? [entry] : [];
  });
}

function rowOf(ctx: EpochContext, entry: EntryOf<'contribution'>): IntRow {
  const row = ctx.updates.row(entry.id);
  if (row === undefined)
    throw new StarlingError('AGGREGATE_MISSING', `the update ${entry.id} is not held`, { peer: entry.core.author, phase: 'average' });
  return row;
}
