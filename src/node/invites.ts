/** What a voter hands to a newcomer: the right to join, and perhaps to vote (PROTOCOL section 2). */
import type { InviteRequest, InviteView } from '../api/index.ts';
import type { Identity } from '../crypto/index.ts';
import { type Hex, holdsSeat, StarlingError, type SwarmState } from '../spec/index.ts';
import { encodeInviteToken, makeInvite } from '../wire/index.ts';

/** Who invites, and when. */
export interface Inviter {
  readonly identity: Identity;
  readonly swarm: Hex;
  /** After the newest final block: who votes there decides who may invite. */
  readonly state: Pick<SwarmState, 'members'>;
  readonly nowMs: number;
  /** 16 random bytes, 32 digits. */
  readonly nonce: Hex;
}

/**
 * Signs an invite and packs it into the one line that `starling daemon --invite` takes. Throws NOT_VOTER when this node
 * does not sit in the committee, BAD_INVITE for an invite that could admit nobody.
 */
export function issueInvite({ identity, swarm, state, nowMs, nonce }: Inviter, request: InviteRequest): InviteView {
  const self = state.members.find((m) => m.fingerprint === identity.fingerprint);
  // The voters' own word must count when the join is final: the state takes no invite of a member that left or is suspended.
  if (self?.vote !== 'voter' || (self.status !== 'active' && self.status !== 'away'))
    throw new StarlingError('NOT_VOTER', 'this node does not vote, and only voters may invite', {
      phase: 'invite',
      node: identity.fingerprint,
      vote: self?.vote ?? 'not a member',
      status: self?.status,
      fix: 'run `starling invite` on a voter; `starling swarm show` lists them',
    });
  if (request.vote && !holdsSeat(request.nodeClass))
    throw new StarlingError('BAD_INVITE', `a node of class ${request.nodeClass} does not vote`, {
      field: 'vote',
      phase: 'invite',
      fix: 'invite it as core or relay, or without the vote',
    });
  if (request.expiresMs <= nowMs)
    throw new StarlingError('BAD_INVITE', 'the invite would have expired already', {
      field: 'expiresMs',
      phase: 'invite',
      fix: 'choose a time to come, in milliseconds since 1970',
    });
  const invite = makeInvite({ swarm, ...request, nonce }, identity);
  return { token: encodeInviteToken(invite), invite };
}
