import assert from 'node:assert/strict';
import fc from 'fast-check';
import { QMAX, SCALE_EXPONENT_MAX, SCALE_EXPONENT_MIN, type UpdateDtype } from '../../../src/spec/index.ts';
import { nextScaleExponent } from '../../../src/state/scales.ts';

/** Whether 2^next >= 1.25 * median / qmax, all times 8 * qmax to stay whole; `median` doubled. */
const fits = (next: number, twiceMedian: bigint, qmax: number): boolean =>
  next >= 0 ? (8n << BigInt(next)) * BigInt(qmax) >= 5n * twiceMedian : 8n * BigInt(qmax) >= (5n * twiceMedian) << BigInt(-next);

/** The rule of PROTOCOL section 4 by search: the least power of two that fits, one step away at most. */
function plain(maxAbs: readonly number[], dtype: UpdateDtype): number {
  const sorted = [...maxAbs].sort((a, b) => a - b).map(BigInt);
  const twice = (sorted[(sorted.length - 1) >> 1] as bigint) + (sorted[sorted.length >> 1] as bigint);
  if (twice === 0n) return 0;
  let least = -60;
  while (!fits(least, twice, QMAX[dtype])) least += 1;
  return Math.max(-1, Math.min(1, least));
}

describe('the next scale', () => {
  const dtypes = fc.constantFrom<UpdateDtype>('int16', 'int8');
  const reports = fc.oneof(
    fc.nat(60_000),
    fc.nat(300),
    fc.nat(2 ** 40),
    fc.constantFrom(0, 13_106, 13_107, 26_213, 26_214, 50, 51, 101, 102),
  );

  it('is the least power of two with a quarter of headroom over the median, one step away at most', () => {
    fc.assert(
      fc.property(fc.array(reports, { minLength: 1, maxLength: 9 }), dtypes, fc.integer({ min: -40, max: 10 }), (maxAbs, dtype, exponent) =>
        assert.equal(nextScaleExponent(exponent, maxAbs, dtype) - exponent, plain(maxAbs, dtype)),
      ),
      { numRuns: 2_000 },
    );
  });

  it('stays where nobody reports, or most report nothing', () => {
    assert.equal(nextScaleExponent(-12, [], 'int16'), -12);
    assert.equal(nextScaleExponent(-12, [0, 0, 40_000], 'int16'), -12);
  });

  it('stays within what a genesis may name', () => {
    assert.equal(nextScaleExponent(SCALE_EXPONENT_MAX, [2 ** 40], 'int8'), SCALE_EXPONENT_MAX);
    assert.equal(nextScaleExponent(SCALE_EXPONENT_MIN, [1], 'int8'), SCALE_EXPONENT_MIN);
  });

  it('comes to rest: integers of one size end with a scale that uses more than two fifths of their range', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 100, noNaN: true }), dtypes, (size, dtype) => {
        let exponent = -12;
        for (let epoch = 0; epoch < 60; epoch++) exponent = nextScaleExponent(exponent, [Math.ceil(size / 2 ** exponent)], dtype);
        const quanta = Math.ceil(size / 2 ** exponent);
        assert.equal(nextScaleExponent(exponent, [quanta], dtype), exponent);
        assert.ok(quanta <= 0.8 * QMAX[dtype] && quanta > 0.4 * QMAX[dtype], `${quanta} of ${QMAX[dtype]}`);
      }),
    );
  });
});
