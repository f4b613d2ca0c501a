/** Step 10, apply: every node applies the chosen decisions in the same order and holds, bit for bit, the same model. */
import { liarsAmong } from '../aggregation/index.ts';
import { seatsOf } from '../consensus/forkChoice.ts';
import { ZERO_HASH } from '../crypto/index.ts';
import { asStarlingError, type DecisionBody, type DecisionId, StarlingError, type SwarmState } from '../spec/index.ts';
import { fetchAggregate, holdsAggregate, keepAggregate } from './aggregates.ts';
import { auditRoster, auditSum } from './audit.ts';
import { average, holdsRows } from './average.ts';
import type { Applied, HeldAggregate } from './chain.ts';
import { commits } from './commitment.ts';
import { type EpochContext, peerOf, plantDecisions } from './context.ts';
import { diffuses } from './diffusion/index.ts';
import { applyFinal } from './finality.ts';

/**
 * Ms for which a decision is passed over whose aggregate could not be had: its holders may be on the other side of a
 * partition, and a node that waited for them would be no use to those it can reach.
 */
const UNAVAILABLE_MS = 5_000;
/** The same where only entries of its roster are missing: its author is being asked for them already. */
const INCOMPLETE_MS = 300;
/** Aggregates asked for ahead of the one that is applied: a node that comes back catches up faster than the others go on. */
const AHEAD = 8;

/**
 * Applies the final blocks that are here; then, while no quorum is in reach, what the fork choice names of the provisional
 * decisions, as far as it is settled and can be had. Returns what was applied now.
 */
export async function apply(ctx: EpochContext): Promise<Applied[]> {
  if (ctx.pinned !== undefined) return [];
  const applied: Applied[] = [];
  for (let outcome = await applyFinal(ctx); outcome.kind === 'applied'; outcome = await applyFinal(ctx)) {
    plantDecisions(ctx);
    for (const id of ctx.notices) if (ctx.chain.find(id) !== undefined) ctx.notices.delete(id);
    applied.push(outcome.applied);
  }
  if (!ctx.quorate && !diffuses(ctx)) return [...applied, ...(await applyProvisional(ctx))];
  if (ctx.chain.isProvisional) {
    const dropped = ctx.chain.rewind(ctx.chain.finalized.state.epoch);
    ctx.ports.journal.log('info', 'epoch', 'a quorum is in reach: provisional results give way to blocks', { dropped: dropped.length });
  }
  return applied;
}

async function applyProvisional(ctx: EpochContext): Promise<Applied[]> {
  const applied: Applied[] = [];
  for (;;) {
    const nowMs = ctx.ports.clock.nowMs();
    const allowed = (id: DecisionId) => !ctx.refused.has(id) && (ctx.unavailable.get(id) ?? 0) <= nowMs;
    const { epoch, next } = ctx.decisions.best(ctx.chain, allowed, 1 + AHEAD);
    const [id, ...later] = next;
    if (id === undefined || (epoch === ctx.chain.head.state.epoch && !settled(ctx, id, later.length > 0))) return applied;
    for (const one of later) void fetchAhead(ctx, one);
    const done = await applyOne(ctx, epoch, id);
    if (done === 'passed over') continue;
    if (done === 'not yet') return applied;
    applied.push(done);
  }
}

/** Leaves the aggregate on disk; what fails is tried again when its turn comes. */
async function fetchAhead(ctx: EpochContext, id: DecisionId): Promise<void> {
  const body = ctx.decisions.body(id);
  if (body !== undefined) await fetchAggregate(ctx, id, body.aggregateHash).catch(() => undefined);
}

