import assert from 'node:assert/strict';
import fc from 'fast-check';
import { nativeMldsa, nobleMldsa, selfTest, utf8 } from '../../../src/crypto/index.ts';
import { type Mldsa, passesKnownAnswers } from '../../../src/crypto/mldsa.ts';

const context = utf8('a context');
const seed32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe('ML-DSA-65', () => {
  it('native and noble both give the published answers, and native is chosen', () => {
    assert.equal(passesKnownAnswers(nativeMldsa), true);
    assert.equal(passesKnownAnswers(nobleMldsa), true);
    assert.deepEqual(selfTest(), { mldsa: 'native' });
  });

  it('native and noble make byte-equal keys and accept each other', () => {
    fc.assert(
      fc.property(seed32, fc.uint8Array(), (seed, message) => {
        const native = nativeMldsa.keyFromSeed(seed);
        const noble = nobleMldsa.keyFromSeed(seed);
        assert.deepEqual(native.publicKey, noble.publicKey);
        assert.equal(nobleMldsa.verify(native.publicKey, message, native.sign(message, context), context), true);
        assert.equal(nativeMldsa.verify(native.publicKey, message, noble.sign(message, context), context), true);
      }),
      { numRuns: 8 },
    );
  });

  it('native and noble give one verdict on altered signatures, messages and contexts', () => {
    const key = nobleMldsa.keyFromSeed(new Uint8Array(32));
    const message = utf8('message');
    const signature = key.sign(message, context);
    fc.assert(
      fc.property(fc.nat(signature.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const altered = signature.with(at, (signature[at] as number) ^ flip);
        assert.equal(nativeMldsa.verify(key.publicKey, message, altered, context), false);
        assert.equal(nobleMldsa.verify(key.publicKey, message, altered, context), false);
      }),
      { numRuns: 25 },
    );
    for (const mldsa of [nativeMldsa, nobleMldsa]) {
      assert.equal(mldsa.verify(key.publicKey, utf8('other'), signature, context), false);
      assert.equal(mldsa.verify(key.publicKey, message, signature, utf8('other')), false);
      assert.equal(mldsa.verify(key.publicKey, message, signature.subarray(1), context), false);
      assert.equal(mldsa.verify(key.publicKey.subarray(1), message, signature, context), false);
    }
  });

  it('noble signs deterministically, so a simulated world repeats', () => {
    const key = nobleMldsa.keyFromSeed(new Uint8Array(32).fill(3));
    assert.deepEqual(key.sign(context, context), key.sign(context, context));
  });

  it('the self-test sees a wrong key, a verifier that accepts all, one that refuses all, and one that throws', () => {
    const wrong: Mldsa[] = [
      { ...nativeMldsa, keyFromSeed: () => nativeMldsa.keyFromSeed(new Uint8Array(32)) },
      { ...nativeMldsa, verify: () => true },
      { ...nativeMldsa, verify: () => false },
      {
        ...nativeMldsa,
        keyFromSeed: () => {
          throw new Error('not supported');
        },
      },
    ];
    assert.deepEqual(wrong.map(passesKnownAnswers), [false, false, false, false]);
  });
});
