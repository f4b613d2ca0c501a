import assert from 'node:assert/strict';
import {
  decode,
  encode,
  readBytes,
  readHash,
  readHashSet,
  readInt,
  readList,
  readMap,
  readNullable,
  readNumber,
  readOneOf,
  readRecord,
  readText,
  readTuple,
} from '../../../src/wire/index.ts';

const hash = (byte: number) => new Uint8Array(32).fill(byte);
const refuses = (read: () => unknown, field = 'f') =>
  assert.throws(read, (e: { code?: string; facts?: { field?: string } }) => e.code === 'MALFORMED' && e.facts?.field === field);

describe('field readers', () => {
  it('read what is within bounds', () => {
    assert.equal(readInt(0, 'f'), 0);
    assert.equal(readInt(Number.MAX_SAFE_INTEGER, 'f'), Number.MAX_SAFE_INTEGER);
    assert.equal(readNumber(-0.5, 'f'), -0.5);
    assert.equal(readText('é', 'f', 1, 1), 'é');
    assert.equal(readOneOf('b', 'f', ['a', 'b']), 'b');
    assert.equal(readHash(hash(0xcd), 'f'), 'cd'.repeat(32));
    assert.deepEqual(readHashSet([hash(1), hash(2)], 'f', 2), ['01'.repeat(32), '02'.repeat(32)]);
    assert.deepEqual(readRecord({ a: 1, b: 2 }, 'f', ['b', 'a']), { a: 1, b: 2 });
    assert.equal(readNullable(null, 'f', readHash), null);
  });

  it('refuse what is not, naming the field', () => {
    for (const value of [-1, 1.5, 2 ** 53, 1n, '1', null, undefined]) refuses(() => readInt(value, 'f'));
    refuses(() => readInt(5, 'f', 6));
    refuses(() => readInt(5, 'f', 0, 4));
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, '1', 11]) refuses(() => readNumber(value, 'f', 0, 10));
    for (const value of ['', 'abc', 'a\n', 7]) refuses(() => readText(value, 'f', 1, 2));
    refuses(() => readOneOf('c', 'f', ['a', 'b']));
    for (const value of [new Uint8Array(3), 'abcd', [1, 2, 3, 4]]) refuses(() => readBytes(value, 'f', 4));
    refuses(() => readBytes(new Uint8Array(9), 'f', 4, 8));
    refuses(() => readTuple([1], 'f', 2));
    refuses(() => readTuple({ length: 2 }, 'f', 2));
    refuses(() => readList([1, 2, 3], 'f', 2, (x) => x));
    refuses(() => readList([1, -2], 'f', 2, (x, field) => readInt(x, field)), 'f[1]');
  });

  it('take no other object for a map', () => {
    const link = decode(Buffer.from(`d82a58250001551220${'00'.repeat(32)}`, 'hex'), 'f', 64);
    assert.equal(typeof link, 'object');
    for (const value of [null, [], new Uint8Array(2), 'a', link]) refuses(() => readMap(value, 'f'));
  });

  it('want exactly the named keys', () => {
    refuses(() => readRecord({ a: 1 }, 'f', ['a', 'b']), 'f.b');
    refuses(() => readRecord({ a: 1, b: 2, c: 3 }, 'f', ['a', 'b']), 'f.c');
    refuses(() => readRecord({}, 'f', ['toString']), 'f.toString');
  });

  it('are not fooled by a __proto__ key', () => {
    const map = decode(encode(JSON.parse('{"__proto__": {"a": 1}}')), 'f', 64);
    refuses(() => readRecord(map, 'f', ['a']), 'f.a');
    refuses(() => readRecord(map, 'f', []), 'f.__proto__');
  });

  it('want sets in ascending order without repetition', () => {
    refuses(() => readHashSet([hash(2), hash(1)], 'f', 4), 'f[1]');
    refuses(() => readHashSet([hash(2), hash(2)], 'f', 4), 'f[1]');
  });
});
