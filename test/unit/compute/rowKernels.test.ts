import assert from 'node:assert/strict';
import type { IntRow, Row } from '../../../src/compute/api.ts';
import { createReference } from '../../../src/compute/index.ts';
import { agrees } from '../../../src/compute/verify.ts';
import { availableModes, onEach } from '../../support/backends.ts';
import { integers } from '../../support/exactSums.ts';

const LENGTHS = [0, 1, 63, 65, 4_095, 4_096, 4_097, 8_193];
const reference = createReference();
const modes = await availableModes();

const below = integers(11);
const floats = (length: number, amplitude = 1): Row => Float32Array.from({ length }, () => amplitude * (below(2 ** 24) / 2 ** 23 - 1));
const int16 = (length: number): Int16Array =>
  Int16Array.from({ length }, () => (below(4) === 0 ? ([-32_767, 32_767, 0, -1][below(4)] as number) : below(65_535) - 32_767));
const int8 = (length: number): Int8Array => Int8Array.from({ length }, () => below(255) - 127);
const rowsOf = <T>(count: number, row: () => T): T[] => Array.from({ length: count }, row);

/** Fails with the first element that differs. */
function assertSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assert.equal(actual.length, expected.length, what);
  for (let k = 0; k < expected.length; k++)
    if (actual[k] !== expected[k]) assert.fail(`${what}: [${k}] is ${actual[k]}, not ${expected[k]}`);
}

/** Every distance in integers without a bound. */
const exactly = (x: IntRow, y: IntRow): bigint => Array.from(x).reduce((sum, v, k) => sum + (BigInt(v) - BigInt(y[k] as number)) ** 2n, 0n);

