/** Step 9, finalise: what a proposer offers, and what a validator holds against it before it votes (PROTOCOL section 7). */
import { quorumOf } from '../consensus/index.ts';
import { ZERO_HASH } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import {
  BLOCK_TIME_STEP_MS,
  type Block,
  type BlockHeader,
  type DecisionBody,
  type EntryId,
  type Fingerprint,
  type Hex,
  MAX_TIPS,
  StarlingError,
  VOTING,
} from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { makeBlock, votersHash } from '../wire/index.ts';
import { fetchAggregate } from './aggregates.ts';
import { auditRoster, auditSum, ineligible } from './audit.ts';
import { average, holdsRows, weighs } from './average.ts';
import type { Applied, BlockParts, Draft, HeldAggregate } from './chain.ts';
import type { EpochContext } from './context.ts';
import { isCut } from './cuts.ts';
import { checkEvidence, pendingEvidence } from './evidence.ts';
import type { Aggregate } from './sums.ts';
import type { Candidate } from './waitingBlocks.ts';

/** What the committee said of an aggregate: the verdict entries on it, one a voter, the first of each. */
function verdictsOn(ctx: EpochContext, base: Applied, aggregateHash: Hex): EntryId[] {
  const found = new Map<string, EntryId>();
  for (const voter of votersOf(base.state)) {
    for (const head of ctx.replica.graph.heads(voter)) {
      // The verdicts of an epoch are among the newest entries of each voter.
      let entry = ctx.replica.graph.get(head);
      while (entry !== undefined && !isCut(ctx, base, entry.id) && !found.has(voter)) {
        if (isKind(entry, 'verdict') && entry.core.body.base === base.id && entry.core.body.aggregateHash === aggregateHash)
          found.set(voter, entry.id);
        entry = entry.core.prev === null ? undefined : ctx.replica.graph.get(entry.core.prev);
      }
    }
  }
  return [...found.values()];
}

/** Whether a block over this aggregate could be proposed: q voters have judged it, or nothing is averaged. */
export const isJudged = (ctx: EpochContext, base: Applied, aggregateHash: Hex): boolean =>
  aggregateHash === ZERO_HASH || verdictsOn(ctx, base, aggregateHash).length >= quorumOf(votersOf(base.state).length);

/** The block that this node would propose over `base` for what was averaged; an empty one for nothing. */
export async function draftBlock(ctx: EpochContext, base: Applied, aggregate: Aggregate): Promise<Candidate> {
  const body: DecisionBody = {
    epoch: base.state.epoch + 1,
    prev: base.id,
    roster: aggregate.roster,
    weights: aggregate.weights,
    aggregateHash: aggregate.hash,
    dropped: aggregate.dropped,
  };
  const parts: BlockParts = {
    tips: tipsFor(ctx, base, body),
    evidence: pendingEvidence(ctx, base),
    timeMs: Math.min(Math.max(base.timeMs + 1, Math.floor(ctx.ports.clock.wallMs())), base.timeMs + BLOCK_TIME_STEP_MS),
  };
  const draft = await ctx.chain.draft(base, body, aggregate, parts);
  return { block: blockOf(ctx, base, draft, parts), draft, aggregate };
}

/**
 * What the ledger holds beyond the last cut and this block should take in: the verdicts it needs, then every chain's newest
 * entries, the oldest first.
 */
function tipsFor(ctx: EpochContext, base: Applied, body: DecisionBody): EntryId[] {
  const { graph } = ctx.replica;
  const wanted = new Set<EntryId>(body.aggregateHash === ZERO_HASH ? [] : verdictsOn(ctx, base, body.aggregateHash));
  const open = graph
    .authors()
    .flatMap((author) => newestOf(ctx, base, author))
    .flatMap((id) => {
      const entry = graph.get(id);
      return entry === undefined || isCut(ctx, base, id) ? [] : [entry];
    });
  open.sort((a, b) => a.core.lam - b.core.lam || (a.id < b.id ? -1 : 1));
  for (const { id } of open) if (wanted.size < MAX_TIPS && !body.roster.includes(id)) wanted.add(id);
  return [...wanted].filter((id) => !isCut(ctx, base, id)).sort();
}

/** The end of an author's chain. Of a forked one the sides of its first open fork, two at most, however many branches follow. */
function newestOf(ctx: EpochContext, base: Applied, author: Fingerprint): readonly EntryId[] {
  const { graph } = ctx.replica;
  const isOpen = (id: EntryId): boolean => !isCut(ctx, base, id);
  const fork = graph.forksOf(author).find(({ ids }) => ids.some(isOpen));
  return fork === undefined ? graph.heads(author) : fork.ids.filter(isOpen).slice(0, 2);
}

