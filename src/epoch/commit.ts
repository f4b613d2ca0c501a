/** Step 3, commit: the contribution is on disk and on this node's chain before anything of it is sent. */
import { bytesOf } from '../aggregation/index.ts';
import { merkleRoot, toHex } from '../crypto/index.ts';
import { type EntryOf, isKind } from '../ledger/index.ts';
import { StarlingError, type SwarmState } from '../spec/index.ts';
import { SALT_BYTES, updateLeaf } from '../wire/index.ts';
import type { Committed as Commitment } from './commitment.ts';
import type { EpochContext } from './context.ts';
import { ownLinks } from './linkClaims.ts';
import type { Prepared } from './prepare.ts';
import type { Residual } from './residual.ts';
import type { OwnUpdate } from './residualRecords.ts';
import { leavesInTurns } from './served.ts';
import type { UpdateSubmission } from './submission.ts';

export interface Committed {
  readonly entry: EntryOf<'contribution'>;
  readonly update: OwnUpdate;
}

/**
 * Appends the contribution entry: hash, sizes and metrics, never the values. `commitment`: where nobody sees them. `requireCurrent`
 * throws EPOCH_PAST once the entry would come too late. Durable when it resolves.
 */
export async function commit(
  ctx: EpochContext,
  residual: Residual,
  prepared: Prepared,
  commitment: Commitment | undefined,
  submission: UpdateSubmission,
  base: SwarmState,
  requireCurrent: () => void,
): Promise<Committed> {
  const salt = ctx.ports.entropy.bytes(SALT_BYTES);
  const bytes = bytesOf(prepared.integers);
  const update: OwnUpdate = {
    updateHash: toHex(merkleRoot(await leavesInTurns(ctx.ports.clock, bytes, (chunk) => updateLeaf(salt, chunk)))),
    epoch: base.epoch + 1,
    dtype: ctx.genesis.updateDtype,
    salt,
    integers: prepared.integers,
    exponents: base.scaleExponents,
    secret: commitment?.secret ?? null,
  };
  const body = {
    epoch: update.epoch,
    updateHash: update.updateHash,
    sizeBytes: bytes.byteLength,
    samples: Math.min(submission.samples, ctx.genesis.maxSamples),
    maxAbs: prepared.maxAbs,
    metrics: submission.metrics,
    commitment: commitment?.hash ?? null,
    links: commitment === undefined ? [] : ownLinks(ctx, base),
  };
  const entry = await residual.contribute(update, prepared.values, () => {
    requireCurrent();
    return ctx.replica.append('contribution', { ...body, staleness: residual.staleness(update.epoch) }, base.decision, base.epoch);
  });
  if (!isKind(entry, 'contribution')) throw new StarlingError('INTERNAL', 'a contribution came back as another kind', { phase: 'commit' });
  return { entry, update };
}
