/**
 * Snapshots: models on disk, one every `snapshotEpochs` blocks. With the sums since the oldest of them every later model can be
 * made again, which is what a restart, a rollback and a newcomer's question need.
 */
import { StarlingError } from '../spec/index.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';
import { bytesOfParts, type Model } from './storedModel.ts';

/**
 * Keeps the model after a block on disk where one is due: every `snapshotEpochs`, and where a model came back, since what it
 * came from may be pruned before it. A model that is not at hand is passed over: sums lead to it, or a peer has it.
 */
export async function keepSnapshot(ctx: EpochContext, { state, restored }: Applied, model: Model | undefined): Promise<void> {
  if (restored === undefined && state.epoch % ctx.genesis.snapshotEpochs !== 0) return;
  const { blobs } = ctx.ports;
  if (await blobs.has(state.modelRoot)) return;
  const held = model ?? ctx.chain.models.byRoot(state.modelRoot) ?? (restored === undefined ? undefined : await modelAtHand(ctx, restored));
  if (held !== undefined) await blobs.putParts(bytesOfParts(held));
}

/** Parameters after `epoch`; undefined where what leads to them is not here. */
export async function modelAtHand(ctx: EpochContext, epoch: number): Promise<Model | undefined> {
  try {
    return await ctx.chain.openModel(epoch);
  } catch (error) {
    if (error instanceof StarlingError && error.code === 'AGGREGATE_MISSING') return undefined;
    throw error;
  }
}

/** The newest epoch from `floor` to `epoch` whose model is on disk; `floor` where there is none. Epoch 0 always is. */
export async function snapshotBefore(ctx: EpochContext, epoch: number, floor: number): Promise<number> {
  for (let n = epoch; n > floor; n--) {
    const applied = ctx.chain.at(n);
    if (applied !== undefined && (await ctx.ports.blobs.has(applied.state.modelRoot))) return n;
  }
  return floor;
}
