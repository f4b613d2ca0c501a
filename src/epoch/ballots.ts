/** What a node says by its operator's word: its voice in what the committee decides beside the epochs, and its own membership. */
import { type BallotBody, type Motion, StarlingError, type SwarmState } from '../spec/index.ts';
import { isOpen, votersOf } from '../state/index.ts';
import type { EpochContext } from './context.ts';
import { pinnedError } from './rollback.ts';
import { bytesOfParts } from './storedModel.ts';

/**
 * Checks a ballot of this node over its newest block and returns what its entry says. A voter speaks for a model only while it
 * holds it: it stays on its disk until the motion is settled. Throws NOT_VOTER, NOT_FOUND, DUPLICATE, BAD_USAGE,
 * AGGREGATE_MISSING, PINNED.
 */
export async function ballotOf(ctx: EpochContext, wanted: BallotBody): Promise<BallotBody> {
  requireFree(ctx, 'ballot');
  const { state } = ctx.chain.finalized;
  if (!votersOf(state).includes(ctx.self))
    throw new StarlingError('NOT_VOTER', 'this node does not vote', {
      phase: 'ballot',
      fix: 'run it on a voter; `starling swarm show` lists them',
    });
  if (motionOf(state, wanted)?.ayes.includes(ctx.self) === true)
    throw new StarlingError('DUPLICATE', 'this voter has said so already; the motion waits for others', { phase: 'ballot' });
  if (wanted.action !== 'restore') return aboutMember(state, wanted);
  if (wanted.epoch > state.epoch)
    throw new StarlingError('NOT_FOUND', `block ${wanted.epoch} is not final here`, {
      field: 'epoch',
      phase: 'ballot',
      fix: `choose an epoch from 0 to ${state.epoch}`,
    });
  await ctx.ports.blobs.putParts(bytesOfParts(await ctx.chain.openModel(wanted.epoch)));
  return { ...wanted, subject: null };
}

function aboutMember(state: SwarmState, { action, subject }: BallotBody): BallotBody {
  const roll = new Map(state.members.map((m) => [m.fingerprint, m]));
  if (subject === null || !roll.has(subject))
    throw new StarlingError('NOT_FOUND', `${subject ?? 'nobody'} is no member of this swarm`, {
      field: 'subject',
      phase: 'ballot',
      fix: '`starling swarm show` lists the members',
    });
  const body = { action, subject, epoch: state.epoch };
  if (!isOpen({ ...body, opened: state.epoch, ayes: [] }, roll))
    throw new StarlingError('BAD_USAGE', `to ${action} ${subject} would change nothing`, {
      field: 'subject',
      phase: 'ballot',
      fix: action === 'admit' ? 'it has the vote already, left, or is of a class that never votes' : 'it does not vote',
    });
  return body;
}

/** The open motion of the same meaning, if the newest block knows one. */
export const motionOf = (state: SwarmState, { action, subject, epoch }: BallotBody): Motion | undefined =>
  state.motions.find((m) => m.action === action && (action === 'restore' ? m.epoch === epoch : m.subject === subject));

/** Throws NOT_MEMBER, DUPLICATE, PINNED where this node's word on its own membership would mean nothing. */
export function checkMembership(ctx: EpochContext, action: 'leave' | 'resume'): void {
  requireFree(ctx, 'membership');
  const member = ctx.chain.finalized.state.members.find((m) => m.fingerprint === ctx.self);
  if (member === undefined || member.status === 'expelled')
    throw new StarlingError('NOT_MEMBER', 'this node is no member of the swarm', { phase: 'membership' });
  const isDone = action === 'leave' ? member.status === 'left' : member.status === 'active' && member.vote !== 'removed';
  if (isDone)
    throw new StarlingError('DUPLICATE', action === 'leave' ? 'this node has left already' : 'this node is a member in good standing', {
      phase: 'membership',
    });
}

function requireFree(ctx: EpochContext, phase: string): void {
  if (ctx.pinned !== undefined) throw pinnedError(ctx.pinned, phase);
}
