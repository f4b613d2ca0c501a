import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { StarlingError } from '../../../src/spec/index.ts';
import { decodeSafetensors, encodeSafetensors, matchTensors } from '../../../src/wire/index.ts';

interface Vector {
  readonly float32: string;
  readonly float16: string;
  readonly tensors: Record<string, { readonly shape: number[]; readonly valuesLe: string }>;
}
const vector = JSON.parse(readFileSync(new URL('../../vectors/wire/safetensors.json', import.meta.url), 'utf8')) as Vector;
const file = new Uint8Array(Buffer.from(vector.float32, 'base64'));
const MAX = 1 << 20;

/** A file with this header (padded or not, as given) and this much data. */
function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}
const f32 = (shape: unknown, begin: unknown, end: unknown) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

const refusals: readonly (readonly [string, Uint8Array, string])[] = [
  ['an empty file', new Uint8Array(0), 'the file'],
  ['a header length beyond the file', Buffer.concat([Buffer.from('ffffffffffffff7f', 'hex'), Buffer.alloc(8)]), 'the header'],
  ['a header that is not JSON', fileOf('{"a":', 0), 'the header'],
  ['a header that is an array', fileOf('[]', 0), 'the header'],
  ['a header that does not begin with a brace', fileOf(' {}', 0), 'the header'],
  ['a header that is not UTF-8', Buffer.concat([Buffer.from('0400000000000000', 'hex'), Buffer.from('7b22ff7d', 'hex')]), 'the header'],
  ['half floats, naming the tensor', new Uint8Array(Buffer.from(vector.float16, 'base64')), 'half'],
  [
    'a tensor name twice',
    fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    'a',
  ],
  ['a key twice in a tensor', fileOf('{"a":{"dtype":"F16","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4), 'dtype'],
  ['a gap before a tensor', fileOf({ a: f32([1], 4, 8) }, 8), 'a'],
  ['two tensors that overlap', fileOf({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8), 'b'],
  ['data beyond the end', fileOf({ a: f32([2], 0, 8) }, 4), 'a'],
  ['bytes after the last tensor', fileOf({ a: f32([1], 0, 4) }, 5), 'the file'],
  ['data that the shape does not need', fileOf({ a: f32([1], 0, 8) }, 8), 'a'],
  ['offsets in reverse', fileOf({ a: f32([1], 8, 4) }, 8), 'a'],
  ['a shape that is no list', fileOf({ a: f32('1', 0, 4) }, 4), 'a'],
  ['a negative axis', fileOf({ a: f32([-1], 0, 4) }, 4), 'a'],
  ['a fractional axis', fileOf({ a: f32([0.5], 0, 2) }, 2), 'a'],
  ['one offset', fileOf({ a: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 4), 'a'],
  ['a tensor that is no object', fileOf({ a: 5 }, 0), 'a'],
];

describe('safetensors', () => {
  it('reads a file of the reference implementation', () => {
    const decoded = decodeSafetensors(file, MAX);
    const readable = Object.fromEntries(
      decoded.map(({ name, shape, values }) => [
        name,
        { shape: [...shape], valuesLe: Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('hex') },
      ]),
    );
    assert.deepEqual(readable, vector.tensors);
  });

  it('writes the file of the reference implementation, byte for byte in the same order', () => {
    const header = JSON.parse(Buffer.from(file.subarray(8, 8 + Number(Buffer.from(file).readBigUInt64LE()))).toString()) as object;
    const names = Object.keys(header).filter((name) => name !== '__metadata__');
    const byName = new Map(decodeSafetensors(file, MAX).map((tensor) => [tensor.name, tensor]));
    const tensors = names.map((name) => byName.get(name)).filter((tensor) => tensor !== undefined);
    assert.deepEqual(encodeSafetensors(tensors, { format: 'pt' }), file);
  });

  it('reads what it writes', () => {
    const tensor = fc.record({
      name: fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== '__metadata__'),
      values: fc.float32Array({ maxLength: 20 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }), (tensors) => {
        const named = tensors
          .filter(({ values }) => values.length > 0)
          .map(({ name, values }) => ({ name, shape: [values.length], values }));
        const decoded = decodeSafetensors(encodeSafetensors(named, { a: 'b' }), MAX);
        assert.deepEqual(decoded, named);
      }),
    );
  });

  it('writes views of larger buffers and reads from unaligned ones', () => {
    const values = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
    const encoded = encodeSafetensors([{ name: 'a', shape: [2], values }]);
    const shifted = new Uint8Array(encoded.length + 1);
    shifted.set(encoded, 1);
    assert.deepEqual(decodeSafetensors(shifted.subarray(1), MAX), [{ name: 'a', shape: [2], values: new Float32Array([1, 2]) }]);
  });

  for (const [what, bytes, field] of refusals)
    it(`refuses ${what}`, () => {
      assert.throws(
        () => decodeSafetensors(bytes, MAX),
        (e) => e instanceof StarlingError && e.code === 'BAD_SAFETENSORS' && e.facts.field === field && e.facts.fix !== undefined,
      );
    });

  it('bounds the file', () => {
    assert.throws(() => decodeSafetensors(file, file.length - 1), { code: 'TOO_LARGE' });
  });

  it('joins tensors in the order of the model, and refuses any other set', () => {
    const a = { name: 'a', shape: [2], values: new Float32Array([1, 2]) };
    const b = { name: 'b', shape: [], values: new Float32Array([3]) };
    const model = [
      { name: 'b', shape: [] },
      { name: 'a', shape: [2] },
    ];
    assert.deepEqual(matchTensors(model, [a, b]), new Float32Array([3, 1, 2]));
    const refuse = (tensors: (typeof a)[], field: string) =>
      assert.throws(
        () => matchTensors(model, tensors),
        (e) => e instanceof StarlingError && e.code === 'BAD_SHAPE' && e.facts.field === field,
      );
    refuse([a], 'b');
    refuse([a, { ...b, shape: [1] }], 'b');
    refuse([{ ...a, shape: [1, 2] }, b], 'a');
    refuse([a, b, { ...a, name: 'c' }], 'c');
  });
});
