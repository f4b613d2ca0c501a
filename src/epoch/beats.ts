/** Heartbeats: every node says which block it stands on, so that a silent or a diverging one is noticed (SYSTEMS C7). */
import { type Beat, ignore, reject, type Verdict } from '../spec/index.ts';
import { encodeVotesMessage, signBeat, verifyBeat, votesTopic } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import { type Divergence, isOfDisk } from './reach.ts';

/** What this node says of itself now. The sequence number is time: it grows across restarts. */
export function ownBeat(ctx: EpochContext, after: number): Beat {
  const { id, state } = ctx.chain.finalized;
  const seq = Math.max(after + 1, Math.floor(ctx.ports.clock.wallMs()));
  const body = {
    node: ctx.self,
    seq,
    epoch: state.epoch,
    block: id,
    // Of the tree itself, not of the block: a replica that changed under this node says so.
    treeRoot: ctx.chain.order.root(state.treeSize),
    modelRoot: state.modelRoot,
  };
  return signBeat(ctx.swarm, body, ctx.identity);
}

export async function publishBeat(ctx: EpochContext, beat: Beat): Promise<void> {
  await ctx.ports.gossip.publish(votesTopic(ctx.swarm), encodeVotesMessage({ kind: 'beat', beat })).catch(() => undefined);
}

/** Whether a beat is taken: signed by the node it speaks for, and newer than its last. */
export function judgeBeat(ctx: EpochContext, beat: Beat): Verdict | undefined {
  // [IGNORE] an own one that came round, or an old one
  if (beat.node === ctx.self || !ctx.reach.isNews(beat)) return ignore('DUPLICATE', 'this beat is known');
  const key = ctx.replica.graph.certificateOf(beat.node)?.ed25519PublicKey;
  // [IGNORE] its join has not come yet
  if (key === undefined) return ignore('NOT_MEMBER', 'the join of this node is not here');
  // [REJECT] not signed by the node it speaks for
  if (!verifyBeat(ctx.swarm, beat, key)) return reject('BAD_SIGNATURE', `a beat of ${beat.node} is not signed by it`);
  return undefined;
}

/** How a beat contradicts what is final here, if it does. */
export function divergenceOf(ctx: EpochContext, beat: Beat): Divergence | undefined {
  if (beat.epoch > ctx.chain.finalized.state.epoch) return undefined;
  const here = ctx.chain.at(beat.epoch);
  if (here === undefined) return undefined;
  const { treeRoot, modelRoot } = here.state;
  const own = { block: here.id, treeRoot, modelRoot };
  const field = (['block', 'treeRoot', 'modelRoot'] as const).find((name) => own[name] !== beat[name]);
  if (field === undefined) return undefined;
  return { node: beat.node, sinceEpoch: beat.epoch, field, here: own[field], there: beat[field], noticedMs: ctx.ports.clock.wallMs() };
}

/** Marks or clears a node as diverging; says so once each way. A node that heals itself and beats alike is taken back. */
export function noteDivergence(ctx: EpochContext, beat: Beat): void {
  const divergence = divergenceOf(ctx, beat);
  const known = ctx.diverging.get(beat.node);
  if (divergence !== undefined && known === undefined) {
    ctx.diverging.set(beat.node, divergence);
    ctx.ports.journal.log('error', 'epoch', 'the replica of a peer differs from the final blocks; it is quarantined', {
      code: 'DIVERGED',
      ...divergence,
    });
    ctx.ports.journal.count('peers_diverged');
  } else if (divergence === undefined && known !== undefined && !isOfDisk(known) && beat.epoch > known.sinceEpoch) {
    ctx.diverging.delete(beat.node);
    ctx.ports.journal.log('info', 'epoch', 'a peer that differed agrees again', {
      node: beat.node,
      since: known.sinceEpoch,
      now: beat.epoch,
    });
  }
}
