import { fingerprintOf } from '../crypto/signatures.ts';
import { type EntryOf, isKind } from '../ledger/index.ts';
import {
  type Genesis,
  holdsSeat,
  type Invite,
  type MemberState,
  type NodeCertificate,
  type SwarmId,
  type SwarmState,
  type VoteRight,
} from '../spec/index.ts';
import { verifyInvite } from '../wire/index.ts';
import { inGoodStanding, type Roll } from './committee.ts';
import type { Step } from './step.ts';

type Invites = SwarmState['invites'];

/**
 * Takes in the joins of a cut, in ledger order, and returns the invites as used after it (PROTOCOL section 2). A valid
 * invite admits; under open admission everyone is admitted. The vote right of an invite is granted by a block alone; a
 * provisional step makes plain members and leaves the count of uses as it was. A member that joins again can gain
 * the right to vote by it and nothing else, so that a second use of one invite by one author counts once.
 */
export function admitJoins(genesis: Genesis, swarm: SwarmId, state: SwarmState, step: Step, roll: Roll): Invites {
  const used = new Map(state.invites.map((i) => [keyOf(i), i]));
  for (const entry of step.cut) {
    if (!isKind(entry, 'join')) continue;
    const known = roll.get(entry.core.author);
    const after = known === undefined ? newcomer(entry) : upgraded(known, entry);
    if (after === undefined) continue;
    const { invite } = entry.core.body;
    const count = invite === null ? 0 : (used.get(keyOf(invite))?.used ?? 0);
    const invited = invite !== null && count < invite.uses && isValid(invite, entry, swarm, state, step);
    if (!invited && (known !== undefined || genesis.admission === 'invite')) continue;
    const granted = invited && step.block !== undefined;
    roll.set(after.fingerprint, granted ? after : { ...after, vote: known?.vote ?? 'none' });
    if (invited) used.set(keyOf(invite), { issuer: invite.issuer, nonce: invite.nonce, used: count + 1 });
  }
  return step.block === undefined ? state.invites : [...used.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));

  function newcomer({ core }: EntryOf<'join'>): MemberState {
    return memberOf(core.body.certificate, step.body.epoch, core.body.invite?.vote === true ? 'granted' : 'none');
  }
}

/** A member that holds no right to vote and brings an invite with one; undefined for any other. */
function upgraded(member: MemberState, { core }: EntryOf<'join'>): MemberState | undefined {
  if (core.body.invite?.vote !== true || member.vote !== 'none' || !inGoodStanding(member)) return undefined;
  if (core.body.certificate.nodeClass !== member.nodeClass || !holdsSeat(member.nodeClass)) return undefined;
  return { ...member, vote: 'granted' };
}

/** Apart from the number of uses. A provisional step has no time, so that only blocks see an invite expire. */
function isValid(invite: Invite, entry: EntryOf<'join'>, swarm: SwarmId, state: SwarmState, step: Step): boolean {
  if (invite.swarm !== swarm || invite.nodeClass !== entry.core.body.certificate.nodeClass) return false;
  if (step.block !== undefined && step.block.timeMs > invite.expiresMs) return false;
  const issuer = state.members.find((m) => m.fingerprint === invite.issuer);
  if (issuer === undefined || !inGoodStanding(issuer)) return false;
  const may = invite.vote ? issuer.vote === 'voter' : holdsSeat(issuer.nodeClass);
  return may && verifyInvite(invite, issuer);
}

const keyOf = ({ issuer, nonce }: Pick<Invite, 'issuer' | 'nonce'>): string => `${issuer}/${nonce}`;

/** A member at its start: active, without trust of its own yet. Classes that may not vote are given no right to. */
export function memberOf(certificate: NodeCertificate, joinedEpoch: number, vote: VoteRight): MemberState {
  return {
    fingerprint: fingerprintOf(certificate.mldsaPublicKey, certificate.ed25519PublicKey),
    nodeClass: certificate.nodeClass,
    status: 'active',
    vote: holdsSeat(certificate.nodeClass) ? vote : 'none',
    ed25519PublicKey: certificate.ed25519PublicKey,
    mldsaPublicKey: certificate.mldsaPublicKey,
    joinedEpoch,
    lastEpoch: 0,
    emaX: 0,
    farStreak: 0,
    trust: 0,
  };
}
