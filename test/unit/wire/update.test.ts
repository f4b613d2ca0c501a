import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { hkdfSha256, utf8 } from '../../../src/crypto/index.ts';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';
import { compress, decode, decodeUpdate, encode, encodeUpdate, updateHash, updateMaxBytes } from '../../../src/wire/index.ts';

const salt = new Uint8Array(32).fill(7);
const sha = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

/** What no packing makes smaller. */
const noise = (bytes: number): Uint8Array =>
  Buffer.concat(Array.from({ length: Math.ceil(bytes / 8160) }, (_, i) => hkdfSha256(salt, salt, utf8(String(i)), 8160))).subarray(
    0,
    bytes,
  );
const dense = (payload: Uint8Array) => encodeUpdate({ salt, encoding: 'dense', dtype: 'int16', payload });
const packingOf = (encoded: Uint8Array): unknown => (decode(encoded, 'update', 10_000_000) as unknown[])[3];

describe('update plaintexts', () => {
  it('decode to what was encoded', () => {
    const forms = fc.record({
      encoding: fc.constantFrom('dense' as const, 'topk' as const, 'sign' as const),
      dtype: fc.constantFrom('int16' as const, 'int8' as const),
      // Few values, so that some of them pay to pack.
      payload: fc.oneof(fc.uint8Array(), fc.uint8Array({ max: 1, maxLength: 2_000, size: 'max' })),
    });
    fc.assert(
      fc.property(forms, (form) => {
        const { payload, ...rest } = decodeUpdate(encodeUpdate({ salt, ...form }), form.payload.length);
        assert.deepEqual({ ...rest, payload: Uint8Array.from(payload) }, { salt, ...form });
      }),
    );
  });

  it('are packed where that saves a thirty-second, and are as they are elsewhere', () => {
    const [zeros, random] = [new Uint8Array(300_000), noise(300_000)];
    assert.equal(packingOf(dense(zeros)), 1);
    assert.ok(dense(zeros).length < 500);
    for (const size of [0, 1, 1_000, 300_000]) {
      const encoded = dense(random.subarray(0, size));
      assert.equal(packingOf(encoded), 0, `${size} bytes`);
      assert.ok(encoded.length < size + 60 && encoded.length <= updateMaxBytes(size));
      assert.deepEqual(Buffer.from(decodeUpdate(encoded, size).payload), Buffer.from(random.subarray(0, size)));
    }
    // A fifth of zeros at the end saves enough by itself, a fortieth does not.
    const mixed = (zerosFrom: number) => Uint8Array.from(noise(10_000)).fill(0, zerosFrom);
    assert.deepEqual([packingOf(dense(mixed(8_000))), packingOf(dense(mixed(9_750)))], [1, 0]);
    // The middle of a long one speaks for the whole.
    const skewed = Uint8Array.from(random).fill(0, 0, 60_000);
    assert.equal(packingOf(dense(skewed)), 0);
  });

  it('are refused when they hold more than they may, or are out of form', () => {
    const bomb = dense(new Uint8Array(5_000_000));
    assert.throws(() => decodeUpdate(bomb, 1_000), { code: 'TOO_LARGE' });
    assert.throws(() => decodeUpdate(bomb, 4_999_999), { code: 'TOO_LARGE' });
    assert.throws(() => decodeUpdate(new Uint8Array(2000), 100), { code: 'TOO_LARGE' });
    const refused = (value: unknown) => assert.throws(() => decodeUpdate(encode(value), 100), { code: 'MALFORMED' });
    for (const payload of [noise(32), compress(salt)]) {
      const packing = payload.length === 32 ? 0 : 1;
      assert.ok(decodeUpdate(encode([salt, 'dense', 'int16', packing, payload]), 100));
      refused([salt.subarray(1), 'dense', 'int16', packing, payload]);
      refused([salt, 'sparse', 'int16', packing, payload]);
      refused([salt, 'dense', 'int32', packing, payload]);
      refused([salt, 'dense', 'int16', 2, payload]);
      refused([salt, 'dense', 'int16', packing]);
    }
    refused([salt, 'dense', 'int16', 1, noise(32)]);
    refused([salt, 'dense', 'int16', 0, noise(101)]);
  });
});

describe('update hash', () => {
  it('is the RFC 9162 tree over salted chunks', () => {
    const ints = Uint8Array.from({ length: CHUNK_BYTES + 10 }, (_, i) => i & 255);
    const left = sha(Buffer.of(0), salt, ints.subarray(0, CHUNK_BYTES));
    const right = sha(Buffer.of(0), salt, ints.subarray(CHUNK_BYTES));
    assert.equal(updateHash(salt, ints), sha(Buffer.of(1), left, right).toString('hex'));
  });

  it('changes with the salt and with any byte', () => {
    const ints = new Uint8Array(64);
    const hashes = [
      updateHash(salt, ints),
      updateHash(salt.with(0, 8), ints),
      updateHash(salt, ints.with(63, 1)),
      updateHash(salt, ints.subarray(1)),
    ];
    assert.equal(new Set(hashes).size, 4);
  });
});
