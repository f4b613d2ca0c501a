import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/crypto/index.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { decode, encode } from '../../../src/wire/index.ts';
import { cbor } from './samples.ts';

const refusals: readonly (readonly [string, string])[] = [
  ['an integer in one byte more than it needs', '1817'],
  ['an integer in eight bytes that fits one', '1b0000000000000001'],
  ['a text length in two bytes that fits one', '780161'],
  ['keys out of order', 'a2616201616101'],
  ['keys ordered without regard to length', 'a2626161016162 01'.replace(' ', '')],
  ['a key twice', 'a2616101616102'],
  ['an array without a length', '9f01ff'],
  ['bytes without a length', '5f4101ff'],
  ['text without a length', '7f6161ff'],
  ['a map without a length', 'bf616101ff'],
  ['NaN', 'fb7ff8000000000000'],
  ['infinity', 'fb7ff0000000000000'],
  ['a half float', 'f93c00'],
  ['a single float', 'fa3fc00000'],
  ['an integer written as a float', 'fb3ff0000000000000'],
  ['minus zero', 'fb8000000000000000'],
  ['undefined', 'f7'],
  ['a simple value', 'e0'],
  ['a tag', 'c001'],
  ['a key that is no text', 'a10102'],
  ['bytes after the end', '0101'],
  ['nothing', ''],
  ['a cut-off array', '8201'],
  ['a length beyond the end', '5affffffff00'],
  ['text that is not UTF-8', '61ff'],
];

describe('canonical CBOR', () => {
  it('writes what RFC 8949 section 4.2.1 and DAG-CBOR order ask for', () => {
    const value = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        fc.maxSafeInteger(),
        fc
          .double({ noNaN: true, noDefaultInfinity: true })
          .map((x) => (Object.is(x, -0) ? 0 : x))
          .filter((x) => !Number.isInteger(x)),
        fc.string(),
        fc.uint8Array(),
        fc.constant(null),
        fc.array(tie('node'), { maxLength: 5 }),
        fc.dictionary(fc.stringMatching(/^[a-z]{0,5}$/), tie('node'), { maxKeys: 5 }),
      ),
    })).node;
    fc.assert(
      fc.property(value, (v) => {
        const bytes = encode(v);
        assert.equal(toHex(bytes), cbor(v).toString('hex'));
        assert.equal(toHex(encode(decode(bytes, 'value', 1 << 20))), toHex(bytes));
      }),
      { numRuns: 300 },
    );
  });

  for (const [what, hex] of refusals)
    it(`refuses ${what}`, () => {
      assert.throws(
        () => decode(fromHex(hex), 'thing', 64),
        (e) => e instanceof StarlingError && (e.code === 'MALFORMED' || e.code === 'NON_CANONICAL') && e.facts.field === 'thing',
      );
    });

  it('never accepts two encodings of a value: what decodes encodes to the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        let value: unknown;
        try {
          value = decode(bytes, 'thing', 64);
        } catch (e) {
          assert.ok(e instanceof StarlingError);
          return;
        }
        assert.equal(toHex(encode(value)), toHex(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses nesting that would overflow the stack', () => {
    for (const depth of [3_000, 30_000, 1_000_000]) {
      const nested = Buffer.concat([Buffer.alloc(depth, 0x81), Buffer.of(0x80)]);
      try {
        decode(nested, 'thing', 2 ** 20);
      } catch (e) {
        assert.ok(e instanceof StarlingError && e.code === 'MALFORMED');
      }
    }
    assert.throws(() => decode(Buffer.concat([Buffer.alloc(1_000_000, 0x81), Buffer.of(0x80)]), 'thing', 2 ** 20), { code: 'MALFORMED' });
  });

  it('bounds the bytes before decoding', () => {
    assert.throws(() => decode(new Uint8Array(65), 'thing', 64), { code: 'TOO_LARGE' });
  });
});
