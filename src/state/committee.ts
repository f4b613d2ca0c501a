import {
  type Fingerprint,
  type Genesis,
  holdsSeat,
  MAX_VOTERS,
  type MemberState,
  mayContribute,
  type NodeClass,
  type SwarmState,
} from '../spec/index.ts';

/** Members by fingerprint while a step is applied: each stage of a reduction puts the changed ones in. */
export type Roll = Map<Fingerprint, MemberState>;

/** Voters. The smallest committee, beside a single voter, that survives a crash (PROTOCOL section 2). */
const MIN_COMMITTEE = 3;

/**
 * The committee, ascending: whoever holds the vote, whatever its standing. Who is away is counted (PROTOCOL section 2);
 * who is suspended keeps the vote, since a fork of a chain says nothing about votes and finality must not move; who wants to
 * leave votes until the committee can spare it.
 */
export const votersOf = (state: Pick<SwarmState, 'members'>): Fingerprint[] =>
  state.members
    .filter((m) => m.vote === 'voter')
    .map((m) => m.fingerprint)
    .sort();

/** Active, or away by its own word: what it says and brings counts. */
export const inGoodStanding = (member: MemberState): boolean => member.status === 'active' || member.status === 'away';

/** Has a share of trust. Who left or was expelled has none. */
export const isTrusted = (member: MemberState): boolean => member.status !== 'left' && member.status !== 'expelled';

/**
 * Whether a contribution of this author may be rostered: a member in good standing of a class that learns; under open
 * admission also a stranger of class `nodeClass`, whose join stands earlier in its chain.
 */
export function mayContributeNow(state: SwarmState, author: Fingerprint, nodeClass: NodeClass, genesis: Genesis): boolean {
  const member = state.members.find((m) => m.fingerprint === author);
  if (member === undefined) return genesis.admission === 'open' && mayContribute(nodeClass);
  return inGoodStanding(member) && mayContribute(member.nodeClass);
}

/** Under open voting every active member of a class that may vote is granted the vote. */
export function grantOpenly(genesis: Genesis, roll: Roll): void {
  if (genesis.voting !== 'open') return;
  for (const m of roll.values()) {
    if (m.status === 'active' && m.vote === 'none' && holdsSeat(m.nodeClass)) roll.set(m.fingerprint, { ...m, vote: 'granted' });
  }
}

/**
 * Changes of the committee at a block, in this order. Newcomers: all that were granted the vote and are active, ascending
 * and up to MAX_VOTERS, if three vote then. Removals: of `absent`, in its order, as long as three remain. Leavers: as many
 * of those that want to leave, ascending, as leave one voter or at least three. Returns whom it removed.
 */
export function settleCommittee(roll: Roll, absent: readonly Fingerprint[]): Fingerprint[] {
  let size = withVote(roll, 'voter').length;
  const newcomers = withVote(roll, 'granted')
    .filter((m) => m.status === 'active')
    .slice(0, Math.max(0, MAX_VOTERS - size));
  if (size + newcomers.length >= MIN_COMMITTEE) {
    for (const m of newcomers) roll.set(m.fingerprint, { ...m, vote: 'voter' });
    size += newcomers.length;
  }
  const removed: Fingerprint[] = [];
  for (const fingerprint of absent) {
    const m = roll.get(fingerprint);
    if (m?.vote !== 'voter' || size - 1 < MIN_COMMITTEE) continue;
    roll.set(fingerprint, { ...m, vote: 'removed' });
    removed.push(fingerprint);
    size -= 1;
  }
  const leavers = withVote(roll, 'voter').filter((m) => m.status === 'left');
  let leaving = leavers.length;
  while (leaving > 0 && size - leaving !== 1 && size - leaving < MIN_COMMITTEE) leaving -= 1;
  for (const m of leavers.slice(0, leaving)) roll.set(m.fingerprint, { ...m, vote: 'none' });
  // Whoever is gone for good holds no right to come back to.
  for (const m of roll.values()) {
    if (m.status === 'left' && (m.vote === 'granted' || m.vote === 'removed')) roll.set(m.fingerprint, { ...m, vote: 'none' });
  }
  return removed;
}

const withVote = (roll: Roll, vote: MemberState['vote']): MemberState[] => sortedMembers(roll.values()).filter((m) => m.vote === vote);

export const sortedMembers = (members: Iterable<MemberState>): MemberState[] =>
  [...members].sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
