import assert from 'node:assert/strict';
import fc from 'fast-check';
import { packInts, unpackInts, type Width, widthFor } from '../../../../src/aggregation/schedule/index.ts';

const LARGEST = { 1: 127, 2: 32_767, 3: 8_388_607, 4: 2_147_483_647 } as const;
const packed = fc.constantFrom<Width>(1, 2, 3, 4).chain((width) => {
  const max = LARGEST[width];
  const value = fc.oneof(fc.integer({ min: -max, max }), fc.constantFrom(-max, max, -1, 0, 1));
  return fc.record({ width: fc.constant(width), values: fc.array(value, { maxLength: 40 }), before: fc.nat({ max: 5 }) });
});

describe('integers on the wire', () => {
  it('are what Buffer writes in little-endian, and come back from any offset', () => {
    fc.assert(
      fc.property(packed, ({ width, values, before }) => {
        const padded = Int32Array.from([...new Array<number>(before).fill(0), ...values, 7]);
        const bytes = packInts(padded, before, before + values.length, width, LARGEST[width]);
        const expected = Buffer.alloc(values.length * width);
        values.forEach((v, i) => {
          expected.writeIntLE(v, i * width, width);
        });
        assert.deepEqual(Buffer.from(bytes), expected);
        const shifted = new Uint8Array(bytes.byteLength + before);
        shifted.set(bytes, before);
        assert.deepEqual([...unpackInts(shifted.subarray(before), values.length, width, LARGEST[width])], values);
      }),
    );
  });

  it('take the least width that holds their bound', () => {
    assert.deepEqual([0, 127, 128, 32_767, 32_768, 8_388_607, 8_388_608, 2_147_483_647].map(widthFor), [1, 1, 2, 2, 3, 3, 4, 4]);
    assert.equal(widthFor(65_536 * 32_767), 4);
    assert.throws(() => widthFor(2 ** 31), { code: 'BOUNDS_EXCEEDED' });
  });

  it('of another size, or beyond the bound, are refused by name', () => {
    for (const count of [0, 1, 3])
      assert.throws(() => unpackInts(new Uint8Array(6), count, 3, 100), { code: 'MALFORMED', facts: { field: 'chunk', phase: 'average' } });
    const bytes = (value: number, width: Width): Uint8Array => packInts(Int32Array.of(value), 0, 1, width, LARGEST[width]);
    for (const width of [2, 3, 4] as const) {
      assert.deepEqual([...unpackInts(bytes(-1_000, width), 1, width, 1_000)], [-1_000]);
      for (const value of [1_001, -1_001])
        assert.throws(() => unpackInts(bytes(value, width), 1, width, 1_000), { code: 'BOUNDS_EXCEEDED' });
    }
    assert.throws(() => unpackInts(Uint8Array.of(0, 0x80), 1, 2, 32_767), { code: 'BOUNDS_EXCEEDED' }, 'the lowest int16 is no value');
    assert.throws(() => packInts(Int32Array.of(5), 0, 1, 4, 4), { code: 'BOUNDS_EXCEEDED' });
    for (const at of [0, 3, 4])
      assert.throws(() => packInts(new Int32Array(5).with(at, -9), 0, 5, 3, 8), { code: 'BOUNDS_EXCEEDED' }, `at ${at}`);
  });

  it('of a row in the width of its type go as they are, others as the same integers', () => {
    for (const row of [Int8Array.of(-127, 5, 127), Int16Array.of(-32_767, 0, 32_767)])
      for (const width of [1, 2, 3, 4] as const) {
        if (width < row.BYTES_PER_ELEMENT) continue;
        const into = new Uint8Array(2 * width);
        assert.equal(packInts(row, 1, 3, width, LARGEST[width], into), into);
        assert.deepEqual([...unpackInts(into, 2, width, LARGEST[width])], [...row.subarray(1, 3)]);
      }
  });
});
