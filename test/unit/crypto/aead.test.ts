import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  aeadOpen,
  aeadSeal,
  fromHex,
  hkdfSha256,
  openSegments,
  SEGMENT_BYTES,
  sealedSize,
  sealSegments,
  toHex,
  utf8,
} from '../../../src/crypto/index.ts';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';

const key = Uint8Array.from({ length: 32 }, (_, i) => i);
const aad = utf8('entry');
const failsToOpen = { code: 'DECRYPT_FAILED' };
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);

describe('aead', () => {
  it('gives the vector of RFC 8439 section 2.8.2', () => {
    const sealed = aeadSeal(
      fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'),
      fromHex('070000004041424344454647'),
      fromHex('50515253c0c1c2c3c4c5c6c7'),
      utf8("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."),
    );
    assert.equal(
      toHex(sealed),
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
    );
  });

  it('gives the vector of RFC 5869 appendix A.1', () => {
    const okm = hkdfSha256(new Uint8Array(22).fill(0x0b), fromHex('000102030405060708090a0b0c'), fromHex('f0f1f2f3f4f5f6f7f8f9'), 42);
    assert.equal(toHex(okm), '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865');
  });

  it('opens what it sealed, at every edge of a segment', () => {
    for (const size of [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES]) {
      const plaintext = pattern(size);
      const sealed = sealSegments(key, aad, plaintext);
      assert.equal(sealed.byteLength, sealedSize(size));
      assert.deepEqual(openSegments(key, aad, sealed, size), plaintext);
    }
  });

  it('cuts ciphertext at content chunks, with the nonce counter || last flag', () => {
    const plaintext = pattern(SEGMENT_BYTES + 3);
    const sealed = sealSegments(key, aad, plaintext);
    const first = aeadOpen(key, fromHex('000000000000000000000000'), aad, sealed.subarray(0, CHUNK_BYTES));
    const last = aeadOpen(key, fromHex('000000000000000000000101'), aad, sealed.subarray(CHUNK_BYTES));
    assert.deepEqual(Buffer.concat([first, last]), Buffer.from(plaintext));
  });

  it('refuses any flipped bit, another key and another context', () => {
    const sealed = sealSegments(key, aad, pattern(100));
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.nat(7), (at, bit) => {
        const altered = sealed.with(at, (sealed[at] as number) ^ (1 << bit));
        assert.throws(() => openSegments(key, aad, altered, 100), failsToOpen);
      }),
    );
    assert.throws(() => openSegments(key.with(0, 9), aad, sealed, 100), failsToOpen);
    assert.throws(() => openSegments(key, utf8('other'), sealed, 100), failsToOpen);
  });

  it('refuses segments that are cut off, swapped, repeated or added', () => {
    const sealed = sealSegments(key, aad, pattern(2 * SEGMENT_BYTES + 9));
    const [a, b, c] = [0, 1, 2].map((i) => sealed.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES)) as [Uint8Array, Uint8Array, Uint8Array];
    const lone = sealSegments(key, aad, new Uint8Array(0));
    for (const parts of [[], [a], [a, b], [b, a, c], [a, a, c], [a, b, b, c], [a, c], [a, b, c, lone], [a, b, c.subarray(0, 15)]])
      assert.throws(() => openSegments(key, aad, Buffer.concat(parts), 5 * CHUNK_BYTES), failsToOpen);
  });

  it('refuses an empty last segment after a full one: one plaintext has one form', () => {
    const full = aeadSeal(key, fromHex('000000000000000000000000'), aad, pattern(SEGMENT_BYTES));
    const empty = aeadSeal(key, fromHex('000000000000000000000101'), aad, new Uint8Array(0));
    assert.throws(() => openSegments(key, aad, Buffer.concat([full, empty]), CHUNK_BYTES), failsToOpen);
  });

  it('bounds the plaintext before opening it', () => {
    assert.throws(() => openSegments(key, aad, sealSegments(key, aad, pattern(101)), 100), { code: 'TOO_LARGE' });
  });
});
