/**
 * Forgets what nobody needs any more, `retainEpochs` behind the newest block (PROTOCOL section 3). The base moves to the newest
 * snapshot that is as old: entries, blocks and headers of aggregates up to it go, and leave their archive; so do models before
 * it, sums up to it, and aggregates of decisions that no block took. What stays gives the model of every epoch from the base
 * on: a rollback reaches back to it.
 */
import { isKind } from '../ledger/index.ts';
import type { AggregateHeader, ContentRoot, Hex } from '../spec/index.ts';
import { forgetHeader, heldHashes, heldHeader } from './aggregates.ts';
import { archiveUpTo } from './archiving.ts';
import type { EpochContext } from './context.ts';
import { modelAtHand, snapshotBefore } from './snapshots.ts';
import { bytesOfParts } from './storedModel.ts';

/** Prunes up to where the newest block allows. What a crash interrupts is done again: everything here is idempotent. */
export async function prune(ctx: EpochContext): Promise<void> {
  const { chain, genesis, ports } = ctx;
  const from = chain.base.state.epoch;
  const base = await snapshotBefore(ctx, chain.finalized.state.epoch - genesis.retainEpochs, from);
  if (base <= from) return;
  const contents = await dropContent(ctx, from, base);
  const before = chain.base.state.treeSize;
  archiveUpTo(ctx, base);
  // A restart from the old base asks for them.
  for (const hash of oldAggregates(ctx, base)) forgetHeader(ctx, hash);
  ports.journal.log('debug', 'epoch', 'pruned', { base, entries: chain.base.state.treeSize - before, contents });
}

/** Returns how many contents were let go, at most: what was never here counts too. */
async function dropContent(ctx: EpochContext, from: number, base: number): Promise<number> {
  const { chain, ports } = ctx;
  await keepRestorable(ctx);
  const wanted = wantedContent(ctx, base);
  const old = new Set<ContentRoot>();
  for (let epoch = from; epoch <= base; epoch++) {
    const applied = chain.at(epoch);
    if (applied === undefined) continue;
    old.add(applied.state.modelRoot);
    for (const root of contentsOf(applied.header)) old.add(root);
  }
  for (const hash of oldAggregates(ctx, base)) {
    for (const root of contentsOf(heldHeader(ctx, hash))) old.add(root);
  }
  for (const root of old) if (!wanted.has(root)) await ports.blobs.delete(root);
  return old.size;
}

/** Content that must stay: from `base` on, and what the committee may bring back. */
function wantedContent(ctx: EpochContext, base: number): Set<ContentRoot> {
  const { chain, genesis } = ctx;
  const wanted = new Set<ContentRoot>([genesis.initialModelRoot]);
  for (let epoch = base; epoch <= chain.head.state.epoch; epoch++) {
    const applied = chain.at(epoch);
    if (applied === undefined) continue;
    wanted.add(applied.state.modelRoot);
    if (epoch > base) for (const root of contentsOf(applied.header)) wanted.add(root);
  }
  for (const epoch of restorable(ctx)) wanted.add(chain.modelRootAt(epoch) ?? genesis.initialModelRoot);
  return wanted;
}

/** What a header names: the sum, and where it was made by a schedule what opens it. */
const contentsOf = (header: AggregateHeader | undefined): ContentRoot[] =>
  header === undefined ? [] : header.opening === null ? [header.sumRoot] : [header.sumRoot, header.opening.root];

/** Models that may come back become snapshots before the sums that lead to them go. */
async function keepRestorable(ctx: EpochContext): Promise<void> {
  for (const epoch of restorable(ctx)) {
    const model = await modelAtHand(ctx, epoch);
    if (model !== undefined) await ctx.ports.blobs.putParts(bytesOfParts(model));
  }
}

/** Epochs whose model a motion, or a ballot that no block holds yet, may bring back. */
function* restorable({ chain, notices, replica }: EpochContext): Generator<number> {
  for (const motion of chain.finalized.state.motions) if (motion.action === 'restore') yield motion.epoch;
  for (const id of notices) {
    const entry = replica.graph.get(id);
    if (entry !== undefined && isKind(entry, 'ballot') && entry.core.body.action === 'restore') yield entry.core.body.epoch;
  }
}

/** Aggregates of epochs up to `base`, whether a block took them or not. */
const oldAggregates = (ctx: EpochContext, base: number): Hex[] =>
  heldHashes(ctx).filter((hash) => (heldHeader(ctx, hash)?.epoch ?? 0) <= base);
