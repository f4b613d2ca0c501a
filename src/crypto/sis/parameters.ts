/**
 * The Ring-SIS commitment of PROTOCOL section 6: C = sum_j A_j x_j in Z_m[X]/(X^2048 + 1), for a row of integers cut into
 * polynomials x_j. docs/commitments.md argues the values.
 */

/** Coefficients of a polynomial. X^n + 1 is irreducible over the integers for a power of two, which Ring-SIS needs. */
export const DEGREE = 2048;
/**
 * The factors of m = 2147389441 * 2147377153, just below 2^62. The two largest primes below 2^31 that are 1 modulo 4096: a
 * product of two residues fits 62 bits, and X^2048 + 1 falls into linear factors, so that a product is 2048 products of numbers.
 */
export const MODULI = [2_147_389_441, 2_147_377_153] as const;
/** 32-bit words of an element of the ring: its values modulo the first prime, then modulo the second. */
export const ELEMENT_WORDS = MODULI.length * DEGREE;
/** Bytes of an encoded commitment: 16 KiB. */
export const COMMITMENT_BYTES = 4 * ELEMENT_WORDS;
/** Bytes of the public seed of A: that of the XOF's security level. */
export const SEED_BYTES = 32;

/** Polynomials of rho, the secret that makes a commitment hide its row. */
export const RHO_POLYNOMIALS = 4;
/** Every coefficient of rho is in [-2^23, 2^23). */
export const RHO_BOUND = 2 ** 23;
/** rho = low + 4096 high, so that the weighted sums of both digits fit an int32 as those of the values do. */
export const RHO_BASE = 4096;
/** Both digits are in [-2048, 2048]. */
export const RHO_DIGIT_BOUND = RHO_BASE / 2;
/** Blocks of DEGREE integers that stand before the values in a row: the low digits of rho, then the high ones. */
export const RHO_BLOCKS = 2 * RHO_POLYNOMIALS;
/** Integers of rho's digits in a row. */
export const RHO_ROW_LENGTH = RHO_BLOCKS * DEGREE;
