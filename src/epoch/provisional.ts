/** Step 9 without a quorum: a provisional decision on this node's own chain (PROTOCOL section 3). */
import { holdsSeat, type SwarmState } from '../spec/index.ts';
import { encodeEntry, ledgerTopic } from '../wire/index.ts';
import { keepAggregate } from './aggregates.ts';
import type { EpochContext } from './context.ts';
import type { Aggregate } from './sums.ts';

/**
 * Writes this node's decision and tells the others. The aggregate is stored first: whoever signs a decision can
 * be asked for it. Nodes without a seat in the classes decide nothing and adopt what others decided.
 */
export async function decide(ctx: EpochContext, base: SwarmState, aggregate: Aggregate): Promise<void> {
  // Without a seat, or before this node's chain has begun with its join, it follows.
  if (!holdsSeat(ctx.nodeClass) || ctx.replica.tip === undefined) return;
  await keepAggregate(ctx, aggregate);
  // Another decision may have been adopted while the disk was busy; this one would stand beside it for nothing.
  if (ctx.chain.head.id !== base.decision) return;
  const { roster, weights, dropped, hash } = aggregate;
  const body = { epoch: base.epoch + 1, prev: base.decision, roster, weights, aggregateHash: hash, dropped };
  const entry = ctx.replica.append('decision', body, base.decision, base.epoch);
  await ctx.ports.gossip.publish(ledgerTopic(ctx.swarm), encodeEntry(entry));
}
