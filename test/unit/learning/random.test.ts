import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Random } from '../../../src/learning/random.ts';

const moments = (draw: () => number, n: number): { mean: number; variance: number } => {
  const values = Array.from({ length: n }, draw);
  const mean = values.reduce((a, b) => a + b, 0) / n;
  return { mean, variance: values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n };
};
const near = (actual: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not within ${tolerance} of ${expected}`);

describe('Random', () => {
  it('gives the published outputs of xoshiro128** 1.1 from the state 1, 2, 3, 4', () => {
    const random = new Random([1, 2, 3, 4]);
    const expected = [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804];
    assert.deepEqual(
      expected.map(() => random.uint32()),
      expected,
    );
  });

  it('repeats from the same parts and differs for others', () => {
    const draw = (...parts: (string | number)[]): number[] =>
      Array.from(
        { length: 4 },
        (
          (r) => () =>
            r.uint32()
        )(Random.from(...parts)),
      );
    assert.deepEqual(draw(1, 'shard', 2), draw(1, 'shard', 2));
    assert.notDeepEqual(draw(1, 'shard', 2), draw(1, 'shard', 3));
    assert.notDeepEqual(draw(1, 23), draw(12, 3));
  });

  it('draws every integer below n about equally often', () => {
    const random = Random.from('below');
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6_000; i++) {
      const k = random.below(6);
      counts[k] = (counts[k] as number) + 1;
    }
    // Chi-square with 5 degrees of freedom: 20.5 is its 0.999 quantile.
    const chi2 = counts.reduce((sum, count) => sum + (count - 1_000) ** 2 / 1_000, 0);
    assert.ok(chi2 < 20.5, `chi-square ${chi2}`);
  });

  it('draws normals of mean 0 and variance 1', () => {
    const random = Random.from('normal');
    const { mean, variance } = moments(() => random.normal(), 40_000);
    near(mean, 0, 0.02);
    near(variance, 1, 0.03);
  });

  for (const alpha of [0.3, 1, 4.5])
    it(`draws Gamma(${alpha}) with mean and variance ${alpha}`, () => {
      const random = Random.from('gamma', alpha);
      const { mean, variance } = moments(() => Math.exp(random.logGamma(alpha)), 40_000);
      near(mean, alpha, 0.05 * alpha);
      near(variance, alpha, 0.12 * alpha);
    });

  it('draws Dirichlet shares that add up to 1, with the closed-form variance', () => {
    const random = Random.from('dirichlet');
    const [alpha, k] = [0.3, 10];
    const firsts: number[] = [];
    for (let i = 0; i < 5_000; i++) {
      const shares = random.dirichlet(alpha, k);
      near(
        shares.reduce((a, b) => a + b, 0),
        1,
        1e-12,
      );
      firsts.push(shares[0] as number);
    }
    const { mean, variance } = moments(
      (
        (i) => () =>
          firsts[i++] as number
      )(0),
      firsts.length,
    );
    near(mean, 1 / k, 0.01);
    near(variance, ((1 / k) * (1 - 1 / k)) / (k * alpha + 1), 0.003);
  });

  it('stays finite for the smallest alphas', () => {
    const shares = Random.from('tiny').dirichlet(1e-4, 5);
    assert.ok(shares.every(Number.isFinite));
  });

  it('permutes: every number once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200 }), fc.integer(), (n, seed) => {
        const sorted = Random.from(seed).permutation(n).sort();
        assert.deepEqual(
          sorted,
          Uint32Array.from({ length: n }, (_, i) => i),
        );
      }),
    );
  });
});
