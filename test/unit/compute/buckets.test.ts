import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MAX_BUCKET, MIN_BUCKET, padded, rowBucket, slices } from '../../../src/compute/buckets.ts';

describe('buckets', () => {
  it('cover a row without gap or overlap, in powers of two that leave an argument its index below 2^24', () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 23 }), fc.integer({ min: 1, max: 64 }), (length, rows) => {
        let next = 0;
        for (const slice of slices(length, rows)) {
          assert.equal(slice.offset, next);
          assert.ok(slice.length > 0 && slice.length <= slice.bucket);
          assert.ok(Number.isInteger(Math.log2(slice.bucket)) && slice.bucket >= MIN_BUCKET && slice.bucket <= MAX_BUCKET);
          assert.ok(slice.bucket * rowBucket(rows) <= 2 ** 24);
          next += slice.length;
        }
        assert.equal(next, length);
      }),
    ));

  it('pad with zeros, and copy nothing where a slice fills its bucket', () => {
    const row = Int16Array.from({ length: MIN_BUCKET + 2 }, (_, k) => k + 1);
    const whole = padded(row, { offset: 0, length: MIN_BUCKET, bucket: MIN_BUCKET });
    assert.equal(whole.buffer, row.buffer);
    const tail = padded(row, { offset: MIN_BUCKET, length: 2, bucket: MIN_BUCKET });
    assert.deepEqual([...tail.slice(0, 4)], [MIN_BUCKET + 1, MIN_BUCKET + 2, 0, 0]);
    assert.equal(tail.length, MIN_BUCKET);
  });
});
