import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sis } from '../../../../src/crypto/index.ts';
import { factorOf } from '../../../../src/crypto/sis/expand.ts';
import { ELEMENT_WORDS, MODULI } from '../../../../src/crypto/sis/parameters.ts';
import { assertWords, N, polynomialOfA } from '../../../support/sisReference.ts';

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });

const assertExpansion = (bytes: Uint8Array, index: number): void =>
  assertWords(sis.expand(bytes, index), polynomialOfA(bytes, index).flat().map(Number));

describe('sis expansion', () => {
  it('draws A as the definition does', () => {
    fc.assert(
      fc.property(seed, fc.nat(2 ** 32 - 1), (bytes, index) => {
        assertExpansion(bytes, index);
      }),
      { numRuns: 20 },
    );
  });

  it('leaves out what is not below the prime, and draws on where too little is left', () => {
    // Of the first million words of this seed some fifty are refused, and three or more in each of the last three polynomials.
    for (const index of [...Array(256).keys(), 1390, 2841, 4566]) assertExpansion(new Uint8Array(32), index);
  });

  it('has 4096 times the low digits as the high digits of rho, then the values', () => {
    const bytes = new Uint8Array(32).fill(3);
    const factor = (block: number): Uint32Array => {
      const into = new Uint32Array(ELEMENT_WORDS);
      factorOf(bytes, block, into);
      return into;
    };
    for (const block of [0, 3]) {
      const low = sis.expand(bytes, block);
      assertWords(factor(block), low);
      const high = low.map((word, i) => Number((BigInt(word) * 4096n) % BigInt(MODULI[i < N ? 0 : 1])));
      assertWords(factor(block + 4), high);
    }
    assertWords(factor(8), sis.expand(bytes, 4));
    assertWords(factor(300), sis.expand(bytes, 296));
  });

  it('draws a rho within its bounds that depends on every byte of the secret', () => {
    const secret = new Uint8Array(32).fill(9);
    const rho = sis.expandRho(secret);
    assert.equal(rho.length, 4 * N);
    assert.ok(rho.every((value) => value >= -(2 ** 23) && value < 2 ** 23));
    // Uniform numbers of 2^24: both ends are met within 1 %, and the mean is within 5 standard deviations (2^24 / sqrt(12 * 8192)).
    assert.ok(Math.max(...rho) > 0.99 * 2 ** 23 && Math.min(...rho) < -0.99 * 2 ** 23);
    assert.ok(Math.abs(rho.reduce((sum, value) => sum + value, 0) / rho.length) < 5 * 53_510);
    secret[31] = 8;
    assert.ok(sis.expandRho(secret).filter((value, i) => value === rho[i]).length < 5);
  });

  it('refuses a seed or a secret of another length', () => {
    for (const length of [0, 31, 33]) {
      assert.throws(() => sis.expand(new Uint8Array(length), 0), { code: 'MALFORMED' });
      assert.throws(() => sis.expandRho(new Uint8Array(length)), { code: 'MALFORMED' });
    }
  });
});
