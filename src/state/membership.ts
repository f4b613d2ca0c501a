import { isKind } from '../ledger/index.ts';
import type { Evidence, Fingerprint, MemberState, MembershipBody, SignedEntry } from '../spec/index.ts';
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
 * A forked chain suspends its author until a later `resume`, with the block that brings its second branch into the order: the
 * ledger shows a fork by itself, and nobody needs to say so. It comes after the entries of its own block, so that a `resume`
 * beside the fork does not undo it.
 */
export function applyForks(roll: Roll, forked: readonly Fingerprint[]): void {
  for (const author of forked) {
    const member = roll.get(author);
    if (member?.status === 'active' || member?.status === 'away') roll.set(author, { ...member, status: 'suspended' });
  }
}

/**
 * Two votes expel for good and at once, whatever is left of the committee: a proven liar in it is worse than a small one. Two
 * remain where there were three, and then both are a quorum, which is safe and survives no crash, until somebody is admitted;
 * with none left nothing is final any more.
 */
export function applyEvidence(roll: Roll, evidence: readonly Evidence[]): void {
  for (const { first } of evidence) {
    const member = roll.get(first.voter);
    if (member !== undefined) roll.set(member.fingerprint, { ...member, status: 'expelled', vote: 'none' });
  }
}
