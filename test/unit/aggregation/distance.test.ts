import assert from 'node:assert/strict';
import fc from 'fast-check';
import { distancesOfMoved, squaredDistances, squaredNorm, type TensorSpan } from '../../../src/aggregation/index.ts';
import type { IntRow } from '../../../src/compute/api.ts';
import { type Case, cases } from './rows.ts';

/** Twice the median of whole numbers. */
function twiceMedian(values: readonly bigint[]): bigint {
  const sorted = [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const at = (i: number) => sorted[i] as bigint;
  return at((sorted.length - 1) >> 1) + at(sorted.length >> 1);
}

/** In units of 4^lowest / 4, term by term. */
function plain({ rows, spans, exponents }: Case): bigint[] {
  const lowest = Math.min(...exponents);
  return rows.map((row) => {
    let sum = 0n;
    spans.forEach((span, t) => {
      for (let k = span.start; k < span.end; k++) {
        const d = 2n * BigInt(row[k] as number) - twiceMedian(rows.map((r) => BigInt(r[k] as number)));
        sum += d * d * 4n ** BigInt((exponents[t] as number) - lowest);
      }
    });
    return sum;
  });
}

describe('squared distances from the coordinate median', () => {
  it('are what integers without a bound give, over several scales', async () => {
    await fc.assert(fc.asyncProperty(cases, async (c) => assert.deepEqual(await squaredDistances(c.rows, c.spans, c.exponents), plain(c))));
  });

  it('stay exact where every term is at its extreme and blocks of a double fill up', async () => {
    const length = 2 ** 16 + 3;
    const spans: TensorSpan[] = [{ name: 'a', start: 0, end: length }];
    const rows = [new Int16Array(length).fill(32_767), new Int16Array(length).fill(-32_767), new Int16Array(length).fill(-32_767)];
    // Twice the distance of the first from the median is 4 * 32,767 in every coordinate.
    assert.deepEqual(await squaredDistances(rows, spans, [3]), [BigInt(length) * (4n * 32_767n) ** 2n, 0n, 0n]);
  });

  it('do not depend on the order of the rows', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, spans, exponents }) =>
        assert.deepEqual(
          await squaredDistances([...rows].reverse(), spans, exponents),
          (await squaredDistances(rows, spans, exponents)).reverse(),
        ),
      ),
    );
  });

  it('are none for no rows, and zero for one row or equal ones', async () => {
    const spans: TensorSpan[] = [{ name: 'a', start: 0, end: 2 }];
    assert.deepEqual(await squaredDistances([], spans, [0]), []);
    assert.deepEqual(await squaredDistances([Int8Array.of(5, -7)], spans, [0]), [0n]);
    assert.deepEqual(await squaredDistances([Int8Array.of(5, -7), Int8Array.of(5, -7)], spans, [0]), [0n, 0n]);
  });
});

describe('squared norm of integers', () => {
  it('is exact in units of the smallest scale', () => {
    fc.assert(
      fc.property(cases, ({ rows, spans, exponents }) => {
        const row = rows[0] as IntRow;
        const lowest = Math.min(...exponents);
        const expected = spans.reduce((sum, span, t) => {
          const squares = Array.from(row.subarray(span.start, span.end), (v) => BigInt(v) ** 2n).reduce((a, b) => a + b, 0n);
          return sum + squares * 4n ** BigInt((exponents[t] as number) - lowest);
        }, 0n);
        assert.deepEqual(squaredNorm(row, spans, exponents), { value: expected, exponent: lowest });
      }),
    );
  });
});

describe('distances of the rows that moved the model', () => {
  const spans: TensorSpan[] = [{ name: 'a', start: 0, end: 3 }];

  it('leave rows of nothing out of every median', async () => {
    const honest = [Int16Array.of(90, 10, 0), Int16Array.of(110, 0, 10), Int16Array.of(100, -10, 5)];
    const zero = Int16Array.of(0, 0, 0);
    const speck = Int16Array.of(1, 0, 0);
    const alone = await squaredDistances(honest, spans, [0]);
    assert.deepEqual(await distancesOfMoved(honest, spans, [0]), alone);
    assert.deepEqual(await distancesOfMoved([zero, ...honest, speck], spans, [0]), [0n, ...alone, 0n]);
    assert.notDeepEqual((await squaredDistances([zero, ...honest, speck], spans, [0])).slice(1, 4), alone);
  });

  it('count a row from a quarter of the median norm on', async () => {
    const rows = [Int16Array.of(100, 0, 0), Int16Array.of(0, 100, 0), Int16Array.of(0, 0, 100)];
    assert.equal((await distancesOfMoved([...rows, Int16Array.of(0, 0, -24), Int16Array.of(100, 0, 0)], spans, [0]))[3], 0n);
    assert.notEqual((await distancesOfMoved([...rows, Int16Array.of(0, 0, -25), Int16Array.of(100, 0, 0)], spans, [0]))[3], 0n);
  });

  it('are the plain distances where all norms are alike, and all 0 where nothing moved', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, spans: tensors, exponents }) => {
        const alike = rows.every((row) => row.every((v) => Math.abs(v) === 127));
        if (alike) assert.deepEqual(await distancesOfMoved(rows, tensors, exponents), await squaredDistances(rows, tensors, exponents));
      }),
    );
    assert.deepEqual(await distancesOfMoved([Int8Array.of(0, 0, 0), Int8Array.of(0, 0, 0)], spans, [0]), [0n, 0n]);
    assert.deepEqual(await distancesOfMoved([], spans, [0]), []);
  });

  it('fit the digits of a header however far the scales of tensors lie apart, and keep their ratios', async () => {
    const two: TensorSpan[] = [
      { name: 'fine', start: 0, end: 1 },
      { name: 'coarse', start: 1, end: 3 },
    ];
    const rows = [Int16Array.of(7, 32_767, 1_000), Int16Array.of(-7, -32_767, 2_000), Int16Array.of(7, 20_000, -32_767)];
    const exact = await squaredDistances(rows, two, [-60, 20]);
    const reported = await distancesOfMoved(rows, two, [-60, 20]);
    assert.ok(
      exact.some((d) => `${d}`.length > 40),
      'the exact ones do not fit',
    );
    for (const d of reported) assert.ok(`${d}`.length <= 39);
    const ratio = (d: readonly bigint[]) => d.map((v) => Number(v) / Number(d[0]));
    assert.deepEqual(ratio(reported), ratio(exact));
  });
});
