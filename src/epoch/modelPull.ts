/** The newest model of a node whose blocks came without their sums: pulled by the root that the block certifies. */
import { bytesOf, float32Of } from '../aggregation/index.ts';
import { asStarlingError, StarlingError } from '../spec/index.ts';
import type { EpochContext } from './context.ts';
import { answerMs } from './ports.ts';
import { pullContent } from './pull.ts';

/** Makes sure that the head's model is at hand. False where no peer gives it: the caller tries again. */
export async function ensureModel(ctx: EpochContext): Promise<boolean> {
  const { epoch, modelRoot } = ctx.chain.head.state;
  try {
    await ctx.chain.model(epoch);
    return true;
  } catch (error) {
    if (!(error instanceof StarlingError) || error.code !== 'AGGREGATE_MISSING') throw error;
  }
  const { streams, journal } = ctx.ports;
  const holders = streams.peers().filter((peer) => ctx.directory.nodeOf(peer) !== undefined && !isDiverging(ctx, peer));
  const sizeBytes = 4 * (ctx.spans.at(-1)?.end ?? 0);
  try {
    const content = await pullContent(streams, holders, modelRoot, sizeBytes, {
      timeoutMs: answerMs(sizeBytes),
      onFault: (peer, fault) => journal.log('warn', 'epoch', 'a donor of the model failed', { peer, ...fault.toJSON() }),
    });
    ctx.chain.models.keep(epoch, modelRoot, float32Of(content));
    await ctx.ports.blobs.put(bytesOf(float32Of(content)));
    journal.log('info', 'epoch', 'the model was pulled from peers', { epoch, modelRoot, bytes: sizeBytes });
    return true;
  } catch (error) {
    journal.log('warn', 'epoch', 'no peer gives the newest model; it is asked for again', {
      ...asStarlingError(error, { phase: 'apply' }).toJSON(),
    });
    return false;
  }
}

function isDiverging(ctx: EpochContext, peer: string): boolean {
  const node = ctx.directory.nodeOf(peer);
  return node !== undefined && ctx.diverging.has(node);
}
