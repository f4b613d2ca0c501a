/** Equivocation: two votes that one voter must not both have signed, collected until a block holds them (PROTOCOL section 2). */
import { type Evidence, type Fingerprint, MAX_EVIDENCE, StarlingError } from '../spec/index.ts';
import { verifyVote } from '../wire/index.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';

/** Evidence that no block holds yet, as much as one takes. */
export function pendingEvidence(ctx: EpochContext, base: Applied): Evidence[] {
  const status = new Map(base.state.members.map((m) => [m.fingerprint, m.status]));
  const votes = [...ctx.evidence.votes()].filter(({ first }) => status.has(first.voter) && status.get(first.voter) !== 'expelled');
  return votes.slice(0, MAX_EVIDENCE);
}

/**
 * The oldest epoch of which the block after `base` takes evidence: `retainEpochs` before it. Behind that a node keeps nothing of what
 * was voted on and few remember the committee, while old keys go on leaking: nobody is held to account for ever.
 */
export const oldestEvidence = (ctx: Pick<EpochContext, 'genesis'>, base: Applied): number =>
  base.state.epoch + 1 - ctx.genesis.retainEpochs;

/** Throws BAD_EVIDENCE (phase `audit`) unless it proves what it says, of a member, and is not too old. */
export function checkEvidence(ctx: EpochContext, base: Applied, { first, second }: Evidence): void {
  const { voter } = first;
  const member = base.state.members.find((m) => m.fingerprint === voter);
  if (member === undefined || member.status === 'expelled') throw bad(voter, 'it is about no member');
  if (second.voter !== voter || first.epoch !== second.epoch || first.round !== second.round || first.step !== second.step)
    throw bad(voter, 'its votes are of different places');
  if (first.block === second.block) throw bad(voter, 'its votes are for the same block');
  if (first.epoch < oldestEvidence(ctx, base)) throw bad(voter, `its votes are of epoch ${first.epoch}, too long ago`);
  for (const vote of [first, second])
    if (!verifyVote(ctx.swarm, vote, member.ed25519PublicKey)) throw bad(voter, 'a vote in it is not signed by its voter');
}

const bad = (author: Fingerprint, message: string): StarlingError =>
  new StarlingError('BAD_EVIDENCE', `evidence against ${author.slice(0, 8)}: ${message}`, { field: 'evidence', phase: 'audit', author });
