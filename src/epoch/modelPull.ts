/** The newest model of a node whose blocks came without their sums: pulled by the root that the block certifies. */
import { float32Of } from '../aggregation/index.ts';
import { asStarlingError, type PeerId, StarlingError } from '../spec/index.ts';
import type { EpochContext } from './context.ts';
import { answerMs } from './ports.ts';

/**
 * Makes sure that the head's model is at hand: from the nearest earlier one where the sums between are held, from peers
 * else. A sum that is not held is never asked for instead: it has as many bytes as the model, and only leads to one from
 * another. Returns whether the model is here, or of a head that is none any more; where no peer gives it, that is said, and the caller
 * tries again.
 */
export async function ensureModel(ctx: EpochContext): Promise<boolean> {
  const { epoch, modelRoot } = ctx.chain.head.state;
  try {
    await ctx.chain.openModel(epoch);
    return true;
  } catch (error) {
    if (!(error instanceof StarlingError) || error.code !== 'AGGREGATE_MISSING') throw error;
  }
  // The chain has gone back meanwhile: nobody may have what it left.
  if (ctx.chain.modelRootAt(epoch) !== modelRoot) return true;
  const { clock, streams, blobs, journal, entropy } = ctx.ports;
  const sinceMs = clock.nowMs();
  const sizeBytes = 4 * (ctx.spans.at(-1)?.end ?? 0);
  journal.log('info', 'epoch', 'the newest model is asked for', { epoch, modelRoot, bytes: sizeBytes });
  try {
    const content = await ctx.pulls.pull(streams, () => donorsOf(ctx, epoch), modelRoot, sizeBytes, {
      timeoutMs: answerMs(sizeBytes),
      uniform: () => entropy.uniform(),
      onFault: (peer, fault) => journal.log('warn', 'epoch', 'a donor of the model was left', { ...fault.toJSON(), peer, epoch }),
    });
    // The chain may have gone on meanwhile, which then goes on from here, or back.
    const { chain } = ctx;
    if (!chain.models.areLarge && chain.at(epoch)?.state.modelRoot === modelRoot) chain.models.keep(epoch, modelRoot, float32Of(content));
    await blobs.put(content);
    journal.log('info', 'epoch', 'the model was pulled from peers', { epoch, modelRoot, ms: clock.nowMs() - sinceMs });
    return true;
  } catch (error) {
    journal.log('warn', 'epoch', 'no peer gives the newest model', { epoch, ...asStarlingError(error, { phase: 'apply' }).toJSON() });
    return false;
  }
}

/**
 * Connected members that do not contradict what is final here: those first that say they have applied this epoch, in an
 * order that spreads the newcomers over them.
 */
function donorsOf(ctx: EpochContext, epoch: number): PeerId[] {
  const { streams, entropy } = ctx.ports;
  const donors = streams.peers().flatMap((peer) => {
    const node = ctx.directory.nodeOf(peer);
    if (node === undefined || ctx.diverging.has(node)) return [];
    const isLate = (ctx.reach.of(node)?.epoch ?? 0) < epoch;
    return [{ peer, place: Number(isLate) + entropy.uniform() }];
  });
  return donors.sort((a, b) => a.place - b.place).map(({ peer }) => peer);
}
