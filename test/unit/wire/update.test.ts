import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { hkdfSha256, utf8 } from '../../../src/crypto/index.ts';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';
import { compress, decodeUpdate, encode, encodeUpdate, updateHash, updateMaxBytes } from '../../../src/wire/index.ts';

const salt = new Uint8Array(32).fill(7);
const sha = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

describe('update plaintexts', () => {
  it('decode to what was encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2 }), fc.constantFrom('int16' as const, 'int8' as const), (ints, dtype) => {
        assert.deepEqual(decodeUpdate(encodeUpdate({ salt, dtype, ints }), ints.length), { salt, dtype, ints });
      }),
    );
  });

  it('fit their bound even when nothing compresses', () => {
    const ints = Buffer.concat(Array.from({ length: 100 }, (_, i) => hkdfSha256(salt, salt, utf8(String(i)), 8160)));
    const encoded = encodeUpdate({ salt, dtype: 'int16', ints });
    assert.ok(encoded.length > ints.length && encoded.length <= updateMaxBytes(ints.length));
    assert.deepEqual(Buffer.from(decodeUpdate(encoded, ints.length).ints), ints);
  });

  it('are refused when they hold more or less than was committed, or are out of form', () => {
    const bomb = encodeUpdate({ salt, dtype: 'int16', ints: new Uint8Array(5_000_000) });
    assert.throws(() => decodeUpdate(bomb, 100), { code: 'TOO_LARGE' });
    assert.throws(() => decodeUpdate(encodeUpdate({ salt, dtype: 'int16', ints: new Uint8Array(98) }), 100), { code: 'MALFORMED' });
    assert.throws(() => decodeUpdate(encode([salt.subarray(1), 'int16', compress(salt)]), 32), { code: 'MALFORMED' });
    assert.throws(() => decodeUpdate(encode([salt, 'int32', compress(salt)]), 32), { code: 'MALFORMED' });
    assert.throws(() => decodeUpdate(encode([salt, 'int16', salt]), 32), { code: 'MALFORMED' });
    assert.throws(() => decodeUpdate(new Uint8Array(2000), 100), { code: 'TOO_LARGE' });
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
