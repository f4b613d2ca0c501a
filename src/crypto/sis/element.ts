import { StarlingError, WEIGHT_TOTAL } from '../../spec/index.ts';
import { hashWithDomain } from '../hash.ts';
import { checkLength } from './check.ts';
import { COMMITMENT_BYTES, DEGREE, ELEMENT_WORDS, MODULI } from './parameters.ts';

/**
 * A commitment: an element of the ring as its values at psi^(2 bitrev(i) + 1), 2048 modulo the first prime, then 2048 modulo the
 * second, each below its prime. See fieldOf for psi.
 */
export type Commitment = Uint32Array;

const modulusAt = (i: number): number => (i < DEGREE ? MODULI[0] : MODULI[1]);

/** 16 KiB: the words, little-endian. */
export function encodeCommitment(commitment: Commitment): Uint8Array {
  checkLength('commitment', commitment.length, ELEMENT_WORDS);
  return new Uint8Array(commitment.slice().buffer);
}

/** Throws MALFORMED for another length than 16 KiB, NON_CANONICAL for a word that is no residue of its prime. */
export function decodeCommitment(bytes: Uint8Array): Commitment {
  checkLength('commitment', bytes.length, COMMITMENT_BYTES);
  const commitment = new Uint32Array(bytes.slice().buffer);
  const wrong = commitment.findIndex((word, i) => word >= modulusAt(i));
  if (wrong >= 0)
    throw new StarlingError('NON_CANONICAL', `word ${wrong} of a commitment is not below its modulus`, {
      field: 'commitment',
      word: wrong,
    });
  return commitment;
}

/**
 * What an author publishes before anybody shows a commitment. `context` names swarm, epoch and author: without it, and if
 * commitments were known before all hashes are, one author could choose its commitment so that it cancels another's
 * (docs/commitments.md). Tells nothing of the commitment, which holds the entropy of rho.
 */
export const commitmentHash = (context: Uint8Array, commitment: Commitment): Uint8Array =>
  hashWithDomain('starling/sis/commitment/1', context, encodeCommitment(commitment));

export const equalCommitments = (a: Commitment, b: Commitment): boolean => a.length === b.length && a.every((word, i) => word === b[i]);

/** a - b: what the rest of a row commits to. */
export const subtractCommitments = (a: Commitment, b: Commitment): Commitment =>
  a.map((word, i) => {
    const difference = word - (b[i] as number);
    return difference < 0 ? difference + modulusAt(i) : difference;
  });

/**
 * sum_i W_i C_i. Integer weights of at least 0 and a total of at most WEIGHT_TOTAL, else BOUNDS_EXCEEDED; as many as commitments,
 * else MALFORMED. Nothing sums to zero.
 */
export function combineCommitments(commitments: readonly Commitment[], weights: readonly number[]): Commitment {
  checkLength('weights', weights.length, commitments.length);
  totalWeight(weights);
  // 65,536 x 2^31 < 2^53: every partial sum is exact in a double.
  const sums = new Float64Array(ELEMENT_WORDS);
  commitments.forEach((commitment, author) => {
    checkLength('commitment', commitment.length, ELEMENT_WORDS);
    const weight = weights[author] as number;
    for (let i = 0; i < ELEMENT_WORDS; i++) sums[i] = (sums[i] as number) + weight * (commitment[i] as number);
  });
  return Uint32Array.from(sums, (sum, i) => sum % modulusAt(i));
}

/** Total of a roster's weights. Throws BOUNDS_EXCEEDED for one that is no integer from 0 on, or for more than WEIGHT_TOTAL. */
export function totalWeight(weights: readonly number[]): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total <= WEIGHT_TOTAL && weights.every((weight) => Number.isInteger(weight) && weight >= 0)) return total;
  throw new StarlingError('BOUNDS_EXCEEDED', `weights must be integers from 0 on with a total of at most ${WEIGHT_TOTAL}`, {
    field: 'weights',
  });
}
