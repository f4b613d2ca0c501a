/** Step 3, commit: the contribution is on disk and on this node's chain before anything of it is sent. */
import { bytesOf } from '../aggregation/index.ts';
import { type EntryOf, isKind } from '../ledger/index.ts';
import { StarlingError, type SwarmState } from '../spec/index.ts';
import { SALT_BYTES, updateHash } from '../wire/index.ts';
import type { Committed as Commitment } from './commitment.ts';
import type { EpochContext } from './context.ts';
import type { Prepared } from './prepare.ts';
import type { OwnUpdate, Residual } from './residual.ts';
import type { UpdateSubmission } from './submission.ts';

export interface Committed {
  readonly entry: EntryOf<'contribution'>;
  readonly update: OwnUpdate;
}

/**
 * Appends the contribution entry: hash, sizes and metrics, never the values. `commitment`: where nobody sees them. Durable when it
 * returns.
 */
export function commit(
  ctx: EpochContext,
  residual: Residual,
  prepared: Prepared,
  commitment: Commitment | undefined,
  submission: UpdateSubmission,
  base: SwarmState,
): Committed {
  const salt = ctx.ports.entropy.bytes(SALT_BYTES);
  const bytes = bytesOf(prepared.integers);
  const update: OwnUpdate = {
    updateHash: updateHash(salt, bytes),
    epoch: base.epoch + 1,
    dtype: ctx.genesis.updateDtype,
    salt,
    integers: prepared.integers,
    exponents: base.scaleExponents,
    secret: commitment?.secret ?? null,
  };
  const staleness = residual.staleness(update.epoch);
  residual.keep(update, prepared.values);
  const body = {
    epoch: update.epoch,
    updateHash: update.updateHash,
    sizeBytes: bytes.byteLength,
    samples: Math.min(submission.samples, ctx.genesis.maxSamples),
    maxAbs: prepared.maxAbs,
    metrics: submission.metrics,
    commitment: commitment?.hash ?? null,
    staleness,
  };
  const entry = ctx.replica.append('contribution', body, base.decision, base.epoch);
  residual.commit();
  if (!isKind(entry, 'contribution')) throw new StarlingError('INTERNAL', 'a contribution came back as another kind', { phase: 'commit' });
  return { entry, update };
}
