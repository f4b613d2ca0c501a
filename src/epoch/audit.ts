/** Step 8, audit: the deterministic checks. A decision that breaks one is never applied, whoever signed it. */
import { dtypeBytes } from '../aggregation/index.ts';
import { ZERO_HASH } from '../crypto/index.ts';
import { isKind } from '../ledger/index.ts';
import type { DecisionBody, NodeClass, SignedEntry, SwarmState } from '../spec/index.ts';
import { mayContribute, StarlingError } from '../spec/index.ts';
import { mayContributeNow } from '../state/index.ts';
import { average, holdsRows, weightsOf } from './average.ts';
import type { HeldAggregate } from './chain.ts';
import { commits } from './commitment.ts';
import type { EpochContext } from './context.ts';
import { requireOpened } from './openings.ts';

/**
 * What the ledger alone tells of a decision over the state it builds on: costs no transfer, so it comes first. Every
 * rostered entry must be held. Throws INCOMPATIBLE.
 */
export function auditRoster(ctx: EpochContext, base: SwarmState, body: DecisionBody): void {
  const authors = new Set<string>();
  for (const id of body.roster) {
    const entry = ctx.replica.graph.get(id);
    // Behind the base of this node a place is left of it: blocks have held it, so that no node may roster it.
    const problem = entry === undefined ? 'a block has held it long since' : ineligible(ctx, base, entry);
    if (problem !== undefined) throw broken('roster', `entry ${id} cannot be rostered: ${problem}`);
    if (entry?.core.kind !== 'contribution') continue;
    if (authors.has(entry.core.author)) throw broken('roster', `${entry.core.author} is rostered twice`);
    authors.add(entry.core.author);
  }
  const weights = weightsOf(ctx, base, body.roster);
  if (weights.length !== body.weights.length || weights.some((w, i) => w !== body.weights[i]))
    throw broken('weights', 'the weights are not those that samples and trust give');
  requireDrops(ctx, base, body);
  if (totalOf(body) === 0 && body.aggregateHash !== ZERO_HASH)
    throw broken('aggregateHash', 'an aggregate is named where nothing has a weight');
}

/** Only from a sum made by a schedule something is dropped, and only contributions. That the attempt says so is the opening's to show. */
function requireDrops(ctx: EpochContext, base: SwarmState, { dropped, aggregateHash }: DecisionBody): void {
  if (dropped.length === 0) return;
  if (!ctx.isScheduled(base) || aggregateHash === ZERO_HASH)
    throw broken('dropped', 'nothing was summed by a schedule, and so nobody dropped');
  for (const { id } of dropped)
    if (ctx.replica.graph.get(id)?.core.kind !== 'contribution') throw broken('dropped', `entry ${id} is no contribution`);
}

/**
 * The aggregate of a decision that passed `auditRoster`: its header must fit the roster, and where the rows are held
 * the sum is recomputed; in a scheduled epoch it is held against the commitments. Throws INCOMPATIBLE or HASH_MISMATCH,
 * AGGREGATE_MISSING where a sum that was made by a schedule cannot be checked yet.
 */
export async function auditSum(ctx: EpochContext, base: SwarmState, body: DecisionBody, aggregate: HeldAggregate): Promise<void> {
  const { header } = aggregate;
  const contributions = ctx.chain.contributionsOf(body).length;
  const fits =
    header === undefined
      ? totalOf(body) === 0
      : (ctx.genesis.aggregation !== 'mean' || header.weightTotal === totalOf(body)) &&
        header.epoch === body.epoch &&
        (header.opening !== null) === ctx.isScheduled(base) &&
        header.distances.length === (commits(ctx, base) ? 0 : contributions);
  if (!fits) throw broken('aggregateHash', 'the aggregate does not belong to this roster');
  if (header === undefined) return;
  if (header.opening !== null) {
    await requireOpened(ctx, base, body, aggregate);
    return;
  }
  if (!holdsRows(ctx, body)) return;
  const own = await average(ctx, base, body.roster);
  if (own.hash !== body.aggregateHash)
    throw new StarlingError('HASH_MISMATCH', `epoch ${body.epoch} averages to ${own.hash} here, the decision says ${body.aggregateHash}`, {
      field: 'aggregateHash',
      phase: 'audit',
    });
}

/** Why an entry cannot be in a roster over `base`, or undefined. */
export function ineligible(ctx: EpochContext, base: SwarmState, entry: SignedEntry): string | undefined {
  const { core } = entry;
  if (core.kind === 'join') {
    const ordered = ctx.chain.find(entry.id);
    if (ordered !== undefined && ordered.epoch <= base.epoch) return 'a block has held it already';
    return base.members.some((m) => m.fingerprint === core.author) ? 'its author is a member already' : undefined;
  }
  if (core.kind !== 'contribution') return `a ${core.kind} is never rostered`;
  if (core.body.epoch !== base.epoch + 1) return `it is for epoch ${core.body.epoch}`;
  if (core.anchorBlock !== base.decision) return 'it stands on another base';
  if (entry.composite === undefined) return 'it came without its composite signature';
  const nodeClass = classOf(ctx, base, entry);
  if (nodeClass === undefined || !mayContribute(nodeClass)) return `its author is of class ${nodeClass ?? 'unknown'}`;
  if (!mayContributeNow(base, core.author, nodeClass, ctx.genesis)) return 'its author is not in good standing';
  if (core.body.samples > ctx.genesis.maxSamples) return `it claims ${core.body.samples} samples`;
  const sizeBytes = (ctx.spans.at(-1)?.end ?? 0) * dtypeBytes(ctx.genesis.updateDtype);
  if (core.body.sizeBytes !== sizeBytes) return `it holds ${core.body.sizeBytes} bytes, an update has ${sizeBytes}`;
  if (core.body.maxAbs.length !== ctx.genesis.tensors.length) return 'it reports on other tensors';
  if (core.body.links.length > base.members.length) return `it tells of links to ${core.body.links.length} members`;
  // As many rows as its members are told of go by segments, and no more.
  if (ctx.isScheduled(base) && !commits(ctx, base) && !base.members.some((m) => m.fingerprint === core.author))
    return 'its author is no member yet, and a rule over segments is for members';
  const isBound = commits(ctx, base);
  if (isBound !== (core.body.commitment !== null)) return isBound ? 'it commits to no values' : 'it commits to values that everyone sees';
  return undefined;
}

/**
 * A member's class is the one it was admitted with; a newcomer's the one of the join its entry stands on. Two joins with
 * different classes are a fork: which of them came first here must not matter.
 */
export function classOf(ctx: EpochContext, base: SwarmState, entry: SignedEntry): NodeClass | undefined {
  const member = base.members.find((m) => m.fingerprint === entry.core.author);
  if (member !== undefined) return member.nodeClass;
  const { graph } = ctx.replica;
  const first = graph.get(graph.chain(entry.id)[0] ?? '');
  return first !== undefined && isKind(first, 'join') ? first.core.body.certificate.nodeClass : undefined;
}

const broken = (field: string, message: string): StarlingError => new StarlingError('INCOMPATIBLE', message, { field, phase: 'audit' });
/** D: the weights of those in the sum. */
function totalOf({ roster, weights, dropped }: DecisionBody): number {
  const out = new Set(dropped.map(({ id }) => id));
  return weights.reduce((sum, weight, i) => (out.has(roster[i] ?? '') ? sum : sum + weight), 0);
}