describe('kernels over rows', () => {
  onEach(modes, (mode, compute) => {
    for (const n of [...LENGTHS, 2 ** 20 + 1]) {
      it(`trimmedSum, median, sqDist of integers and scaleClip give the same bits as the reference for ${n} elements`, async () => {
        const rows = rowsOf(5, () => int16(n));
        for (const trim of [0, 1, 2])
          assertSame(await compute().trimmedSum(rows, trim), await reference.trimmedSum(rows, trim), `trimmedSum ${trim}`);
        const reals = rowsOf(3, () => floats(n));
        assertSame(await compute().median(reals), await reference.median(reals), 'median');
        const [a, b] = [rows[0] as Int16Array, rows[1] as Int16Array];
        assert.equal(await compute().sqDist(a, b), await reference.sqDist(a, b));
        const x = floats(n);
        assertSame(await compute().scaleClip(x, -1.3, 0.6), await reference.scaleClip(x, -1.3, 0.6), 'scaleClip');
      }).timeout(10_000);

      it(`trimmedMean and sqDist stay within their tolerance for ${n} elements`, async () => {
        const rows = rowsOf(6, () => floats(n));
        assert.ok(agrees([await compute().trimmedMean(rows, 1)], [await reference.trimmedMean(rows, 1)], 6 * 2 ** -24));
        const [a, b] = [rows[0] as Row, rows[1] as Row];
        const distance = await reference.sqDist(a, b);
        assert.ok(Math.abs((await compute().sqDist(a, b)) - distance) <= distance * 68 * 2 ** -24);
      });
    }

    it('trimmedSum and median of 1..64 rows: the same bits', async () => {
      // A software adapter takes a second to compile a large network: there every eighth count, and those beside powers of two.
      const counts = Array.from({ length: 64 }, (_, i) => i + 1).filter(
        (n) => mode === 'webasm' || n < 6 || n % 8 === 0 || ((n - 1) & (n - 2)) === 0,
      );
      for (const count of counts) {
        const rows = rowsOf(count, () => int16(40));
        const trim = Math.floor((count - 1) / 3);
        assertSame(await compute().trimmedSum(rows, trim), await reference.trimmedSum(rows, trim), `${count} rows`);
        if (count % 16 > 3) continue;
        const reals = rowsOf(count, () => floats(40));
        assertSame(await compute().median(reals), await reference.median(reals), `median of ${count} rows`);
      }
    }).timeout(60_000);

    it('pairwiseSqDist of 1..64 rows: integers to the bit, f32 within its tolerance', async () => {
      for (const count of [1, 2, 3, 5, 8, 17, 33, 64]) {
        const rows = rowsOf(count, () => int16(70));
        const distances = await compute().pairwiseSqDist(rows);
        assertSame(distances, await reference.pairwiseSqDist(rows), `${count} rows`);
        if (count > 1) assert.equal(BigInt(distances[count] as number), exactly(rows[0] as IntRow, rows[1] as IntRow));
      }
      for (const count of [3, 20]) {
        const reals = rowsOf(count, () => floats(70));
        assert.ok(
          agrees([await compute().pairwiseSqDist(reals)], [await reference.pairwiseSqDist(reals)], 68 * 2 ** -24),
          `${count} rows of f32`,
        );
      }
    }).timeout(30_000);

    it('pairwiseSqDist past the edges of buckets', async () => {
      for (const n of LENGTHS) {
        const rows = rowsOf(4, () => int8(n));
        assertSame(await compute().pairwiseSqDist(rows), await reference.pairwiseSqDist(rows), `${n} elements`);
      }
    });

    it('more rows than one kernel takes', async () => {
      const rows = rowsOf(65, () => int8(30));
      const reals = rowsOf(65, () => floats(30));
      assertSame(await compute().trimmedSum(rows, 20), await reference.trimmedSum(rows, 20), 'trimmedSum');
      assertSame(await compute().median(reals), await reference.median(reals), 'median');
      assertSame(await compute().trimmedMean(reals, 4), await reference.trimmedMean(reals, 4), 'trimmedMean');
      assertSame(await compute().pairwiseSqDist(rows), await reference.pairwiseSqDist(rows), 'pairwiseSqDist');
    });

    it('integers at the ends of their types, all rows alike', async () => {
      const [top, bottom] = [new Int16Array(5_000).fill(32_767), new Int16Array(5_000).fill(-32_768)];
      assert.equal(await compute().sqDist(top, bottom), 5_000 * 65_535 ** 2);
      assertSame(
        await compute().trimmedSum(
          rowsOf(64, () => bottom),
          0,
        ),
        new Int32Array(5_000).fill(-64 * 32_768),
        'lowest',
      );
      assertSame(await compute().trimmedSum([new Int8Array(3).fill(-128), Int8Array.of(127, 0, 1)], 0), [-1, -128, -127], 'int8');
    });

    it('integer and f32 rows in turn through one kernel', async () => {
      for (let i = 0; i < 3; i++) {
        for (const rows of [rowsOf(4, () => int16(10)), rowsOf(4, () => int8(10))]) {
          assertSame(await compute().trimmedSum(rows, 1), await reference.trimmedSum(rows, 1), 'trimmedSum');
        }
        const reals = rowsOf(4, () => floats(10));
        assertSame(await compute().median(reals), await reference.median(reals), 'median');
      }
    });

    it('holds where f32 overflows', async () => {
      const rows = [Float32Array.of(3e38, 1), Float32Array.of(3e38, 2)];
      assertSame(await compute().median(rows), await reference.median(rows), 'median');
      assertSame(await compute().trimmedMean(rows, 0), await reference.trimmedMean(rows, 0), 'trimmedMean');
      assert.equal(
        await compute().sqDist(Float32Array.of(3e38), Float32Array.of(-1)),
        await reference.sqDist(Float32Array.of(3e38), Float32Array.of(-1)),
      );
      const big = [Float32Array.of(3e30, 0)];
      assert.deepEqual(await compute().align(big, big), await reference.align(big, big));
    });

    it('align agrees with the reference for any shape', async () => {
      for (const [n, m, d] of [
        [1, 1, 1],
        [3, 5, 7],
        [64, 10, 33],
        [2, 70, 1_500],
        [1, 3, 2 ** 20],
        [2, 3, 0],
      ] as const) {
        const [a, b] = [rowsOf(n, () => floats(d, 1 / Math.sqrt(d + 1))), rowsOf(m, () => floats(d))];
        assert.ok(agrees(await compute().align(a, b), await reference.align(a, b), 2 ** -16), `${n}x${m}x${d}`);
      }
      assert.deepEqual(await compute().align([], []), []);
    }).timeout(20_000);

    it('refuses what the reference refuses', async () => {
      const [one, two] = [Float32Array.of(1), Float32Array.of(1, 2)];
      const bad: [() => Promise<unknown>, string][] = [
        [() => compute().sqDist(one, two), 'BAD_SHAPE'],
        [() => compute().pairwiseSqDist([Int8Array.of(1), Int16Array.of(1)] as Int8Array[]), 'BAD_SHAPE'],
        [() => compute().pairwiseSqDist([]), 'BAD_SHAPE'],
        [() => compute().median([one, two]), 'BAD_SHAPE'],
        [() => compute().trimmedSum([], 0), 'BAD_SHAPE'],
        [() => compute().trimmedMean([one, one], 1), 'BOUNDS_EXCEEDED'],
        [() => compute().trimmedSum([Int8Array.of(1)], -1), 'BOUNDS_EXCEEDED'],
        [() => compute().sqDist(new Int8Array(2 ** 21 + 1), new Int8Array(2 ** 21 + 1)), 'BOUNDS_EXCEEDED'],
        [() => compute().align([one], [two]), 'BAD_SHAPE'],
      ];
      for (const [call, code] of bad) await assert.rejects(call, { code }, String(call));
    });
  });
});
