/** Where a polynomial of degree below `degree` is evaluated modulo a prime q = 1 modulo 2 degree; powers of two. */
export interface Field {
  readonly q: number;
  readonly degree: number;
  /** A primitive root of unity of order 2 degree. */
  readonly psi: number;
}

/** base^exponent modulo q. */
export function power(base: number, exponent: number, q: number): number {
  const modulus = BigInt(q);
  let result = 1n;
  let square = BigInt(base);
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return Number(result);
}

/**
 * psi = g^((q - 1) / 2 degree) for the smallest g that is not a square modulo q: psi^degree = g^((q - 1) / 2) = -1 by Euler's
 * criterion, so its order is 2 degree.
 */
export function fieldOf(q: number, degree: number): Field {
  let g = 2;
  while (power(g, (q - 1) / 2, q) !== q - 1) g++;
  return { q, degree, psi: power(g, (q - 1) / (2 * degree), q) };
}

/** The `bits` lower bits of `value` in reverse order. */
function reversed(value: number, bits: number): number {
  let result = 0;
  for (let bit = 0; bit < bits; bit++) result = 2 * result + ((value >> bit) & 1);
  return result;
}

/**
 * What `transform` multiplies by: psi^bitrev(i) for i < degree (FIPS 204, appendix B), then for each its companion
 * floor(2^32 w / q). 2 degree words.
 */
export function rootTable({ q, degree, psi }: Field): Uint32Array<ArrayBuffer> {
  const bits = Math.log2(degree);
  const table = new Uint32Array(2 * degree);
  const modulus = BigInt(q);
  let root = 1n;
  for (let exponent = 0; exponent < degree; exponent++) {
    const at = reversed(exponent, bits);
    table[at] = Number(root);
    table[degree + at] = Number((root << 32n) / modulus);
    root = (root * BigInt(psi)) % modulus;
  }
  return table;
}

/** 1/q modulo 2^32 for odd q: Newton's iteration doubles the bits that are right, and q q = 1 modulo 8 gives the first three. */
export function inverseOf(q: number): number {
  let inverse = q;
  for (let bits = 3; bits < 32; bits *= 2) inverse = Math.imul(inverse, 2 - Math.imul(q, inverse));
  return inverse;
}
