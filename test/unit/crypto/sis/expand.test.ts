import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { sis } from '../../../../src/crypto/index.ts';
import { factorOf } from '../../../../src/crypto/sis/expand.ts';
import { ELEMENT_WORDS, MODULI } from '../../../../src/crypto/sis/parameters.ts';
import { N, polynomialOfA } from '../../../support/sisReference.ts';

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe('sis expansion', () => {
  it('draws A as the definition does', () => {
    fc.assert(
      fc.property(seed, fc.nat(2 ** 32 - 1), (bytes, index) => {
        assert.deepEqual([...sis.expand(bytes, index)], polynomialOfA(bytes, index).flat().map(Number));
      }),
      { numRuns: 20 },
    );
  });

  it('leaves out what is not below the prime, and takes the next', () => {
    // One word in 20,000 is refused: some ninety of these two million.
    const bytes = new Uint8Array(32);
    let refused = 0;
    for (let index = 0; index < 1_000; index++) {
      const drawn = createHash('shake128', { outputLength: 4 * N })
        .update('starling/sis/a/1\0')
        .update(bytes)
        .update(Uint8Array.of(index, index >> 8, 0, 0))
        .digest();
      const first = Array.from({ length: N }, (_, i) => drawn.readUInt32LE(4 * i) & 0x7fff_ffff).findIndex((word) => word >= MODULI[0]);
      if (first < 0) continue;
      refused++;
      assert.deepEqual([...sis.expand(bytes, index)], polynomialOfA(bytes, index).flat().map(Number));
    }
    assert.ok(refused > 20, `${refused} polynomials with a refused word`);
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
      assert.deepEqual(factor(block), low);
      const high = low.map((word, i) => Number((BigInt(word) * 4096n) % BigInt(MODULI[i < N ? 0 : 1])));
      assert.deepEqual(factor(block + 4), high);
    }
    assert.deepEqual(factor(8), sis.expand(bytes, 4));
    assert.deepEqual(factor(300), sis.expand(bytes, 296));
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
