import assert from 'node:assert/strict';
import fc from 'fast-check';
import { centreOf, integerRoot, lowerMedian } from '../../../../src/aggregation/robust/centre.ts';
import { createReference } from '../../../../src/compute/index.ts';

describe('what iterations are made of', () => {
  it('the root is the largest whole number whose square fits', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.bigInt({ min: 0n, max: 1n << 200n }),
          fc.bigInt({ min: 0n, max: 1n << 100n }).map((n) => n * n),
          fc.bigInt({ min: 0n, max: 99n }),
        ),
        (n) => {
          const root = integerRoot(n);
          assert.ok(root * root <= n && (root + 1n) ** 2n > n);
        },
      ),
    ));

  it('the centre is S / D rounded, halves up', async () => {
    const compute = createReference();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: -32_767, max: 32_767 }),
        fc.integer({ min: 1, max: 65_536 }),
        fc.nat(),
        async (whole, total, part) => {
          const sum = Math.max(-32_767 * total, Math.min(32_767 * total, whole * total + (part % total)));
          const exact = (2n * BigInt(sum) + BigInt(total)) / (2n * BigInt(total));
          const floor = exact * 2n * BigInt(total) > 2n * BigInt(sum) + BigInt(total) ? exact - 1n : exact;
          const [centre] = await centreOf(compute, { sum: Int32Array.of(sum), weightTotal: total }, new Int16Array(0));
          assert.equal(centre, Number(floor));
        },
      ),
    );
    assert.deepEqual(await centreOf(compute, { sum: Int32Array.of(3, -3, 5), weightTotal: 2 }, new Int8Array(0)), Int8Array.of(2, -1, 3));
  });

  it('the median of an even count is the lower one', () => {
    assert.equal(lowerMedian([4n, 1n, 3n, 2n]), 2n);
    assert.equal(lowerMedian([9n, 1n, 5n]), 5n);
    assert.equal(lowerMedian([7n]), 7n);
  });
});
