/**
 * Forgets what nobody needs any more, `retainEpochs` behind the newest block (PROTOCOL section 3). With the horizon H that
 * far back, and the base B, the newest snapshot not after H:
 * - composite signatures of contributions of epochs up to H go; the entries stay, with their Ed25519 signatures, and so do
 *   blocks, certificates, tiles and the headers of aggregates, which a restart and a newcomer replay;
 * - models before B and sums up to B go, and aggregates of decisions that no block took;
 * - what stays gives the model of every epoch from B on: a rollback reaches back to B, and to epoch 0.
 */
import { bytesOf } from '../aggregation/index.ts';
import { type EntryOf, isKind } from '../ledger/index.ts';
import type { ContentRoot, EntryId, Hex } from '../spec/index.ts';
import { decode, encode, readInt, readTuple } from '../wire/index.ts';
import { forgetHeader, heldHashes, heldHeader } from './aggregates.ts';
import type { EpochContext } from './context.ts';
import type { NodeStore } from './ports.ts';
import { modelAtHand, snapshotBefore } from './snapshots.ts';

const PROGRESS = 'prune';
/** Bytes: a list of two numbers. */
const RECORD_MAX_BYTES = 32;

/** How far pruning has come: the horizon, and the epoch of the oldest model that can be made again (epoch 0 aside). */
interface Progress {
  readonly horizon: number;
  readonly base: number;
}

export function pruned(store: NodeStore): Progress {
  const bytes = store.get(PROGRESS);
  if (bytes === undefined) return { horizon: 0, base: 0 };
  const [horizon, base] = readTuple(decode(bytes, PROGRESS, RECORD_MAX_BYTES), PROGRESS, 2);
  return { horizon: readInt(horizon, `${PROGRESS}.horizon`), base: readInt(base, `${PROGRESS}.base`) };
}

/** Prunes up to where the newest block allows. What a crash interrupts is done again: everything here is idempotent. */
export async function prune(ctx: EpochContext): Promise<void> {
  const { store, entries, journal } = ctx.ports;
  const before = pruned(store);
  const horizon = ctx.chain.finalized.state.epoch - ctx.genesis.retainEpochs;
  if (horizon <= before.horizon) return;
  const old = [...oldContributions(ctx, before.horizon, horizon)];
  const composites = entries.dropComposites(old);
  for (const id of old) ctx.replica.graph.forgetComposite(id);
  const base = await snapshotBefore(ctx, horizon, before.base);
  const contents = await dropContent(ctx, before.base, base);
  store.set(PROGRESS, encode([horizon, base]));
  journal.log('debug', 'epoch', 'pruned', { horizon, base, composites, contents });
}

/**
 * Contributions that the blocks after `from` up to `to` took in. One of a later epoch, which a liar may have written early, stays
 * whole: only what is old by its own word may come without its composite signature to a newcomer.
 */
function* oldContributions(ctx: EpochContext, from: number, to: number): Generator<EntryId> {
  const { chain } = ctx;
  const first = chain.at(from)?.state.treeSize ?? 0;
  const last = chain.at(to)?.state.treeSize ?? first;
  for (const { entry } of chain.order.slice(first, last)) if (isKind(entry, 'contribution') && isOld(entry, to)) yield entry.id;
}

const isOld = ({ core }: EntryOf<'contribution'>, horizon: number): boolean => core.body.epoch <= horizon;

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
    if (applied.header !== undefined) old.add(applied.header.sumRoot);
  }
  for (const hash of lostAggregates(ctx, base)) {
    const header = heldHeader(ctx, hash);
    if (header !== undefined) old.add(header.sumRoot);
    forgetHeader(ctx, hash);
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
    if (epoch > base && applied.header !== undefined) wanted.add(applied.header.sumRoot);
  }
  for (const epoch of restorable(ctx)) wanted.add(chain.at(epoch)?.state.modelRoot ?? genesis.initialModelRoot);
  return wanted;
}

/** Models that may come back become snapshots before the sums that lead to them go. */
async function keepRestorable(ctx: EpochContext): Promise<void> {
  for (const epoch of restorable(ctx)) {
    const model = await modelAtHand(ctx, epoch);
    if (model !== undefined) await ctx.ports.blobs.put(bytesOf(model));
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

/** Aggregates of epochs up to `base` that no block of the chain names. */
function lostAggregates(ctx: EpochContext, base: number): Hex[] {
  const { chain } = ctx;
  const final = new Set<Hex>();
  for (let epoch = 1; epoch <= chain.head.state.epoch; epoch++) final.add(chain.at(epoch)?.body?.aggregateHash ?? '');
  return heldHashes(ctx).filter((hash) => !final.has(hash) && (heldHeader(ctx, hash)?.epoch ?? 0) <= base);
}
