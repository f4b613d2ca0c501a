/** Ring-SIS commitments of contributions that nobody sees whole (docs/commitments.md), made and checked in turns with everything else. */
import type { IntRow } from '../compute/api.ts';
import { fromHex, hashWithDomain, sis, toHex } from '../crypto/index.ts';
import type { Fingerprint, Hex, SwarmId } from '../spec/index.ts';
import { encode, hashBytes } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import type { Clock } from './ports.ts';

/** Bytes of the secret that rho comes from. */
const SECRET_BYTES = 32;
/** Integers committed to before others have a turn: some 10 ms. */
const PIECE = 65_536;

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

/** Commits to an own update for `epoch` under a fresh secret. */
export async function commitTo(ctx: EpochContext, epoch: number, integers: IntRow): Promise<Committed> {
  const { clock, entropy } = ctx.ports;
  const secret = entropy.bytes(SECRET_BYTES);
  const commitment = await commitInTurns(clock, commitmentSeed(ctx.swarm), [sis.rhoRow(sis.expandRho(secret)), integers]);
  return { hash: toHex(sis.commitmentHash(commitmentContext(ctx.swarm, epoch, ctx.self), commitment)), secret };
}

/** Whether `sum` and `rhoSum` are those of the rows behind the commitments. As sis.verifySum, in turns. */
export async function addsUp(clock: Pick<Clock, 'after'>, { seed, sum, rhoSum, commitments, weights }: sis.ClaimedSum): Promise<boolean> {
  const expected = sis.combineCommitments(commitments, weights);
  if (!sis.isRhoSum(rhoSum, sis.totalWeight(weights))) return false;
  return sis.equalCommitments(await commitInTurns(clock, seed, [rhoSum, sum]), expected);
}

async function commitInTurns(clock: Pick<Clock, 'after'>, seed: Uint8Array, rows: readonly sis.SisRow[]): Promise<sis.Commitment> {
  const committer = new sis.Committer(seed);
  for (const row of rows)
    for (let start = 0; start < row.length; start += PIECE) {
      committer.update(row.subarray(start, start + PIECE));
      if (start + PIECE < row.length) await new Promise<void>((resolve) => clock.after(0, resolve));
    }
  return committer.finish();
}
