import { isKind } from '../ledger/index.ts';
import type { Evidence, MemberState, MembershipBody, SignedEntry } from '../spec/index.ts';
import type { Roll } from './committee.ts';

/** What members say of themselves, in ledger order. Strangers and expelled members are not heard. */
export function applyMembership(roll: Roll, cut: readonly SignedEntry[]): void {
  for (const entry of cut) {
    const member = roll.get(entry.core.author);
    if (member === undefined || member.status === 'expelled' || !isKind(entry, 'membership')) continue;
    roll.set(member.fingerprint, said(member, entry.core.body.action));
  }
}

function said(member: MemberState, action: MembershipBody['action']): MemberState {
  switch (action) {
    case 'away':
      return member.status === 'active' ? { ...member, status: 'away' } : member;
    case 'leave':
      // A voter keeps the vote until the committee can spare it (`settleCommittee`).
      return { ...member, status: 'left' };
    case 'resume':
      return { ...member, status: 'active', vote: member.vote === 'removed' ? 'granted' : member.vote };
  }
}

/**
 * Evidence in a block (PROTOCOL section 1). Two votes expel for good and at once, whatever is left of the committee: a
 * proven liar in it is worse than a small one. Two remain where there were three, and then both are a quorum, which is safe
 * and survives no crash, until somebody is admitted; with none left nothing is final any more. A forked chain suspends until a later
 * `resume`, which is why evidence comes after the entries of its own block.
 */
export function applyEvidence(roll: Roll, evidence: readonly Evidence[]): void {
  for (const proof of evidence) {
    const member = roll.get(proof.kind === 'vote' ? proof.first.voter : proof.author);
    if (member === undefined) continue;
    if (proof.kind === 'vote') roll.set(member.fingerprint, { ...member, status: 'expelled', vote: 'none' });
    else if (member.status === 'active' || member.status === 'away') roll.set(member.fingerprint, { ...member, status: 'suspended' });
  }
}
