/** The attempt that a voter signs next. Where voters are apart, the next number goes to what most of them signed before. */
import type { Attempt, Dropped, EntryId } from '../../spec/index.ts';
import type { Ballots } from './ballots.ts';
import { follow, type Verdict } from './findings.ts';
import type { AverageJob } from './job.ts';
import type { ExchangeWorld } from './world.ts';

/** Before anything was certified: the settled roster, or the one that most have settled, if all of it is known here. */
export function firstOf(world: ExchangeWorld, ballots: Ballots, job: AverageJob, number: number): Attempt {
  const { base, roster, onlySigners, signers } = job;
  const favourite = ballots.favourite(number - 1);
  const isKnown = favourite?.roster.every((id) => world.contribution(id) !== undefined) === true;
  if (favourite !== undefined && isKnown) return { ...favourite, number };
  const isLeftOut = (id: EntryId): boolean => {
    const author = world.contribution(id)?.author;
    return onlySigners === true && author !== undefined && !signers.includes(author);
  };
  const dropped = roster.filter(isLeftOut).map((id): Dropped => ({ id, why: 'unreachable', by: [], at: null }));
  return { swarm: world.swarm, epoch: base.epoch + 1, base: base.decision, number, roster, dropped, broken: [] };
}

/** After an attempt that failed: what the findings known here come to. */
export function followingOf(ballots: Ballots, attempt: Attempt, verdict: Verdict, number: number): Attempt {
  const favourite = number - 1 > attempt.number ? ballots.favourite(number - 1) : undefined;
  const isOfIt =
    favourite?.roster.join() === attempt.roster.join() &&
    attempt.dropped.every(({ id }) => favourite.dropped.some((drop) => drop.id === id));
  return favourite !== undefined && isOfIt ? { ...favourite, number } : follow(attempt, verdict, number);
}
