/** Who is left out of the next attempt (PROTOCOL section 6, Drops). */
import type { Dropped, Fingerprint } from '../../spec/index.ts';

/** What one member finds after an accusation, when each tries to reach all others. */
export interface ReachReport {
  readonly by: Fingerprint;
  readonly unreachable: readonly Fingerprint[];
}

export interface Drop {
  readonly member: Fingerprint;
  /**
   * evidence: it signed what it must not. unreachable: more than half of the others, who can reach most, cannot reach it. links: its
   * links to more than half of the others failed in this epoch's attempts (reform.ts).
   */
  readonly why: Dropped['why'];
  /** Who reported it, or the other ends, ascending; empty for evidence. */
  readonly by: readonly Fingerprint[];
}

/**
 * A failing link names two ends and drops neither. A member that cannot reach more than half of the others is itself cut off: what
 * it reports counts for nothing, so two members never drop each other, and in a partition only the smaller side goes.
 * Reports of strangers are passed over; several of one member count as one. Drops come in the order of `members`.
 */
export function dropsOf(members: readonly Fingerprint[], evidence: ReadonlySet<Fingerprint>, reports: readonly ReachReport[]): Drop[] {
  const isMember = new Set(members);
  const half = (members.length - 1) / 2;
  const found = new Map<Fingerprint, Set<Fingerprint>>();
  for (const { by, unreachable } of reports) {
    if (!isMember.has(by)) continue;
    const names = found.get(by) ?? new Set();
    for (const member of unreachable) if (isMember.has(member) && member !== by) names.add(member);
    found.set(by, names);
  }
  const heard = [...found].filter(([by, names]) => !evidence.has(by) && names.size <= half);
  return members.flatMap((member): Drop[] => {
    if (evidence.has(member)) return [{ member, why: 'evidence', by: [] }];
    const by = heard.flatMap(([reporter, names]) => (names.has(member) ? [reporter] : [])).sort();
    return by.length > half ? [{ member, why: 'unreachable', by }] : [];
  });
}
