/** When an attempt is over, and what a voter signs next. Where voters are apart, the next number goes to what most of them signed before. */
import type { Attempt, Dropped, EntryId, Fingerprint, Hex } from '../../spec/index.ts';
import type { Finding } from '../../wire/index.ts';
import type { Ballots, Electorate } from './ballots.ts';
import { follow, type Verdict } from './findings.ts';
import type { AverageJob } from './job.ts';
import type { ExchangeWorld } from './world.ts';

/** Deadlines that who holds a sum waits for the others to hold it too, before it votes for another attempt, or goes on with its own. */
const HOLD_DEADLINES = 2;

/** How far an attempt has come here. */
interface Progress {
  readonly held: { readonly digest: Hex; readonly atMs: number } | undefined;
  readonly failedMs: number | undefined;
  readonly checking: boolean;
  readonly deadlineMs: number;
  holders(): readonly Fingerprint[];
}

/** Whether another attempt is to follow: all that count have spoken, or had the time to, and nobody can give the sum of this one. */
export function isGivenUp(part: Progress, { failed, awaited, drops }: Verdict, nowMs: number): boolean {
  if (!failed || part.failedMs === undefined) return false;
  if (part.checking && !drops.some(({ why }) => why === 'evidence')) return false;
  const waitedMs = nowMs - part.failedMs;
  const canEnd = part.held !== undefined || part.holders().length > 0;
  if (canEnd && waitedMs <= HOLD_DEADLINES * part.deadlineMs) return false;
  return awaited.length === 0 || waitedMs > part.deadlineMs;
}

/** So many voters hold the sum that no other attempt can be certified, or this node waited long enough for that. */
export function isSettled(part: Progress, findings: readonly Finding[], { signers, needed }: Electorate, nowMs: number): boolean {
  const { held, failedMs, deadlineMs } = part;
  if (held === undefined) return false;
  const done = findings.filter((finding) => finding.done === held.digest && signers.includes(finding.node));
  return done.length >= needed || (failedMs === undefined && nowMs - held.atMs > HOLD_DEADLINES * deadlineMs);
}

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
