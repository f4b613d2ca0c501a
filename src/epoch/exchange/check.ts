/** Whether a sum is that of the rows that were committed to, and what names it; a piece at a time. */
import { bytesOf } from '../../aggregation/index.ts';
import { sha256, sis, toHex } from '../../crypto/index.ts';
import type { Hex } from '../../spec/index.ts';
import { encode } from '../../wire/index.ts';
import type { Clock } from '../ports.ts';
import { pieces } from './lane.ts';
import type { Sums } from './work.ts';
import { type OwnRow, turn } from './world.ts';

/** A* S == sum W_i C_i (docs/commitments.md). Commitments and weights in one order. */
export async function sumHolds(
  clock: Clock,
  seed: Uint8Array,
  { rhoSum, sum }: Sums,
  commitments: readonly sis.Commitment[],
  weights: readonly number[],
): Promise<boolean> {
  if (!sis.isRhoSum(rhoSum, sis.totalWeight(weights))) return false;
  const committer = new sis.Committer(seed).update(rhoSum);
  for (const { start, end } of pieces(sum.length)) {
    if (start > 0) await turn(clock);
    committer.update(sum.subarray(start, end));
  }
  return sis.equalCommitments(committer.finish(), sis.combineCommitments(commitments, weights));
}

/** C = A*(q, rho). */
export async function commitTo(clock: Clock, seed: Uint8Array, { values, rho }: Pick<OwnRow, 'values' | 'rho'>): Promise<sis.Commitment> {
  const committer = new sis.Committer(seed).update(sis.rhoRow(rho));
  for (const { start, end } of pieces(values.length)) {
    if (start > 0) await turn(clock);
    committer.update(values.subarray(start, end));
  }
  return committer.finish();
}

/** Names both sums, or what a rule made: sha256 over the hashes of their pieces. */
export async function digestOf(clock: Clock, { rhoSum, sum, ruled }: Sums): Promise<Hex> {
  const hashes = [sha256(bytesOf(rhoSum))];
  for (const { start, end } of pieces(sum.length)) {
    if (start > 0) await turn(clock);
    hashes.push(sha256(bytesOf(sum.subarray(start, end))));
  }
  if (ruled !== undefined) hashes.push(sha256(encode([ruled.weightTotal, ruled.distances.map(String)])));
  return toHex(sha256(...hashes));
}