function blockOf(ctx: EpochContext, base: Applied, draft: Draft, parts: BlockParts): Block {
  const { state, body } = draft;
  return makeBlock(
    {
      v: 1,
      swarm: ctx.swarm,
      epoch: body.epoch,
      prev: body.prev,
      treeSize: state.treeSize,
      treeRoot: state.treeRoot,
      aggregateHash: body.aggregateHash,
      modelRoot: state.modelRoot,
      stateRoot: draft.stateRoot,
      votersHash: votersHash(votersOf(base.state)),
      nextVotersHash: votersHash(votersOf(state)),
      timeMs: parts.timeMs,
    },
    { tips: parts.tips, roster: body.roster, weights: body.weights, evidence: parts.evidence, dropped: body.dropped },
  );
}

/** Entries, beside those held, that a block stands on. */
export function missingOf(ctx: EpochContext, block: Block): EntryId[] {
  return [...block.body.roster, ...block.body.tips].filter((id) => !ctx.replica.graph.has(id));
}

export type Check =
  | { readonly kind: 'valid'; readonly candidate: Candidate }
  /** Not yet: entries, rows or the model before are on their way. */
  | { readonly kind: 'incomplete'; readonly missing: readonly EntryId[] }
  | { readonly kind: 'invalid'; readonly error: StarlingError };

export const decisionOf = (block: Block): DecisionBody => ({
  epoch: block.header.epoch,
  prev: block.header.prev,
  roster: block.body.roster,
  weights: block.body.weights,
  aggregateHash: block.header.aggregateHash,
  dropped: block.body.dropped,
});

const partsOf = (block: Block): BlockParts => ({
  tips: block.body.tips,
  evidence: block.body.evidence,
  timeMs: block.header.timeMs,
});

/**
 * Everything that a prevote for `block` in `round` asserts: it follows the newest block, every entry of its cut is held, its
 * roster and weights are right, its sum, order and roots are what this node computes too. Deterministic, but for what has
 * not arrived yet. `wasValid`: q voters prevoted it in an earlier round.
 */
export async function checkBlock(ctx: EpochContext, base: Applied, block: Block, round: number, wasValid: boolean): Promise<Check> {
  const { header, body } = block;
  const decision = decisionOf(block);
  try {
    requireFollows(ctx, base, header);
    const missing = missingOf(ctx, block);
    if (missing.length > 0) return { kind: 'incomplete', missing };
    auditRoster(ctx, base.state, decision);
    requireWork(ctx, base, decision, round, wasValid);
    for (const evidence of body.evidence) checkEvidence(ctx, base, evidence);
    requireJudged(ctx, base, block);
    const rows = ctx.chain.contributionsOf(decision).filter((e) => ctx.updates.row(e.id) === undefined);
    const aggregate = await (ctx.isScheduled(base.state) ? openedAggregate : seenAggregate)(ctx, base, block, wasValid);
    if (aggregate === undefined) return { kind: 'incomplete', missing: rows.map((e) => e.id) };
    if ('hash' in aggregate && aggregate.hash !== header.aggregateHash)
      throw broken('aggregateHash', `the roster averages to ${aggregate.hash} here, the block says ${header.aggregateHash}`);
    const draft = await ctx.chain.draft(base, decision, aggregate, partsOf(block));
    requireSame(ctx, base, block, draft);
    return { kind: 'valid', candidate: { block, draft, aggregate } };
  } catch (error) {
    if (error instanceof StarlingError && error.facts.phase === 'audit') return { kind: 'invalid', error };
    // The model that it builds on is being pulled.
    if (error instanceof StarlingError && error.code === 'AGGREGATE_MISSING') return { kind: 'incomplete', missing: [] };
    throw error;
  }
}

/** What everyone can sum. q voters held the rows when they prevoted it: after a restart their sum is left, and may be all that is. */
async function seenAggregate(ctx: EpochContext, base: Applied, block: Block, wasValid: boolean): Promise<HeldAggregate | undefined> {
  if (holdsRows(ctx, decisionOf(block))) return await average(ctx, base.state, block.body.roster);
  return wasValid ? await fetchAggregate(ctx, block.hash, block.header.aggregateHash).catch(() => undefined) : undefined;
}

/**
 * What was summed by a schedule: this node's own, or pulled by its hash and held against the commitments. The attempt that made it must
 * be certified here, unless q voters have found that before.
 */
