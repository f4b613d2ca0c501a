/**
 * The commitments of docs/commitments.md a second time, from their definition: BigInt, no transform, no Montgomery, rho as four
 * polynomials. Shares no code with src/crypto/sis.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

export const N = 2048;
export const PRIMES = [2_147_389_441n, 2_147_377_153n] as const;

/** Equal numbers, or the first place that differs: a difference of thousands takes minutes to print. */
export function assertWords(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) assert.equal(actual[i], expected[i], `word ${i}: ${actual[i]} instead of ${expected[i]}`);
}

export const mod = (x: bigint, q: bigint): bigint => ((x % q) + q) % q;

export function powMod(base: bigint, exponent: bigint, q: bigint): bigint {
  if (exponent === 0n) return 1n;
  const half = powMod((base * base) % q, exponent >> 1n, q);
  return exponent & 1n ? (half * base) % q : half;
}

/** psi^(2 bitrev(slot) + 1): where slot `slot` of n evaluates. */
export function pointOf(slot: number, n: number, psi: bigint, q: bigint): bigint {
  const bits = Math.log2(n);
  const reversed = Number.parseInt([...slot.toString(2).padStart(bits, '0')].reverse().join(''), 2);
  return powMod(psi, BigInt(2 * reversed + 1), q);
}

/** psi of docs/commitments.md: from the first number that no square is congruent to. */
export function psiOf(q: bigint, n: number): bigint {
  let g = 2n;
  while (powMod(g, (q - 1n) / 2n, q) === 1n) g += 1n;
  return powMod(g, (q - 1n) / BigInt(2 * n), q);
}

/** The polynomial's value at a point, by Horner. */
export function evaluate(coefficients: ArrayLike<number>, point: bigint, q: bigint): bigint {
  let value = 0n;
  for (let i = coefficients.length - 1; i >= 0; i--) value = (value * point + BigInt(coefficients[i] as number)) % q;
  return mod(value, q);
}

/** a b modulo X^n + 1 and q, term by term. */
export function schoolbook(a: readonly bigint[], b: readonly bigint[], q: bigint): bigint[] {
  const n = a.length;
  const product = Array<bigint>(n).fill(0n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const term = (a[i] as bigint) * (b[j] as bigint);
      const at = (i + j) % n;
      product[at] = (product[at] as bigint) + (i + j < n ? term : -term);
    }
  return product.map((x) => mod(x, q));
}

/** Values of polynomial `index` of A: 2048 modulo each prime. */
export function polynomialOfA(seed: Uint8Array, index: number): bigint[][] {
  const bytes = createHash('shake128', { outputLength: 20_000 })
    .update('starling/sis/a/1\0')
    .update(seed)
    .update(Uint8Array.of(index, index >>> 8, index >>> 16, index >>> 24))
    .digest();
  let at = 0;
  return PRIMES.map((q) => {
    const values: bigint[] = [];
    for (; values.length < N; at += 4) {
      const word = BigInt(bytes.readUInt32LE(at)) & 0x7fffffffn;
      if (word < q) values.push(word);
    }
    return values;
  });
}

/**
 * All values of a polynomial in the order of pointOf, by halving: X^n - r = (X^(n/2) - s)(X^(n/2) + s) for r = s^2, and a polynomial
 * modulo each factor is what is evaluated next. `exponent`: r = psi^exponent.
 */
export function valuesOf(f: readonly bigint[], powers: readonly bigint[], q: bigint, exponent = powers.length / 2): bigint[] {
  if (f.length === 1) return f.map((x) => mod(x, q));
  const half = f.length / 2;
  const s = powers[exponent / 2] as bigint;
  const terms = f.slice(half).map((x) => (x * s) % q);
  const low = f.slice(0, half);
  return [
    ...valuesOf(
      low.map((x, i) => (x + (terms[i] as bigint)) % q),
      powers,
      q,
      exponent / 2,
    ),
    ...valuesOf(
      low.map((x, i) => (x - (terms[i] as bigint)) % q),
      powers,
      q,
      exponent / 2 + powers.length / 2,
    ),
  ];
}

/** psi^0 to psi^(2n - 1). */
export function powersOf(psi: bigint, n: number, q: bigint): bigint[] {
  const powers = [1n];
  while (powers.length < 2 * n) powers.push(((powers.at(-1) as bigint) * psi) % q);
  return powers;
}

const POWERS = PRIMES.map((q) => powersOf(psiOf(q, N), N, q));

/** All words of A (rho, q): four polynomials of rho, then the row's, each times the next polynomial of A. */
export function referenceCommit(seed: Uint8Array, row: ArrayLike<number>, rho: ArrayLike<number>): number[] {
  const all = [...Array.from(rho), ...Array.from(row)].map(BigInt);
  while (all.length % N !== 0) all.push(0n);
  const sums = PRIMES.map(() => Array<bigint>(N).fill(0n));
  for (let j = 0; j * N < all.length; j++) {
    const a = polynomialOfA(seed, j);
    const x = all.slice(j * N, (j + 1) * N);
    PRIMES.forEach((q, k) => {
      const values = valuesOf(x, POWERS[k] as bigint[], q);
      sums[k] = (sums[k] as bigint[]).map((sum, i) => (sum + (a[k]?.[i] as bigint) * (values[i] as bigint)) % q);
    });
  }
  return sums.flat().map(Number);
}
