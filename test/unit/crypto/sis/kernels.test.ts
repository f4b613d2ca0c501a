import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MODULI } from '../../../../src/crypto/sis/parameters.ts';
import { startKernels } from '../../../../src/crypto/sis/ring.ts';
import { type Field, fieldOf, inverseOf, power, rootTable } from '../../../../src/crypto/sis/roots.ts';
import { assertWords, evaluate, mod, pointOf, powMod, schoolbook } from '../../../support/sisReference.ts';

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;
const ROOTS_AT = 0;
const X_AT = 32_768;
const Y_AT = X_AT + 16_384;

const kernels = startKernels(2);

/** The kernels' values of a polynomial of int32 coefficients. */
function transformed(field: Field, coefficients: ArrayLike<number>): Uint32Array {
  const { q, degree } = field;
  new Uint32Array(kernels.memory.buffer, ROOTS_AT, 2 * degree).set(rootTable(field));
  new Int32Array(kernels.memory.buffer, Y_AT, degree).set(coefficients);
  kernels.reduce(X_AT, Y_AT, q, degree);
  kernels.transform(X_AT, ROOTS_AT, q, degree);
  return new Uint32Array(kernels.memory.buffer, X_AT, degree).slice();
}

const expected = ({ q, degree, psi }: Field, coefficients: ArrayLike<number>): Uint32Array =>
  Uint32Array.from({ length: degree }, (_, slot) =>
    Number(evaluate(coefficients, pointOf(slot, degree, BigInt(psi), BigInt(q)), BigInt(q))),
  );

const field = fc.tuple(fc.constantFrom(...MODULI), fc.constantFrom(8, 16, 32, 64)).map(([q, degree]) => fieldOf(q, degree));
const extreme = fc.constantFrom(0, 1, -1, 32_767, -32_767, -32_768, INT32_MIN, INT32_MAX, ...MODULI.flatMap((q) => [q - 1, q, 1 - q, -q]));
const coefficient = fc.oneof(extreme, fc.integer({ min: INT32_MIN, max: INT32_MAX }));
const polynomialOf = (degree: number) =>
  fc.array(
    coefficient.map((c) => Math.max(INT32_MIN, Math.min(INT32_MAX, c))),
    { minLength: degree, maxLength: degree },
  );

describe('sis kernels', () => {
  it('use primes that are 1 modulo 4096, and roots of order 4096', () => {
    for (const q of MODULI) {
      for (let factor = 2; factor * factor <= q; factor++) assert.notEqual(q % factor, 0, `${factor} divides ${q}`);
      assert.equal(q % 4096, 1);
      const { psi } = fieldOf(q, 2048);
      assert.equal(powMod(BigInt(psi), 2048n, BigInt(q)), BigInt(q) - 1n);
    }
  });

  it('take the roots of FIPS 204 appendix B for the parameters of FIPS 204', () => {
    const table = rootTable({ q: 8_380_417, degree: 256, psi: 1753 });
    // zetas[1..16] and the last one; entry 0 is not used.
    const published = [
      4808194, 3765607, 3761513, 5178923, 5496691, 5234739, 5178987, 7778734, 3542485, 2682288, 2129892, 3764867, 7375178, 557458, 7159240,
      5010068,
    ];
    assert.deepEqual([...table.subarray(1, 17)], published);
    assert.equal(table[255], 7648983);
  });

  it('invert odd numbers modulo 2^32', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 30 - 1 }), (half) => {
        assert.equal(Math.imul(2 * half + 1, inverseOf(2 * half + 1)), 1);
      }),
    );
  });

  it('raise to powers as BigInt does', () => {
    fc.assert(
      fc.property(fc.nat(INT32_MAX), fc.nat(INT32_MAX), fc.constantFrom(...MODULI), (base, exponent, q) => {
        assert.equal(BigInt(power(base, exponent, q)), powMod(BigInt(base) % BigInt(q), BigInt(exponent), BigInt(q)));
      }),
      { numRuns: 30 },
    );
  });

  it('evaluate at every odd power of psi, for random and extreme coefficients', () => {
    fc.assert(
      fc.property(
        field.chain((f) => fc.tuple(fc.constant(f), polynomialOf(f.degree))),
        ([f, x]) => assertWords(transformed(f, x), expected(f, x)),
      ),
      { numRuns: 150 },
    );
  });

  it('evaluate a polynomial of FIPS 204', () => {
    const fips = { q: 8_380_417, degree: 256, psi: 1753 };
    const x = Array.from({ length: 256 }, (_, i) => ((i * 7_654_321) % 8_380_417) - (i % 2) * 8_380_416);
    assertWords(transformed(fips, x), expected(fips, x));
  });

  it('turn products modulo X^2048 + 1 into products of values', () => {
    for (const q of MODULI) {
      const f = fieldOf(q, 2048);
      const a = Int32Array.from({ length: 2048 }, (_, i) => Math.imul(i + 1, 0x9e37_79b1) >> 1);
      const b = Int32Array.from({ length: 2048 }, (_, i) => (i % 3 === 0 ? INT32_MIN : 32_767 - 11 * i));
      const product = schoolbook(Array.from(a, BigInt), Array.from(b, BigInt), BigInt(q));
      const [valuesA, valuesB] = [transformed(f, a), transformed(f, b)];
      const values = transformed(f, product.map(Number));
      assertWords(
        values,
        values.map((_, i) => Number((BigInt(valuesA[i] as number) * BigInt(valuesB[i] as number)) % BigInt(q))),
      );
    }
  }).timeout(60_000);

  it('know the values of 1, X and X^2047', () => {
    for (const q of MODULI) {
      const f = fieldOf(q, 2048);
      const at = (i: number) => Int32Array.from({ length: 2048 }, (_, k) => (k === i ? 1 : 0));
      assertWords(transformed(f, at(0)), new Uint32Array(2048).fill(1));
      const points = transformed(f, at(1));
      for (const slot of [0, 1, 2, 1023, 2047]) assert.equal(BigInt(points[slot] as number), pointOf(slot, 2048, BigInt(f.psi), BigInt(q)));
      // X X^2047 = -1
      const last = transformed(f, at(2047));
      points.forEach((point, i) => {
        assert.equal((BigInt(point) * BigInt(last[i] as number)) % BigInt(q), BigInt(q) - 1n);
      });
    }
  });

  it('add products divided by 2^32', () => {
    const residueOf = (q: number) => fc.oneof(fc.constantFrom(0, 1, q - 1, q - 2), fc.nat(q - 1));
    const inputs = fc.constantFrom(...MODULI).chain((q) => {
      const vector = fc.array(residueOf(q), { minLength: 8, maxLength: 8 });
      return fc.tuple(fc.constant(q), vector, vector, vector);
    });
    fc.assert(
      fc.property(inputs, ([q, sum, x, y]) => {
        const modulus = BigInt(q);
        const memory = new Uint32Array(kernels.memory.buffer, X_AT, 24);
        memory.set([...sum, ...x, ...y]);
        kernels.multiplyAdd(X_AT, X_AT + 32, X_AT + 64, q, inverseOf(q), 8);
        const divisor = powMod(2n ** 32n % modulus, modulus - 2n, modulus);
        const wanted = sum.map((s, i) => Number(mod(BigInt(s) + BigInt(x[i] as number) * BigInt(y[i] as number) * divisor, modulus)));
        assert.deepEqual([...memory.subarray(0, 8)], wanted);
      }),
      { numRuns: 200 },
    );
  });
});
