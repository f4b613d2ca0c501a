import { encodeEntry, ledgerTopic, makeCertificate } from '../wire/index.ts';
import type { EpochContext } from './context.ts';

/** Writes the join entry that this node's chain starts with, unless it has one, and tells the swarm. True when it wrote it. */
export async function join(ctx: EpochContext): Promise<boolean> {
  if (ctx.replica.tip !== undefined) return false;
  const certificate = makeCertificate(ctx.identity, ctx.nodeClass, [`update/${ctx.genesis.updateDtype}`]);
  const { id, state } = ctx.chain.head;
  const entry = ctx.replica.append('join', { certificate }, id, state.epoch);
  await ctx.ports.gossip.publish(ledgerTopic(ctx.swarm), encodeEntry(entry));
  return true;
}
