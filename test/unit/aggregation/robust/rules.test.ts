import assert from 'node:assert/strict';
import fc from 'fast-check';
import { aggregate, type WeighedRows } from '../../../../src/aggregation/index.ts';
import type { IntRow } from '../../../../src/compute/api.ts';
import { createReference } from '../../../../src/compute/index.ts';
import { AGGREGATION_RULES, type AggregationRule } from '../../../../src/spec/index.ts';
import { honestRows, plainInput, weighed } from './inputs.ts';

const compute = createReference();
const run = (rule: AggregationRule, input: WeighedRows) => aggregate(rule, compute, input);
const column = (rows: readonly IntRow[], k: number): number[] => rows.map((row) => row[k] as number).sort((a, b) => a - b);
const liars = (rows: number): number => Math.ceil(rows / 3) - 1;

/** Squared distance in units of 4^lowest, term by term. */
function distance({ spans, exponents }: WeighedRows, a: ArrayLike<number>, b: ArrayLike<number>): bigint {
  const lowest = Math.min(...exponents);
  let sum = 0n;
  spans.forEach((span, t) => {
    for (let k = span.start; k < span.end; k++)
      sum += (BigInt(a[k] as number) - BigInt(b[k] as number)) ** 2n * 4n ** BigInt((exponents[t] as number) - lowest);
  });
  return sum;
}

/** Krum's scores after the paper's text: for each row, the sum over its nearest others. */
function krumScores(input: WeighedRows): bigint[] {
  const n = input.rows.length;
  const nearest = Math.max(1, n - liars(n) - 2);
  return input.rows.map((row, i) => {
    const others = input.rows.filter((_, j) => j !== i).map((other) => distance(input, row, other));
    others.sort((a, b) => Number(a > b) - Number(a < b));
    return others.slice(0, nearest).reduce((a, b) => a + b, 0n);
  });
}

const asMean = ({ sum, weightTotal }: { sum: Int32Array; weightTotal: number }): number[] => Array.from(sum, (s) => s / weightTotal);