async function applyOne(ctx: EpochContext, baseEpoch: number, id: DecisionId): Promise<Applied | 'passed over' | 'not yet'> {
  const { journal } = ctx.ports;
  const body = ctx.decisions.body(id);
  const base = ctx.chain.at(baseEpoch);
  if (body === undefined || base === undefined) return 'not yet';
  try {
    if (body.epoch !== baseEpoch + 1)
      throw new StarlingError('INCOMPATIBLE', `a decision of epoch ${body.epoch} follows epoch ${baseEpoch}`, {
        field: 'epoch',
        phase: 'audit',
      });
    if (!body.roster.every((entry) => ctx.replica.graph.has(entry))) {
      throw new StarlingError('MISSING_PARENT', 'entries of its roster are not here', { field: 'roster', phase: 'apply' });
    }
    auditRoster(ctx, base.state, body);
    const { header, sum } = await aggregateOf(ctx, base.state, id, body);
    const sinceMs = ctx.ports.clock.nowMs();
    await auditSum(ctx, base.state, body, { header, sum });
    requireMade(ctx, base.state, id, body);
    ctx.timeline.mark(body.epoch, 'audit', sinceMs);
    const from = ctx.chain.head.state.epoch;
    const done = ctx.chain.extend(id, await ctx.chain.draft(base, body, { header, sum }));
    if (from > baseEpoch)
      journal.log('info', 'epoch', 'the swarm chose another branch', { from: baseEpoch, dropped: from - baseEpoch, to: id });
    return done;
  } catch (error) {
    const problem = asStarlingError(error, { phase: 'apply' });
    if (problem.facts.phase === 'audit') {
      ctx.refused.set(id, problem);
      journal.log('warn', 'epoch', 'a decision breaks a rule and is never applied', {
        decision: id,
        authors: [...ctx.decisions.authorsOf(id)].join(' '),
        ...problem.toJSON(),
      });
    } else {
      ctx.unavailable.set(id, ctx.ports.clock.nowMs() + (problem.code === 'MISSING_PARENT' ? INCOMPLETE_MS : UNAVAILABLE_MS));
      journal.log('info', 'epoch', 'a decision cannot be applied now', { decision: id, ...problem.toJSON() });
    }
    return 'passed over';
  }
}

/**
 * What a rule made over segments is known to whoever took part; anybody else believes more deciders than rows may lie. Throws
 * AGGREGATE_MISSING: others may say the same yet.
 */
function requireMade(ctx: EpochContext, base: SwarmState, id: DecisionId, { aggregateHash, roster }: DecisionBody): void {
  if (!ctx.isScheduled(base) || commits(ctx, base) || aggregateHash === ZERO_HASH || ctx.sums.checked(aggregateHash) !== undefined) return;
  const rows = roster.filter((entry) => ctx.replica.graph.get(entry)?.core.kind === 'contribution').length;
  const deciders = ctx.decisions.authorsOf(id).size;
  if (deciders >= liarsAmong(rows) + 1) return;
  throw new StarlingError('AGGREGATE_MISSING', `${deciders} have decided what a rule made of ${rows} rows, and this node took no part`, {
    phase: 'apply',
    fix: 'wait until more of its members are connected',
  });
}

/**
 * The aggregate of a decision: what the rows give where they are held, and only else what others hold. Of a decision
 * that names another one the audit finds that, with nothing fetched.
 */
async function aggregateOf(ctx: EpochContext, base: SwarmState, id: DecisionId, body: DecisionBody): Promise<HeldAggregate> {
  if (ctx.isScheduled(base)) return ctx.sums.find(base, body.aggregateHash) ?? fetchAggregate(ctx, id, body.aggregateHash);
  if (!holdsRows(ctx, body)) return fetchAggregate(ctx, id, body.aggregateHash);
  const own = await average(ctx, base, body.roster);
  if (own.hash === body.aggregateHash && !holdsAggregate(ctx, own.hash)) await keepAggregate(ctx, own);
  return own;
}

/**
 * Whether a decision on the head is taken over. A node that has decided here itself follows the fork choice; before
 * that it adopts what more than half of the seats decided (PROTOCOL section 5), or more than half of those that can
 * be reached now, so that a minority cut off from the rest goes on. Where others have gone on to the next epoch
 * already, more than a third of those in reach is enough: an honest node is among them, and waiting here is in vain.
 */
function settled(ctx: EpochContext, id: DecisionId, goesOn: boolean): boolean {
  const { decisions, chain } = ctx;
  if (decisions.children(chain.head.id).some((child) => decisions.authorsOf(child).has(ctx.self))) return true;
  const seats = seatsOf(chain.head.state);
  const support = decisions.supporters(id, seats).length;
  const reachable = seats.filter((f) => f === ctx.self || peerOf(ctx, f) !== undefined).length;
  return 2 * support > seats.length || (support > 0 && (goesOn ? 3 : 2) * support > reachable);
}
