import { createHash } from 'node:crypto';
import { utf8 } from '../hash.ts';
import { checkLength } from './check.ts';
import { DEGREE, ELEMENT_WORDS, MODULI, RHO_BASE, RHO_BLOCKS, RHO_BOUND, RHO_POLYNOMIALS, SEED_BYTES } from './parameters.ts';

const POLYNOMIAL_DOMAIN = utf8('starling/sis/a/1\0');
const RHO_DOMAIN = utf8('starling/sis/rho/1\0');
/** Words drawn beyond those needed: one in 20,000 is refused, so one polynomial in 1,000 is drawn a second time. */
const SPARE_WORDS = 2;

/**
 * Polynomial `index` of A, an element of the ring, written to `into` and returned. SHAKE128(domain || seed || index as u32 LE) is
 * read as 32-bit words LE; without its top bit a word counts if it is below the prime, as in FIPS 204 algorithm 30, so each value is
 * uniform. The first 2048 that count are the values modulo the first prime, those from there on modulo the second. The values at the
 * roots are drawn, not the coefficients: the transform is a bijection, so both are uniform, and one transform less is done.
 */
export function expand(seed: Uint8Array, index: number, into: Uint32Array = new Uint32Array(ELEMENT_WORDS)): Uint32Array {
  checkLength('seed', seed.length, SEED_BYTES);
  const input = Buffer.concat([POLYNOMIAL_DOMAIN, seed, Buffer.alloc(4)]);
  input.writeUInt32LE(index, input.length - 4);
  for (let words = ELEMENT_WORDS + SPARE_WORDS; !sample(shake('shake128', input, 4 * words), into); words *= 2);
  return into;
}

/** False if there are too few words below the primes. */
function sample(bytes: Uint8Array, into: Uint32Array): boolean {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let read = 0;
  for (const [k, q] of MODULI.entries()) {
    const end = (k + 1) * DEGREE;
    for (let filled = end - DEGREE; filled < end; ) {
      if (read === words.length) return false;
      const value = (words[read++] as number) & 0x7fff_ffff;
      if (value < q) into[filled++] = value;
    }
  }
  return true;
}

/**
 * What block `block` of a row is multiplied by: rho's low digits by polynomials 0 to 3 of A, its high digits by 4096 times those, and
 * block 8 + j, of the values, by polynomial 4 + j.
 */
export function factorOf(seed: Uint8Array, block: number, into: Uint32Array): void {
  if (block >= RHO_BLOCKS) expand(seed, block - RHO_BLOCKS + RHO_POLYNOMIALS, into);
  else expand(seed, block % RHO_POLYNOMIALS, into);
  if (block < RHO_POLYNOMIALS || block >= RHO_BLOCKS) return;
  // Below 2^43: exact in a double.
  for (let i = 0; i < ELEMENT_WORDS; i++) into[i] = ((into[i] as number) * RHO_BASE) % (i < DEGREE ? MODULI[0] : MODULI[1]);
}

/**
 * rho of a 32-byte secret: SHAKE256(domain || secret) read as 24-bit numbers LE, each less 2^23. 4 x 2048 integers, polynomial by
 * polynomial. The secret MUST be fresh for each commitment: two of one rho tell the difference of their rows.
 */
export function expandRho(secret: Uint8Array): Int32Array {
  checkLength('secret', secret.length, SEED_BYTES);
  const bytes = shake('shake256', Buffer.concat([RHO_DOMAIN, secret]), 3 * RHO_POLYNOMIALS * DEGREE);
  return Int32Array.from({ length: RHO_POLYNOMIALS * DEGREE }, (_, i) => bytes.readUIntLE(3 * i, 3) - RHO_BOUND);
}

/** FIPS 202 section 6.2: a longer output begins with the shorter one. */
const shake = (name: 'shake128' | 'shake256', input: Uint8Array, outputLength: number): Buffer =>
  createHash(name, { outputLength }).update(input).digest();
