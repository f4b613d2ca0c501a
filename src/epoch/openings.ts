/** What a sum that nobody saw in parts is held against before it counts (docs/commitments.md). */
import { sis, toHex } from '../crypto/index.ts';
import { type Attempt, type DecisionBody, type Hex, type Opening, StarlingError, type SwarmState } from '../spec/index.ts';
import { decodeOpening, droppedFields, encode } from '../wire/index.ts';
import type { HeldAggregate } from './chain.ts';
import { commitmentContext, commitmentSeed, commits } from './commitment.ts';
import type { EpochContext } from './context.ts';
import { sumHolds } from './exchange/check.ts';

/**
 * The attempt behind the sum of a decision over `base`, which passed `auditRoster`: it is of this roster and drops whom the decision
 * drops, its commitments are those whose hashes the ledger holds, and A S = sum W_i C_i. Worked out once an aggregate. Throws
 * INCOMPATIBLE or HASH_MISMATCH, AGGREGATE_MISSING where the opening or the sum is not here.
 */
export async function requireOpened(
  ctx: EpochContext,
  base: SwarmState,
  body: DecisionBody,
  { header, sum }: HeldAggregate,
): Promise<Attempt> {
  const known = ctx.sums.checked(body.aggregateHash);
  const opening = known === undefined ? await openingOf(ctx, header?.opening?.root) : undefined;
  const attempt = known ?? (opening as Opening).attempt;
  requireAttempt(ctx, base, body, attempt);
  if (opening === undefined) return attempt;
  // Who took no part in applying a rule cannot tell more: its voters can.
  if (!commits(ctx, base)) return attempt;
  if (sum === undefined) throw missing('the sum');
  if (opening.rhoSum.length === 0) throw broken('INCOMPATIBLE', 'opening', 'it opens nothing');
  const commitments = commitmentsOf(ctx, body, opening);
  const weights = ctx.chain.contributionsOf(body).map(({ id }) => body.weights[body.roster.indexOf(id)] as number);
  const { rhoSum } = opening;
  if (!(await sumHolds(ctx.ports.clock, commitmentSeed(ctx.swarm), { sum, rhoSum }, commitments, weights)))
    throw broken('HASH_MISMATCH', 'aggregateHash', 'the sum is not that of the rows that were committed to');
  ctx.sums.keepChecked(body.aggregateHash, attempt);
  return attempt;
}

async function openingOf(ctx: EpochContext, root: Hex | undefined): Promise<Opening> {
  const bytes = root === undefined ? undefined : await ctx.ports.blobs.get(root);
  if (bytes === undefined) throw missing('the opening');
  try {
    return decodeOpening(bytes);
  } catch (cause) {
    // The header names it by its hash: no other will come.
    throw broken('INCOMPATIBLE', 'opening', 'the opening of the sum cannot be read', cause);
  }
}

function requireAttempt(ctx: EpochContext, base: SwarmState, body: DecisionBody, attempt: Attempt): void {
  const { swarm, epoch, roster, dropped } = attempt;
  if (swarm !== ctx.swarm || epoch !== body.epoch || attempt.base !== base.decision)
    throw broken('INCOMPATIBLE', 'opening', 'the attempt behind the sum is of another epoch');
  if (roster.length !== body.roster.length || roster.some((id, i) => id !== body.roster[i]))
    throw broken('INCOMPATIBLE', 'roster', 'the sum was made for another roster');
  const said = encode(droppedFields({ roster, dropped }));
  if (Buffer.compare(said, encode(droppedFields(body))) !== 0)
    throw broken('INCOMPATIBLE', 'dropped', 'the sum was made without others than the decision says');
}

/** Of the survivors, each with the hash that its author's entry names. */
function commitmentsOf(ctx: EpochContext, body: DecisionBody, { commitments }: Opening): sis.Commitment[] {
  const contributions = ctx.chain.contributionsOf(body);
  if (commitments.length !== contributions.length)
    throw broken('INCOMPATIBLE', 'opening', `${commitments.length} commitments are opened, ${contributions.length} are summed`);
  return contributions.map(({ core }, i) => {
    const commitment = decoded(commitments[i] as Uint8Array);
    const hash = sis.commitmentHash(commitmentContext(ctx.swarm, body.epoch, core.author), commitment);
    if (core.body.commitment === null || toHex(hash) !== core.body.commitment)
      throw broken('HASH_MISMATCH', 'opening', `the commitment shown for ${core.author} is not the one on the ledger`);
    return commitment;
  });
}

function decoded(bytes: Uint8Array): sis.Commitment {
  try {
    return sis.decodeCommitment(bytes);
  } catch (cause) {
    throw broken('INCOMPATIBLE', 'opening', 'a commitment cannot be read', cause);
  }
}

const missing = (what: string): StarlingError =>
  new StarlingError('AGGREGATE_MISSING', `${what} of a scheduled epoch is not held`, {
    phase: 'apply',
    fix: 'wait until a peer that holds it is connected',
  });

const broken = (code: 'INCOMPATIBLE' | 'HASH_MISMATCH', field: string, message: string, cause?: unknown): StarlingError =>
  new StarlingError(code, message, { field, phase: 'audit' }, { cause });
