import assert from 'node:assert/strict';
import fc from 'fast-check';
import { naturalLog } from '../../../src/state/log.ts';
import { fusionEntropy } from '../../../src/state/records.ts';

describe('ln x without Math.log', () => {
  it('agrees with Math.log to some units in the last place, over the whole range', () => {
    fc.assert(
      fc.property(fc.double({ min: Number.MIN_VALUE, max: Number.MAX_VALUE, noNaN: true }), (x) => {
        const reference = Math.log(x);
        assert.ok(Math.abs(naturalLog(x) - reference) <= 4e-15 * Math.max(1e-1, Math.abs(reference)), `${x}`);
      }),
      { numRuns: 2_000 },
    );
    assert.equal(naturalLog(1), 0);
    for (const x of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => naturalLog(x), RangeError);
  });
});

describe('the entropy of weights', () => {
  const ONE = 2 ** 30;
  it('is H(w) / ln k', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 2, maxLength: 50 }), (weights) => {
        const total = weights.reduce((a, b) => a + b, 0);
        const reference = -weights.map((w) => (w / total) * Math.log(w / total)).reduce((a, b) => a + b, 0) / Math.log(weights.length);
        assert.ok(Math.abs(fusionEntropy(weights) / ONE - reference) < 2e-9);
        assert.ok(fusionEntropy(weights) <= ONE);
      }),
    );
  });

  it('is 0 for one voice or none, one where all are alike, and leaves out who has no weight', () => {
    assert.deepEqual([[], [5], [5, 0], [0, 0]].map(fusionEntropy), [0, 0, 0, 0]);
    for (let k = 2; k < 40; k++) assert.equal(fusionEntropy(new Array(k).fill(3)), ONE);
    assert.equal(fusionEntropy([1, 0, 1]), ONE);
  });
});
