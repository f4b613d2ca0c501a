import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { fromHex, hashWithDomain, sha256, toHex, utf8 } from '../../../src/crypto/index.ts';

describe('hash', () => {
  it('gives the FIPS 180-4 example', () => {
    assert.equal(toHex(sha256(utf8('abc'))), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });

  it('hashes parts as if they were joined', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array(), { maxLength: 4 }), (parts) => {
        assert.deepEqual(sha256(...parts), new Uint8Array(createHash('sha256').update(Buffer.concat(parts)).digest()));
      }),
    );
  });

  it('separates domains by a zero byte', () => {
    const expected = createHash('sha256').update('starling/x/1').update(Buffer.of(0)).update('body').digest('hex');
    assert.equal(toHex(hashWithDomain('starling/x/1', utf8('body'))), expected);
    assert.notDeepEqual(hashWithDomain('a', utf8('b')), hashWithDomain('ab', utf8('')));
  });

  it('reads the hex it writes', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => assert.deepEqual(fromHex(toHex(bytes)), bytes)));
  });

  it('reads hex as Node does, and nothing else', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => assert.equal(toHex(bytes.subarray(1)), Buffer.from(bytes).toString('hex').slice(2))));
    for (const text of ['0', 'abc', '0g', 'zz', '00 11', '0x00', 'ab\u0000']) assert.throws(() => fromHex(text), SyntaxError);
  });
});