async function openedAggregate(ctx: EpochContext, base: Applied, block: Block, wasValid: boolean): Promise<HeldAggregate | undefined> {
  const { aggregateHash } = block.header;
  if (aggregateHash === ZERO_HASH) {
    if (weighs(ctx, base.state, block.body.roster)) throw broken('aggregateHash', 'contributions are rostered, and none is summed');
    return { header: undefined, sum: undefined };
  }
  const own = ctx.sums.find(base.state, aggregateHash);
  if (own === undefined && ctx.sums.isComing(base.state, aggregateHash, ctx.ports.clock.nowMs())) return undefined;
  const aggregate = own ?? (await fetchAggregate(ctx, block.hash, aggregateHash).catch(() => undefined));
  if (aggregate === undefined) return undefined;
  await auditSum(ctx, base.state, decisionOf(block), aggregate);
  const attempt = ctx.sums.checked(aggregateHash);
  return wasValid || (attempt !== undefined && ctx.sums.isCertified(attempt)) ? aggregate : undefined;
}

/**
 * The step of a final block: its roots are certified, so its sum need not be at hand. Every entry of its cut must be held.
 * Throws DIVERGED where this node's own ledger leads elsewhere.
 */
export async function draftFinal(ctx: EpochContext, base: Applied, block: Block, aggregate: HeldAggregate): Promise<Draft> {
  const draft = await ctx.chain.draft(base, decisionOf(block), aggregate, partsOf(block), block.header.modelRoot);
  try {
    requireSame(ctx, base, block, draft);
  } catch (error) {
    if (!(error instanceof StarlingError)) throw error;
    throw new StarlingError('DIVERGED', `block ${block.header.epoch} is final, and this node's ledger leads elsewhere: ${error.message}`, {
      ...error.facts,
      phase: 'apply',
      epoch: block.header.epoch,
      fix: 'stop the daemon and run `starling fsck --repair`: its data is damaged, or more than a third of the voters lied',
    });
  }
  return draft;
}

function requireFollows(ctx: EpochContext, base: Applied, header: BlockHeader): void {
  if (header.swarm !== ctx.swarm) throw broken('swarm', `it is of swarm ${header.swarm}`);
  if (header.epoch !== base.state.epoch + 1 || header.prev !== base.id)
    throw broken('prev', `it follows ${header.prev}, the newest block is ${base.id}`);
  const before = base.timeMs;
  if (header.timeMs <= before || header.timeMs > before + BLOCK_TIME_STEP_MS)
    throw broken('timeMs', `its time ${header.timeMs} is not after that of the block before, ${before}, or is more than a day later`);
}

/** An empty block is acceptable only from round 2 on, or when nothing is eligible (PROTOCOL section 7). */
function requireWork(ctx: EpochContext, base: Applied, decision: DecisionBody, round: number, wasValid: boolean): void {
  if (decision.aggregateHash !== ZERO_HASH || wasValid || round >= VOTING.emptyFromRound) return;
  const eligible = ctx.replica.graph
    .contributionsOf(decision.epoch)
    .some((e) => ineligible(ctx, base.state, e) === undefined && (ctx.isScheduled(base.state) || ctx.updates.row(e.id) !== undefined));
  if (eligible) throw broken('roster', `an empty block before round ${VOTING.emptyFromRound}, and contributions are at hand`);
}

/** The cut of a block that averages holds the verdicts of q voters. */
function requireJudged(ctx: EpochContext, base: Applied, block: Block): void {
  const { aggregateHash } = block.header;
  if (aggregateHash === ZERO_HASH) return;
  const cut = ctx.replica.graph.closure([...block.body.roster, ...block.body.tips], (id) => isCut(ctx, base, id));
  const voters = new Set(votersOf(base.state));
  const judges = new Set<string>();
  for (const id of cut) {
    const entry = ctx.replica.graph.get(id);
    if (entry === undefined || !isKind(entry, 'verdict') || !voters.has(entry.core.author)) continue;
    if (entry.core.body.base === base.id && entry.core.body.aggregateHash === aggregateHash) judges.add(entry.core.author);
  }
  const quorum = quorumOf(voters.size);
  if (judges.size < quorum) throw broken('tips', `its cut holds ${judges.size} verdicts on its aggregate, ${quorum} are needed`);
}

function requireSame(ctx: EpochContext, base: Applied, block: Block, draft: Draft): void {
  const own = blockOf(ctx, base, draft, partsOf(block)).header;
  const { header } = block;
  for (const field of Object.keys(own) as (keyof BlockHeader)[])
    if (own[field] !== header[field]) throw broken(field, `${field} is ${header[field]}, this node computes ${own[field]}`);
}

const broken = (field: string, message: string): StarlingError => new StarlingError('BAD_BLOCK', message, { field, phase: 'audit' });
