/**
 * Butterfly: each member owns a segment, sees everyone's raw row of it, and gives back the sum of it or what a robust rule makes
 * of it (PROTOCOL section 6). Two steps; a member moves (N-1)/N of a row in the row's own width, and as much of the result.
 */

import { checkSummands, encodingOf, type Plan, partOf, type Rank, type Summands, type Transfer, totalEncoding } from './plan.ts';

const STEPS = 2;

/** What `rank` sends and receives. Throws MALFORMED or BOUNDS_EXCEEDED for summands that cannot be scheduled. */
export function butterflyPlan(rank: Rank, summands: Summands): Plan {
  checkSummands(summands);
  const members = summands.weights.length;
  const segment = (owner: Rank) => partOf({ start: 0, end: summands.elements }, members, owner);
  const result = totalEncoding(summands);
  const rows = (from: Rank, to: Rank): Transfer => ({
    step: 0,
    phase: 'reduceScatter',
    from,
    to,
    ...segment(to),
    mode: 'add',
    encoding: encodingOf([from], summands),
  });
  const back = (from: Rank, to: Rank): Transfer => ({
    step: 1,
    phase: 'allGather',
    from,
    to,
    ...segment(from),
    mode: 'set',
    encoding: result,
  });
  // Each begins with the one after it, so that no owner is everybody's first.
  const others = Array.from({ length: members - 1 }, (_, i) => (rank + 1 + i) % members);
  const kept = (transfers: Transfer[]): Transfer[] => transfers.filter(({ start, end }) => end > start);
  return {
    rank,
    steps: members > 1 ? STEPS : 0,
    sends: kept([...others.map((to) => rows(rank, to)), ...others.map((to) => back(rank, to))]),
    receives: kept([...others.map((from) => rows(from, rank)), ...others.map((from) => back(from, rank))]),
  };
}