describe('robust rules against brute force', () => {
  it('mean: the weighted sum and the weights', () =>
    fc.assert(
      fc.asyncProperty(weighed, async (input) => {
        const { sum, weightTotal } = await run('mean', input);
        assert.equal(
          weightTotal,
          input.weights.reduce((a, b) => a + b, 0),
        );
        sum.forEach(
          (s, k) =>
            void assert.equal(
              s,
              input.rows.reduce((total, row, i) => total + (row[k] as number) * (input.weights[i] as number), 0),
            ),
        );
      }),
    ));

  it('median: the middle of the sorted coordinate, or the middle two over 2', () =>
    fc.assert(
      fc.asyncProperty(weighed, async (input) => {
        const { sum, weightTotal } = await run('median', input);
        const n = input.rows.length;
        for (const [k, s] of sum.entries()) {
          const sorted = column(input.rows, k);
          assert.equal((2 * s) / weightTotal, (sorted[Math.floor((n - 1) / 2)] as number) + (sorted[Math.ceil((n - 1) / 2)] as number));
        }
      }),
    ));

  it('trimmed mean: without a third below and a third above', () =>
    fc.assert(
      fc.asyncProperty(weighed, async (input) => {
        const { sum, weightTotal } = await run('trimmed-mean', input);
        const cut = liars(input.rows.length);
        assert.equal(weightTotal, input.rows.length - 2 * cut);
        for (const [k, s] of sum.entries()) {
          const kept = column(input.rows, k).slice(cut, input.rows.length - cut);
          assert.equal(
            s,
            kept.reduce((a, b) => a + b, 0),
          );
        }
      }),
    ));

  it('krum: the first row of the least score', () =>
    fc.assert(
      fc.asyncProperty(weighed, async (input) => {
        const { sum, weightTotal } = await run('krum', input);
        assert.equal(weightTotal, 1);
        const scores = krumScores(input);
        const least = scores.indexOf(scores.reduce((a, b) => (a < b ? a : b)));
        assert.deepEqual(sum, Int32Array.from(input.rows[least] as IntRow));
      }),
    ));

  it('multi-krum: the weighted mean of the best rows', async () => {
    const rows = [...honestRows(7, 30, (k) => 100 * k - 900, 40, 1), ...honestRows(3, 30, () => 20_000, 9_000, 2)];
    const input = { ...plainInput(rows), weights: rows.map((_, i) => 10 + i) };
    const scores = krumScores(input);
    const best = rows
      .map((_, i) => i)
      .sort((a, b) => Number((scores[a] as bigint) - (scores[b] as bigint)))
      .slice(0, 10 - 3 - 2);
    assert.ok(
      best.every((i) => i < 7),
      'honest ones are nearer',
    );
    const { sum, weightTotal } = await run('multi-krum', input);
    assert.equal(
      weightTotal,
      best.reduce((total, i) => total + 10 + i, 0),
    );
    for (const [k, s] of sum.entries())
      assert.equal(
        s,
        best.reduce((total, i) => total + (10 + i) * (rows[i]?.[k] as number), 0),
      );
  });

  /** Ten rows over two scales, two of them liars, with weights of their own. */
  function twoScales(): WeighedRows & { readonly scales: readonly number[] } {
    const rows = [...honestRows(8, 60, (k) => 30 * k, 400, 3), ...honestRows(2, 60, () => -9_000, 900, 4)];
    const spans = [
      { name: 'a', start: 0, end: 45 },
      { name: 'b', start: 45, end: 60 },
    ];
    const scales = Array.from({ length: 60 }, (_, k) => (k < 45 ? 2 ** -12 : 2 ** -10));
    return { rows, weights: rows.map((_, i) => 700 + 150 * i), spans, exponents: [-12, -10], scales };
  }
  const medianOf = (rows: readonly IntRow[]): number[] =>
    Array.from(rows[0] as IntRow, (_, k) => ((column(rows, k)[4] as number) + (column(rows, k)[5] as number)) / 2);
  const normsFrom = (v: readonly number[], rows: readonly IntRow[], scales: readonly number[]): number[] =>
    rows.map((row) => Math.hypot(...Array.from(row, (q, k) => (q - (v[k] as number)) * (scales[k] as number))));

  it('centred clipping: the formula in real numbers, within the rounding of a centre', async () => {
    const { rows, weights, scales, ...rest } = twoScales();
    const total = weights.reduce((a, b) => a + b, 0);
    let v = medianOf(rows);
    for (let step = 0; step < 3; step++) {
      const norms = normsFrom(v, rows, scales);
      const tau = norms.toSorted((a, b) => a - b)[4] as number;
      const pull = norms.map((norm, i) => ((weights[i] as number) / total) * Math.min(1, tau / norm));
      v = v.map((x, k) => x + rows.reduce((sum, row, i) => sum + (pull[i] as number) * ((row[k] as number) - x), 0));
    }
    const result = asMean(await run('centred-clipping', { rows, weights, ...rest }));
    for (const [k, x] of result.entries()) assert.ok(Math.abs(x - (v[k] as number)) < 2, `[${k}] ${x}, not ${v[k]}`);
  });

  it('geometric median: eight steps of the formula in real numbers, within the rounding of a centre', async () => {
    const { rows, weights, scales, ...rest } = twoScales();
    let v = medianOf(rows);
    for (let step = 0; step < 8; step++) {
      const pull = normsFrom(v, rows, scales).map((norm, i) => (weights[i] as number) / norm);
      const total = pull.reduce((a, b) => a + b, 0);
      v = v.map((_, k) => rows.reduce((sum, row, i) => sum + ((pull[i] as number) / total) * (row[k] as number), 0));
    }
    const result = asMean(await run('geometric-median', { rows, weights, ...rest }));
    for (const [k, x] of result.entries()) assert.ok(Math.abs(x - (v[k] as number)) < 2, `[${k}] ${x}, not ${v[k]}`);
  });

  it('geometric median: a row that the median meets does not hold it there', async () => {
    // The coordinate median of these is the third row; the sum of distances is least elsewhere.
    const rows = [
      Int16Array.of(0, 9_000, 0),
      Int16Array.of(9_000, 0, 0),
      Int16Array.of(0, 0, 0),
      Int16Array.of(0, 0, 9_000),
      Int16Array.of(8_000, 8_000, 8_000),
    ];
    const result = asMean(await run('geometric-median', plainInput(rows)));
    const objective = (v: readonly number[]): number => normsFrom(v, rows, [1, 1, 1]).reduce((a, b) => a + b, 0);
    assert.ok(objective(result) < 0.99 * objective([0, 0, 0]), `${objective(result)} against ${objective([0, 0, 0])}`);
  });

  it('geometric median: a sum of distances within a thousandth of the least, which ten thousand steps in real numbers find', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 3, max: 12 }), fc.nat({ max: 1_000_000 }), async (n, seed) => {
        const outside = liars(n);
        const rows = [...honestRows(n - outside, 40, (k) => 50 * k, 900, seed), ...honestRows(outside, 40, () => 9_000, 9_000, seed + 1)];
        const weights = rows.map((_, i) => 1_000 + 131 * i);
        const objective = (v: readonly number[]): number =>
          rows.reduce((sum, row, i) => sum + (weights[i] as number) * Math.hypot(...Array.from(row, (q, k) => q - (v[k] as number))), 0);
        let v = Array.from({ length: 40 }, (_, k) => rows.reduce((sum, row) => sum + (row[k] as number), 0) / n);
        for (let step = 0; step < 10_000; step++) {
          const c = rows.map(
            (row, i) => (weights[i] as number) / Math.max(1e-3, Math.sqrt(row.reduce((sum, q, k) => sum + (q - (v[k] as number)) ** 2, 0))),
          );
          const total = c.reduce((a, b) => a + b, 0);
          const next = v.map((_, k) => rows.reduce((sum, row, i) => sum + ((c[i] as number) * (row[k] as number)) / total, 0));
          const moved = Math.max(...next.map((x, k) => Math.abs(x - (v[k] as number))));
          v = next;
          if (moved < 1e-6) break;
        }
        const result = await run('geometric-median', { ...plainInput(rows), weights });
        assert.ok(result.weightTotal > 65_536 - n && result.weightTotal <= 65_536);
        assert.ok(objective(asMean(result)) <= 1.001 * objective(v), `${objective(asMean(result))} against ${objective(v)}`);
      }),
      { numRuns: 25 },
    )).timeout(20_000);

  it('count every tensor in its own scale where distances decide', async () => {
    // In bare integers rows 0..2 are neighbours; the second tensor's scale of 2^6 puts row 2 among 3 and 4.
    const rows = [Int16Array.of(0, 0), Int16Array.of(10, 0), Int16Array.of(5, 9), Int16Array.of(900, 9), Int16Array.of(905, 9)];
    const spans = [
      { name: 'a', start: 0, end: 1 },
      { name: 'b', start: 1, end: 2 },
    ];
    const input = (exponents: number[]): WeighedRows => ({ rows, weights: rows.map(() => 1), spans, exponents });
    assert.notDeepEqual((await run('krum', input([0, 0]))).sum, (await run('krum', input([-8, 0]))).sum);
    for (const exponents of [
      [0, 0],
      [-8, 0],
      [3, -3],
    ]) {
      const scores = krumScores(input(exponents));
      const best = scores.indexOf(scores.reduce((a, b) => (a < b ? a : b)));
      assert.deepEqual((await run('krum', input(exponents))).sum, Int32Array.from(rows[best] as Int16Array));
    }
  });

  for (const rule of AGGREGATION_RULES) {
    it(`${rule}: one row is the answer, two equal ones too, none and rows of no weight are nothing`, async () => {
      const row = Int16Array.of(-32_767, 32_767, 0, 5);
      for (const rows of [[row], [row, row]]) assert.deepEqual(asMean(await run(rule, plainInput(rows))), Array.from(row));
      const spans = [{ name: 'a', start: 0, end: 4 }];
      const nothing = { sum: new Int32Array(4), weightTotal: 0 };
      assert.deepEqual(await run(rule, { rows: [], weights: [], spans, exponents: [0] }), nothing);
      assert.deepEqual(await run(rule, { rows: [row], weights: [0], spans, exponents: [0] }), nothing);
      const liar = Int16Array.of(9, 9, 9, 9);
      assert.deepEqual(
        await run(rule, { rows: [liar, row, liar], weights: [0, 7, 0], spans, exponents: [0] }),
        await run(rule, plainInput([row], 7)),
      );
      const empty = { rows: [new Int16Array(0)], weights: [1], spans: [{ name: 'a', start: 0, end: 0 }], exponents: [0] };
      assert.equal((await run(rule, empty)).sum.length, 0);
    });
  }
});
