/** What members found in an attempt, and the attempt that follows from it: a pure function, so that voters who heard the same sign the same. */
import { arrange, type BrokenLink, beaconOf, type Drop, dropsOf, type ReachReport, reform } from '../../aggregation/schedule/index.ts';
import {
  type Attempt,
  type Dropped,
  type EntryId,
  type Fingerprint,
  type Hex,
  MAX_BROKEN_LINKS,
  MAX_DROP_NAMES,
  survivorsOf,
} from '../../spec/index.ts';
import type { AccusedEdge, Finding } from '../../wire/index.ts';

/** Attempts whose findings are kept: each is at most a few hundred bytes a member. */
const ATTEMPTS_KEPT = 16;

/** The newest finding of each node, by attempt. */
export class Findings {
  readonly #of = new Map<Hex, Map<Fingerprint, Finding>>();

  /** Whether it says more than what is kept. */
  isNews(finding: Finding): boolean {
    return finding.seq > (this.#of.get(finding.attempt)?.get(finding.node)?.seq ?? -1);
  }

  /** Its signature is checked, and it is news. */
  add(finding: Finding): void {
    const found = this.#of.get(finding.attempt) ?? new Map<Fingerprint, Finding>();
    this.#of.set(finding.attempt, found.set(finding.node, finding));
    for (const [old] of this.#of) if (this.#of.size > ATTEMPTS_KEPT) this.#of.delete(old);
  }

  of(attempt: Hex): readonly Finding[] {
    return [...(this.#of.get(attempt)?.values() ?? [])];
  }
}

/** Who contributed what: the author of each rostered id, undefined for entries that are no contributions. */
export type AuthorOf = (id: EntryId) => Fingerprint | undefined;

/** Contributions that an attempt sums, by author. */
export const rowsOf = (attempt: Pick<Attempt, 'roster' | 'dropped'>, authorOf: AuthorOf): Map<Fingerprint, EntryId> =>
  new Map(
    survivorsOf(attempt).flatMap((id) => {
      const author = authorOf(id);
      return author === undefined ? [] : [[author, id] as const];
    }),
  );

export interface Verdict {
  /** Whether it is over: a member that stays accuses a link of its own, or a culprit is named. */
  readonly failed: boolean;
  /** Members that stay and have not said whether they take it for failed: their word decides what follows. */
  readonly awaited: readonly Fingerprint[];
  readonly drops: readonly Dropped[];
  readonly broken: readonly BrokenLink[];
}

/**
 * What findings about `attempt` come to. A culprit goes when it names itself, or more than half of the others do, so that no few can; a
 * link counts as failed when one of its ends that stays says so. `present`: who takes part at all, where that is known.
 */
export function judge(attempt: Attempt, authorOf: AuthorOf, findings: readonly Finding[], present?: readonly Fingerprint[]): Verdict {
  const ids = rowsOf(attempt, authorOf);
  const isAbsent = (member: Fingerprint): boolean => present?.includes(member) === false;
  const absent = [...ids.keys()].filter(isAbsent);
  const members = [...ids.keys()].filter((member) => !isAbsent(member)).sort();
  const isMember = new Set(members);
  const heard = findings.filter(({ node }) => isMember.has(node)).sort((a, b) => (a.node < b.node ? -1 : 1));
  const half = (members.length - 1) / 2;
  const namedBy = (member: Fingerprint): Fingerprint[] => heard.flatMap(({ node, culprits }) => (culprits.includes(member) ? [node] : []));
  const evidence = new Set(members.filter((member) => namedBy(member).includes(member) || namedBy(member).length > half));
  const reports = heard.flatMap(({ node, failure }): ReachReport[] =>
    failure === null ? [] : [{ by: node, unreachable: failure.unreachable }],
  );
  const gone = new Set(dropsOf(members, evidence, reports).map(({ member }) => member));
  // A link that is broken already ends no other attempt: each word of a liar costs it a link.
  const isUsable = (a: Fingerprint, b: Fingerprint): boolean =>
    isMember.has(a) && isMember.has(b) && a !== b && !attempt.broken.some((pair) => pair.includes(a) && pair.includes(b));
  const edges = heard.flatMap(({ node, failure }) =>
    gone.has(node) ? [] : (failure?.accused ?? []).filter(({ from, to }) => (from === node || to === node) && isUsable(from, to)),
  );
  const accused = edges.map(({ from, to }): BrokenLink => [from, to]);
  const { next, drops } = reform({ number: attempt.number, members, broken: attempt.broken }, { accused, reports, evidence });
  const { stranded } = arrange({
    beacon: beaconOf(attempt.base, attempt.epoch),
    attempt: next.number,
    members: next.members,
    broken: next.broken,
  });
  const all: Drop[] = [
    ...absent.map((member) => ({ member, why: 'unreachable' as const, by: [] })),
    ...drops,
    ...stranded.map((member) => ({ member, why: 'links' as const, by: endsOf(member, next.broken) })),
  ];
  const out = new Set(all.map(({ member }) => member));
  const said = new Set(reports.map(({ by }) => by));
  return {
    failed: edges.length > 0 || gone.size > 0 || absent.length > 0,
    awaited: edges.length === 0 && reports.length === 0 ? [] : members.filter((member) => !out.has(member) && !said.has(member)),
    drops: shortened(
      all.map(({ member, why, by }) => ({
        id: ids.get(member) as EntryId,
        why,
        by,
        at: why === 'evidence' ? null : edgeOf(member, edges),
      })),
      attempt.dropped,
    ),
    broken: next.broken.filter((pair) => !pair.some((end) => out.has(end))).slice(0, MAX_BROKEN_LINKS),
  };
}

/** The attempt with the given number that follows from a verdict on `attempt`. */
export function follow(attempt: Attempt, { drops, broken }: Verdict, number: number): Attempt {
  const dropped = [...attempt.dropped, ...drops].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { ...attempt, number, dropped, broken };
}

const endsOf = (member: Fingerprint, links: readonly BrokenLink[]): Fingerprint[] =>
  links.flatMap(([a, b]) => (a === member ? [b] : b === member ? [a] : [])).sort();

/** The accused edge of a member that comes first in an order that all share. */
function edgeOf(member: Fingerprint, edges: readonly AccusedEdge[]): Dropped['at'] {
  const place = ({ phase, from, to }: AccusedEdge): string => `${phase} ${from} ${to}`;
  const [first] = edges.filter(({ from, to }) => from === member || to === member).sort((a, b) => (place(a) < place(b) ? -1 : 1));
  return first === undefined ? null : { phase: first.phase, from: first.from, to: first.to };
}

/** Names are for people: as many as an attempt may hold beside those of earlier drops. */
function shortened(drops: readonly Dropped[], earlier: readonly Dropped[]): Dropped[] {
  const namesIn = ({ by, at }: Dropped): number => by.length + (at === null ? 0 : 2);
  let left = MAX_DROP_NAMES - earlier.reduce((sum, drop) => sum + namesIn(drop), 0);
  const places = drops.map((drop) => {
    const at = left >= 2 ? drop.at : null;
    left -= at === null ? 0 : 2;
    return { ...drop, at };
  });
  return places.map((drop) => {
    const by = drop.by.slice(0, Math.max(0, left));
    left -= by.length;
    return { ...drop, by };
  });
}
