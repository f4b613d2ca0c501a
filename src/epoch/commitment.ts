/** Ring-SIS commitments of contributions that nobody sees whole (docs/commitments.md). */
import type { IntRow } from '../compute/api.ts';
import { fromHex, hashWithDomain, sis, toHex } from '../crypto/index.ts';
import type { Fingerprint, Hex, SwarmId, SwarmState } from '../spec/index.ts';
import { encode, hashBytes } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import { commitTo as commitToRow } from './exchange/check.ts';

/** Bytes of the secret that rho comes from. */
const SECRET_BYTES = 32;

/** What A comes from: nobody chooses it, since the swarm's id is a hash. 32 bytes. */
export const commitmentSeed = (swarm: SwarmId): Uint8Array => hashWithDomain('starling/sis/seed/1', fromHex(swarm));

/** What the hash of a commitment is bound to: a copy of it is nobody else's, and of no other epoch. */
export const commitmentContext = (swarm: SwarmId, epoch: number, author: Fingerprint): Uint8Array =>
  encode([hashBytes(swarm), epoch, hashBytes(author)]);

export interface Committed {
  /** What the contribution's entry names. */
  readonly hash: Hex;
  /** rho's, 32 fresh bytes: kept with the update, and never used for another. */
  readonly secret: Uint8Array;
}

/** Whether contributions over `base` commit to their values: a sum that nobody saw in parts is held against that. */
export const commits = (ctx: Pick<EpochContext, 'genesis' | 'isScheduled'>, base: SwarmState): boolean =>
  ctx.genesis.aggregation === 'mean' && ctx.isScheduled(base);

/** Commits to an own update for `epoch` under a fresh secret. */
export async function commitTo(ctx: EpochContext, epoch: number, integers: IntRow): Promise<Committed> {
  const { clock, entropy } = ctx.ports;
  const secret = entropy.bytes(SECRET_BYTES);
  const commitment = await commitToRow(clock, commitmentSeed(ctx.swarm), { values: integers, rho: sis.expandRho(secret) });
  return { hash: toHex(sis.commitmentHash(commitmentContext(ctx.swarm, epoch, ctx.self), commitment)), secret };
}
