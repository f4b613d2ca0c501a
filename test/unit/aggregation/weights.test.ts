import assert from 'node:assert/strict';
import fc from 'fast-check';
import { narrowWeights, rosterWeights, type Weighed } from '../../../src/aggregation/index.ts';
import { TRUST_ONE, WEIGHT_TOTAL } from '../../../src/spec/index.ts';

const weighed = fc.record({ samples: fc.integer({ min: 1, max: 2 ** 31 - 1 }), trust: fc.integer({ min: 0, max: TRUST_ONE }) });
const rosters = fc.array(weighed, { minLength: 1, maxLength: 40 });

/** Doubled, so that the median of an even count stays whole. */
function twiceMedian(values: readonly number[]): bigint {
  const sorted = [...values].sort((a, b) => a - b).map(BigInt);
  const at = (i: number) => sorted[i] as bigint;
  return at((sorted.length - 1) >> 1) + at(sorted.length >> 1);
}

/** The rule of PROTOCOL section 6 in integers without a bound. */
function plain(roster: readonly Weighed[]): number[] {
  const cap = (3n * twiceMedian(roster.map((r) => r.samples))) / 2n;
  const products = roster.map((r) => (BigInt(r.samples) < cap ? BigInt(r.samples) : cap) * BigInt(r.trust));
  const total = products.reduce((a, b) => a + b, 0n);
  return products.map((p) => (total === 0n ? 0 : Number((BigInt(WEIGHT_TOTAL) * p) / total)));
}

describe('roster weights', () => {
  it('are what integers without a bound give', () => {
    fc.assert(fc.property(rosters, (roster) => assert.deepEqual(rosterWeights(roster), plain(roster))));
  });

  it('add up to at most 65,536, less than one below it for each contribution', () => {
    fc.assert(
      fc.property(rosters, (roster) => {
        const total = rosterWeights(roster).reduce((a, b) => a + b, 0);
        assert.ok(total <= WEIGHT_TOTAL);
        if (roster.some((r) => r.trust > 0)) assert.ok(total > WEIGHT_TOTAL - roster.length, `${total} for ${roster.length}`);
      }),
    );
  });

  it('follow their contribution through any order of the roster', () => {
    fc.assert(fc.property(rosters, (roster) => assert.deepEqual(rosterWeights([...roster].reverse()), rosterWeights(roster).reverse())));
  });

  it('cap a sample count at three times the median, of even and of odd counts', () => {
    const even = (samples: number[]) => rosterWeights(samples.map((n) => ({ samples: n, trust: 1 })));
    assert.deepEqual(even([100, 100, 1_000_000_000]), even([100, 100, 300]));
    assert.deepEqual(even([100, 1_000_000, 300, 200]), even([100, 750, 300, 200]));
    assert.deepEqual(even([100, 100, 300]), [13_107, 13_107, 39_321]);
  });

  it('go to trust in proportion', () => {
    const of = (trust: number) => ({ samples: 10, trust });
    assert.deepEqual(rosterWeights([of(TRUST_ONE), of(TRUST_ONE / 2), of(TRUST_ONE / 2)]), [32_768, 16_384, 16_384]);
    assert.deepEqual(rosterWeights([of(TRUST_ONE), of(0)]), [65_536, 0]);
  });

  it('are nothing for nobody, and for those whom nobody trusts', () => {
    assert.deepEqual(rosterWeights([]), []);
    assert.deepEqual(
      rosterWeights([
        { samples: 5, trust: 0 },
        { samples: 7, trust: 0 },
      ]),
      [0, 0],
    );
    assert.deepEqual(rosterWeights([{ samples: 1, trust: 1 }]), [WEIGHT_TOTAL]);
  });

  it('of sums that travel are a byte narrower, unless that takes more than a thirty-second from one of them', () => {
    const close = (roster: readonly Weighed[], weights: readonly number[]): boolean => {
      const exact = plain(roster).map((w) => w / WEIGHT_TOTAL);
      return weights.every((w, i) => w / 256 >= (exact[i] as number) * (31 / 32));
    };
    let narrow = 0;
    fc.assert(
      fc.property(rosters, (roster) => {
        const weights = narrowWeights(roster);
        const total = weights.reduce((a, b) => a + b, 0);
        if (total > 256) return assert.deepEqual(weights, plain(roster));
        narrow++;
        assert.ok(close(roster, weights), `${weights}`);
      }),
    );
    assert.ok(narrow > 0);
    const of = (...samples: number[]) => narrowWeights(samples.map((n) => ({ samples: n, trust: 1 })));
    assert.deepEqual(of(100, 100, 100), [85, 85, 85], 'equal ones stay equal');
    assert.deepEqual(of(1_000, 1_300, 900, 800), [64, 83, 57, 51]);
    assert.ok(of(1_000, 1).reduce((a, b) => a + b, 0) > 256, 'a small one would be gone');
    assert.deepEqual(of(), []);
  });
});
