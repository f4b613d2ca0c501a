import { StarlingError } from '../../spec/index.ts';
import { checkLength } from './check.ts';
import { type Commitment, combineCommitments, equalCommitments, totalWeight } from './element.ts';
import { factorOf } from './expand.ts';
import { DEGREE, ELEMENT_WORDS, RHO_BASE, RHO_BLOCKS, RHO_BOUND, RHO_DIGIT_BOUND, RHO_POLYNOMIALS, RHO_ROW_LENGTH } from './parameters.ts';
import { type Ring, theRing } from './ring.ts';

/** Integers of a row, or weighted sums of such. */
export type SisRow = Int8Array | Int16Array | Int32Array;

/**
 * Commits to a row that comes in pieces of any length, in memory that does not grow with it. The row is cut into blocks of 2048
 * integers; the last is filled up with zeros. One call takes about 10 ms for 65,536 integers: hand in no more where others wait.
 */
export class Committer {
  readonly #seed: Uint8Array;
  readonly #sum: Commitment = new Uint32Array(ELEMENT_WORDS);
  readonly #pending = new Int32Array(DEGREE);
  #held = 0;
  #block: number;

  /** `seed`: 32 public bytes that A comes from. `firstBlock`: where in the row the pieces begin. */
  constructor(seed: Uint8Array, firstBlock = 0) {
    this.#seed = seed;
    this.#block = firstBlock;
  }

  update(piece: SisRow): this {
    const ring = theRing();
    ring.sum.set(this.#sum);
    for (let read = 0; read < piece.length; ) {
      const taken = Math.min(DEGREE - this.#held, piece.length - read);
      this.#pending.set(piece.subarray(read, read + taken), this.#held);
      this.#held += taken;
      read += taken;
      if (this.#held === DEGREE) this.#addPending(ring);
    }
    this.#sum.set(ring.sum);
    return this;
  }

  /** The commitment of all so far; the committer is spent. */
  finish(): Commitment {
    const ring = theRing();
    ring.sum.set(this.#sum);
    if (this.#held > 0) this.#addPending(ring);
    ring.factor.set(ring.sum);
    ring.restore();
    return ring.sum.slice();
  }

  #addPending(ring: Ring): void {
    ring.coefficients.fill(0);
    ring.coefficients.set(this.#pending.subarray(0, this.#held));
    factorOf(this.#seed, this.#block++, ring.factor);
    ring.multiplyAdd();
    this.#held = 0;
  }
}

/**
 * rho as the beginning of a row, 16,384 integers in [-2048, 2048]: the low digits of its four polynomials, then the high ones. Summed
 * with the weights of the roster as the values are, they are the `rhoSum` of verifySum. Throws MALFORMED for another length than
 * 8,192, BOUNDS_EXCEEDED for a coefficient outside [-2^23, 2^23).
 */
export function rhoRow(rho: Int32Array): Int16Array {
  const half = RHO_POLYNOMIALS * DEGREE;
  checkLength('rho', rho.length, half);
  const row = new Int16Array(RHO_ROW_LENGTH);
  rho.forEach((value, i) => {
    if (value < -RHO_BOUND || value >= RHO_BOUND)
      throw new StarlingError('BOUNDS_EXCEEDED', `coefficient ${i} of rho is not in [-2^23, 2^23)`, { field: 'rho' });
    const low = ((value + RHO_DIGIT_BOUND) & (RHO_BASE - 1)) - RHO_DIGIT_BOUND;
    row[i] = low;
    row[half + i] = (value - low) / RHO_BASE;
  });
  return row;
}

/** C = A (q, rho), PROTOCOL section 6. Throws what rhoRow throws, and MALFORMED for a seed that has not 32 bytes. */
export const commit = (seed: Uint8Array, q: SisRow, rho: Int32Array): Commitment =>
  new Committer(seed).update(rhoRow(rho)).update(q).finish();

/**
 * The part of a commitment that `values` have, which stand from block `firstBlock` of the row on (the first RHO_BLOCKS are rho's).
 * Parts of a row add up to its commitment. Hides nothing: the values of a range can be guessed and tried.
 */
export const commitRange = (seed: Uint8Array, firstBlock: number, values: SisRow): Commitment =>
  new Committer(seed, firstBlock).update(values).finish();

export interface ClaimedSum {
  readonly seed: Uint8Array;
  /** S = sum W_i q_i. */
  readonly sum: Int32Array;
  /** Weighted sum of the authors' rhoRows, 16,384 integers. */
  readonly rhoSum: Int32Array;
  /** Of the authors summed, in the order of `weights`. */
  readonly commitments: readonly Commitment[];
  readonly weights: readonly number[];
}

/**
 * Whether A (S, sum W_i rho_i) = sum W_i C_i, with rho's sum within its bound; S is within its by its type. Throws MALFORMED and
 * BOUNDS_EXCEEDED as combineCommitments does, MALFORMED for a rhoSum of another length. A sum that comes in pieces is checked in
 * pieces: isRhoSum, a Committer, combineCommitments, equalCommitments.
 */
export function verifySum({ seed, sum, rhoSum, commitments, weights }: ClaimedSum): boolean {
  const expected = combineCommitments(commitments, weights);
  if (!isRhoSum(rhoSum, totalWeight(weights))) return false;
  return equalCommitments(new Committer(seed).update(rhoSum).update(sum).finish(), expected);
}

/** Whether no digit's weighted sum exceeds what weights of this total allow. Throws MALFORMED for another length than 16,384. */
export function isRhoSum(rhoSum: Int32Array, total: number): boolean {
  checkLength('rhoSum', rhoSum.length, RHO_ROW_LENGTH);
  return rhoSum.every((digit) => Math.abs(digit) <= total * RHO_DIGIT_BOUND);
}

/** Blocks that a row takes with `values` values. */
export const rowBlocks = (values: number): number => RHO_BLOCKS + Math.ceil(values / DEGREE);
