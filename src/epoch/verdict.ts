/** Step 8, audit: this node's opinion of what the swarm averaged, as an entry on its chain (PROTOCOL section 7). */
import { ZERO_HASH } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import type { VerdictBody } from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { encodeEntry, ledgerTopic } from '../wire/index.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';
import type { Aggregate } from './sums.ts';
import { spansInTurns, turn } from './turns.ts';

/** The mean of clipped updates cannot be longer than the clip; rounding to integers adds less than this share. */
const ROUNDING = 1.01;

/** Writes and tells this voter's verdict, once an aggregate. Nothing where nothing was averaged, or this node has no vote. */
export async function judge(ctx: EpochContext, base: Applied, aggregate: Pick<Aggregate, 'hash' | 'header' | 'sum'>): Promise<void> {
  const { header, sum, hash } = aggregate;
  if (header === undefined || sum === undefined || hash === ZERO_HASH) return;
  if (!votersOf(base.state).includes(ctx.self) || ctx.replica.tip === undefined || hasJudged(ctx, base, hash)) return;
  const reason = await problemOf(ctx, base, sum, header.weightTotal);
  // It may have been said of the same sum meanwhile.
  if (hasJudged(ctx, base, hash)) return;
  const body: VerdictBody = { epoch: base.state.epoch + 1, base: base.id, aggregateHash: hash, good: reason === '', reason };
  // Depends on nothing but its author's chain: a block names it by itself, and other entries would only make it longer.
  const entry = ctx.replica.append('verdict', body, base.id, base.state.epoch, []);
  await ctx.ports.gossip.publish(ledgerTopic(ctx.swarm), encodeEntry(entry));
}

function hasJudged(ctx: EpochContext, base: Applied, hash: string): boolean {
  const { graph, tip } = ctx.replica;
  for (let entry = graph.get(tip?.id ?? ''); entry !== undefined && entry.core.epochSeen >= base.state.epoch; ) {
    if (isKind(entry, 'verdict') && entry.core.body.base === base.id && entry.core.body.aggregateHash === hash) return true;
    entry = graph.get(entry.core.prev ?? '');
  }
  return false;
}

/** Empty for a good one. What each update was bound to, their mean must be bound to as well. */
async function problemOf(ctx: EpochContext, base: Applied, sum: Int32Array, weightTotal: number): Promise<string> {
  let square = 0;
  for await (const { t, start, end } of spansInTurns(ctx.spans, () => turn(ctx.ports.clock))) {
    const scale = 2 ** (base.state.scaleExponents[t] as number) / weightTotal;
    for (let k = start; k < end; k++) {
      const moved = (sum[k] as number) * scale;
      square += moved * moved;
    }
  }
  const norm = Math.sqrt(square);
  const bound = ctx.genesis.clipNorm * ROUNDING;
  return norm <= bound ? '' : `the mean update has norm ${norm.toPrecision(4)}, at most ${ctx.genesis.clipNorm} is possible`;
}
