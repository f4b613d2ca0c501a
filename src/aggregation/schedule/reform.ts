import type { Fingerprint } from '../../spec/index.ts';
import type { BrokenLink } from './arrange.ts';
import { type Drop, dropsOf, type ReachReport } from './drops.ts';

/** What an attempt is made of: q voters sign it before its first byte (PROTOCOL section 6). */
export interface Attempt {
  /** 0, 1, 2, ... within an epoch. */
  readonly number: number;
  /** Ascending. */
  readonly members: readonly Fingerprint[];
  /** Links among them that failed in earlier attempts; each pair ascending, and so their list. */
  readonly broken: readonly BrokenLink[];
}

export interface Failure {
  /** Edges that were accused, by their ends. */
  readonly accused: readonly BrokenLink[];
  /** What each member found when it tried to reach all others. */
  readonly reports: readonly ReachReport[];
  /** Members that signed what they must not. */
  readonly evidence: ReadonlySet<Fingerprint>;
}

/**
 * The attempt after one that failed, and who is not in it, why. An accused link between two that stay is not used again. Who has such
 * links to more than half of the others goes too: so a liar that accuses all its neighbours ends its own part, after as many attempts
 * as half the members at most.
 */
export function reform(
  attempt: Attempt,
  { accused, reports, evidence }: Failure,
): { readonly next: Attempt; readonly drops: readonly Drop[] } {
  const drops = [...dropsOf(attempt.members, evidence, reports)];
  const stays = (member: Fingerprint): boolean => attempt.members.includes(member) && !drops.some((drop) => drop.member === member);
  const pairs = new Map<string, BrokenLink>();
  for (const [a, b] of [...attempt.broken, ...accused]) {
    const pair: BrokenLink = a < b ? [a, b] : [b, a];
    if (a !== b && stays(a) && stays(b)) pairs.set(pair.join(' '), pair);
  }
  const half = (attempt.members.length - 1) / 2;
  // The worst first, and its links with it: the other ends of a liar's links are not to blame for them.
  for (;;) {
    const links = new Map<Fingerprint, Fingerprint[]>();
    for (const [a, b] of pairs.values()) {
      links.set(a, [...(links.get(a) ?? []), b]);
      links.set(b, [...(links.get(b) ?? []), a]);
    }
    const [worst] = [...links].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
    // One link has two ends, and neither is worse.
    if (worst === undefined || worst[1].length < 2 || worst[1].length <= half) break;
    drops.push({ member: worst[0], why: 'links', by: worst[1].sort() });
    for (const [key, pair] of pairs) if (pair.includes(worst[0])) pairs.delete(key);
  }
  const members = attempt.members.filter(stays).sort();
  const broken = [...pairs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair);
  return { next: { number: attempt.number + 1, members, broken }, drops };
}
