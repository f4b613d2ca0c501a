/** Steps 9 and 10: final blocks, from votes or from peers, checked, made durable and applied in their order. */
import { verifyQuorum } from '../consensus/committee.ts';
import { ZERO_HASH } from '../crypto/index.ts';
import { type AggregateHeader, asStarlingError, type Block, StarlingError } from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { aggregateHash, type BlockRecord, verifyVote } from '../wire/index.ts';
import { heldHeader, keepAggregate, keepHeader } from './aggregates.ts';
import { average, holdsRows } from './average.ts';
import { decisionOf, draftFinal, missingOf } from './blocks.ts';
import type { Applied, HeldAggregate } from './chain.ts';
import type { EpochContext } from './context.ts';
import { oldestEvidence } from './evidence.ts';
import { prune } from './prune.ts';
import { keepSnapshot } from './snapshots.ts';
import type { Model } from './storedModel.ts';

/** Throws BAD_QUORUM or NOT_VOTER unless q voters of the block before made this block final. */
function requireFinal(ctx: EpochContext, base: Applied, { block, certificate }: BlockRecord): void {
  if (certificate.step !== 'precommit' || certificate.block !== block.hash || certificate.epoch !== block.header.epoch)
    throw new StarlingError('BAD_QUORUM', 'the certificate is of another block', { field: 'certificate', phase: 'finalise' });
  const keys = new Map(base.state.members.map((m) => [m.fingerprint, m.ed25519PublicKey]));
  verifyQuorum(certificate, votersOf(base.state), (vote) => verifyVote(ctx.swarm, vote, keys.get(vote.voter) ?? new Uint8Array(32)));
}

/** What came of an attempt at the next final block. */
export type Outcome =
  | { readonly kind: 'applied'; readonly applied: Applied }
  | { readonly kind: 'none' }
  /** Entries of its cut, or the header of its aggregate, are not here. */
  | { readonly kind: 'incomplete' };

/**
 * Applies the next final block, if it is here. Durable before it counts: its aggregate, the entries of its cut, then the block
 * with its certificate, then this node's state. Throws DIVERGED.
 */
export async function applyFinal(ctx: EpochContext, fromDisk = false): Promise<Outcome> {
  const base = ctx.chain.finalized;
  const waiting = ctx.finals.get(base.state.epoch + 1);
  if (waiting === undefined) return { kind: 'none' };
  const { record } = waiting;
  const { block } = record;
  try {
    if (!fromDisk) requireFinal(ctx, base, record);
  } catch (error) {
    ctx.finals.drop(block.header.epoch);
    ctx.ports.journal.log('warn', 'epoch', 'a block is not final', { block: block.hash, ...asStarlingError(error).toJSON() });
    return { kind: 'none' };
  }
  if (missingOf(ctx, block).length > 0) return { kind: 'incomplete' };
  const candidate = waiting.candidate;
  const aggregate = candidate?.aggregate ?? (await aggregateOf(ctx, base, block, waiting.header));
  if (aggregate === undefined) return { kind: 'incomplete' };
  const draft = candidate?.draft ?? (await draftFinal(ctx, base, block, aggregate));
  const { header, sum } = aggregate;
  if (header !== undefined && !fromDisk) {
    if (sum === undefined) keepHeader(ctx, block.header.aggregateHash, header);
    else await keepAggregate(ctx, { hash: block.header.aggregateHash, header, sum });
  }
  if (ctx.chain.finalized !== base) return { kind: 'none' };
  if (!fromDisk) {
    // What the block stands on first.
    ctx.ports.entries.flush();
    ctx.ports.blocks.append(record);
  }
  const applied = ctx.chain.finalise(block, draft);
  ctx.finals.drop(block.header.epoch);
  for (const { first } of block.body.evidence) ctx.evidence.settle(first.voter);
  ctx.evidence.forgetBefore(oldestEvidence(ctx, applied));
  await tryKeepSnapshot(ctx, applied, draft.model);
  if (!fromDisk && block.header.epoch % ctx.genesis.snapshotEpochs === 0) await tryPrune(ctx);
  return { kind: 'applied', applied };
}

/** A model that the disk does not take now is made again from the sums: the block stands. */
async function tryKeepSnapshot(ctx: EpochContext, applied: Applied, model: Model | undefined): Promise<void> {
  try {
    await keepSnapshot(ctx, applied, model);
  } catch (error) {
    ctx.ports.journal.log('warn', 'epoch', 'no snapshot of the model could be kept', asStarlingError(error).toJSON());
  }
}

/** What could not be pruned now is pruned with the next snapshot: the block stands. */
async function tryPrune(ctx: EpochContext): Promise<void> {
  try {
    await prune(ctx);
  } catch (error) {
    ctx.ports.journal.log('warn', 'epoch', 'old data could not be pruned; it is tried again', asStarlingError(error).toJSON());
  }
}

/**
 * What the rows give where they are held; else the header that the peer gave, checked against the block, without the sum.
 * Undefined where there is none: it comes with the block from any peer.
 */
async function aggregateOf(
  ctx: EpochContext,
  base: Applied,
  block: Block,
  given: AggregateHeader | null,
): Promise<HeldAggregate | undefined> {
  const { aggregateHash: wanted } = block.header;
  if (wanted === ZERO_HASH) return { header: undefined, sum: undefined };
  const summed = ctx.sums.find(base.state, wanted);
  if (summed !== undefined) return summed;
  if (!ctx.isScheduled(base.state) && holdsRows(ctx, decisionOf(block))) {
    const own = await average(ctx, base.state, block.body.roster);
    if (own.hash === wanted) return own;
  }
  const header = given ?? heldHeader(ctx, wanted);
  return header === undefined || aggregateHash(header) !== wanted ? undefined : { header, sum: undefined };
}

/**
 * Replays the blocks on this node's disk that are not applied yet, up to where a rollback holds it. Returns how many were
 * applied. Throws DATA_CORRUPT or DIVERGED.
 */
export async function replayBlocks(ctx: EpochContext, last = ctx.pinned ?? Number.POSITIVE_INFINITY): Promise<number> {
  const { blocks, journal } = ctx.ports;
  // As the disk is now: blocks of peers may be appended while this goes on, and are applied already.
  const end = Math.min(blocks.head(), last);
  let applied = 0;
  for (let epoch = ctx.chain.finalized.state.epoch + 1; epoch <= end; epoch++) {
    const record = blocks.get(epoch);
    if (record === undefined)
      throw new StarlingError('DATA_CORRUPT', `block ${epoch} is missing`, { phase: 'ledger', fix: 'run `starling fsck --repair`' });
    const hash = record.block.header.aggregateHash;
    ctx.finals.add({ record, header: heldHeader(ctx, hash) ?? null }, epoch - 1);
    const outcome = await applyFinal(ctx, true);
    if (outcome.kind === 'none') break;
    if (outcome.kind === 'incomplete') {
      journal.log('warn', 'epoch', 'blocks on disk stand on entries that are not here; they are fetched from peers', { from: epoch });
      blocks.truncate(epoch - 1);
      break;
    }
    applied++;
  }
  return applied;
}
