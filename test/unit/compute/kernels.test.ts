import assert from 'node:assert/strict';
import type { IntRow, Row } from '../../../src/compute/api.ts';
import { createReference } from '../../../src/compute/index.ts';
import { OPERATIONS } from '../../../src/compute/reference.ts';
import { agrees, checks } from '../../../src/compute/verify.ts';
import { availableModes, onEach, requiredBackends, unavailableModes } from '../../support/backends.ts';
import { integers } from '../../support/exactSums.ts';

const SMALL = [0, 1, 4_095, 4_096, 4_097, 8_193];
const LARGE = [2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1];
const reference = createReference();
const modes = await availableModes();
const unavailable = await unavailableModes();

const below = integers(7);
const floats = (length: number, amplitude = 1): Row => Float32Array.from({ length }, () => amplitude * (below(2 ** 24) / 2 ** 23 - 1));
const fractions = (length: number): Row => Float32Array.from({ length }, () => below(2 ** 24) / 2 ** 24);
const int16 = (length: number): Int16Array => Int16Array.from({ length }, () => below(65_535) - 32_767);

/** Fails with the first element that differs; assert.deepEqual of a million elements takes seconds. */
function assertSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assert.equal(actual.length, expected.length, what);
  for (let k = 0; k < expected.length; k++)
    if (actual[k] !== expected[k]) assert.fail(`${what}: [${k}] is ${actual[k]}, not ${expected[k]}`);
}

for (const backend of requiredBackends()) {
  it(`the required backend ${backend} runs here`, () => {
    if (backend !== 'ts') assert.equal(unavailable.get(backend), undefined);
  });
}

describe('kernels', () => {
  onEach(modes, (mode, compute) => {
    it('says that every operation runs on it', () => {
      const { backend, byOperation } = compute().info();
      assert.equal(backend, mode);
      for (const operation of OPERATIONS) {
        assert.equal(byOperation[operation], mode, operation);
      }
    });

    for (const n of [...SMALL, ...LARGE]) {
      it(`quantise, dequantise and weightedSum give the same bits as the reference for ${n} elements`, async () => {
        const x = floats(n);
        const u = fractions(n);
        const q = await reference.quantise(x, 2 ** -15, u, 32_767);
        assertSame(await compute().quantise(x, 2 ** -15, u, 32_767), q, 'quantise');
        assertSame(await compute().dequantise(q, 2 ** -15), await reference.dequantise(q, 2 ** -15), 'dequantise');
        const rows = [q, int16(n)];
        assertSame(await compute().weightedSum(rows, [65_535, 1]), await reference.weightedSum(rows, [65_535, 1]), 'weightedSum');
      });

      it(`axpy and sqNorm stay within their tolerance for ${n} elements`, async () => {
        const x = floats(n);
        const y = floats(n, 3);
        const sum = await compute().axpy(x, y, -0.3);
        const expected = await reference.axpy(x, y, -0.3);
        // A GPU may fuse multiply and add, WebAssembly has no such instruction.
        if (mode === 'webasm') assertSame(sum, expected, 'axpy');
        assert.ok(agrees([sum], [expected], 2 ** -23));
        const norm = await reference.sqNorm(x);
        assert.ok(Math.abs((await compute().sqNorm(x)) - norm) <= norm * 64 * 2 ** -24);
      });
    }

    it('weightedSum of 1..64 rows', async () => {
      for (let count = 1; count <= 64; count++) {
        const rows = Array.from({ length: count }, () => int16(100));
        const weights = rows.map(() => Math.floor(65_536 / count));
        assertSame(await compute().weightedSum(rows, weights), await reference.weightedSum(rows, weights), `${count} rows`);
      }
    });

    it('weightedSum of more rows than one kernel takes', async () => {
      const rows = Array.from({ length: 130 }, () => int16(70));
      const weights = rows.map((_, j) => j);
      assertSame(await compute().weightedSum(rows, weights), await reference.weightedSum(rows, weights), 'weightedSum');
    });

    it('weightedSum at the ends of its types', async () => {
      const cases: [IntRow[], number[]][] = [
        [[Int16Array.of(32_767, -32_767)], [65_536]],
        [
          [Int16Array.of(32_767, -32_767, 255, -1), Int16Array.of(-32_768, 32_767, -256, 1)],
          [65_534, 1],
        ],
        [
          [Int8Array.of(127, -128), Int8Array.of(-128, 127)],
          [65_535, 1],
        ],
        [[Int8Array.of(-128)], [65_536]],
        [[Int16Array.of(1)], [0]],
      ];
      for (const [rows, weights] of cases)
        assertSame(await compute().weightedSum(rows, weights), await reference.weightedSum(rows, weights), `${weights}`);
    });

    it('weightedSum reaches indices beyond 2^24, where an f32 index would stop counting', async () => {
      const row = new Int16Array(2 ** 24 + 5_000);
      for (let k = 0; k < row.length; k++) row[k] = Math.imul(k, 40_503);
      const sum = await compute().weightedSum([row], [3]);
      let wrong = 0;
      for (let k = 0; k < row.length; k++) if (sum[k] !== 3 * (row[k] as number)) wrong++;
      assert.equal(wrong, 0);
    }).timeout(30_000);

    it('quantise agrees where f32 runs out: huge, tiny, negative zero, halves, and both limits', async () => {
      const values = [
        3e38,
        -3e38,
        1e-40,
        -1e-40,
        2 ** -126,
        -(2 ** -126),
        -0,
        0,
        0.5,
        -0.5,
        1.5,
        -1.5,
        126.5,
        -127.5,
        32_767,
        -32_768,
        8_388_607.5,
      ];
      for (const scale of [2 ** -80, 2 ** -46, 2 ** -15, 1, 2 ** 15, 2 ** 80]) {
        for (const limit of [127, 32_767]) {
          for (const u of [0, 2 ** -24, 0.5, 1 - 2 ** -24]) {
            const x = Float32Array.from([...values, ...values.map((v) => Math.fround(v * scale)).filter(Number.isFinite)]);
            const us = x.map(() => u);
            assertSame(
              await compute().quantise(x, scale, us, limit),
              await reference.quantise(x, scale, us, limit),
              `${scale} ${limit} ${u}`,
            );
          }
        }
      }
    });

    it('dequantise takes int8 rows', async () => {
      assertSame(await compute().dequantise(Int8Array.of(-128, 0, 127), 2 ** -3), [-16, 0, 15.875], 'dequantise');
    });

    it('sqNorm holds where squares overflow f32', async () => {
      const x = Float32Array.of(3e38, 1);
      assert.equal(await compute().sqNorm(x), await reference.sqNorm(x));
    });

    it('softmaxRows and entropyStep agree with the reference', async () => {
      for (const [count, width] of [
        [1, 1],
        [3, 10],
        [64, 64],
        [5, 1_000],
      ] as const) {
        const rows = Array.from({ length: count }, () => floats(width, 30));
        assert.ok(agrees(await compute().softmaxRows(rows), await reference.softmaxRows(rows), 2 ** -18), `${count}x${width}`);
      }
      assert.deepEqual(await compute().softmaxRows([Float32Array.of(-3e38, 3e38)]), [Float32Array.of(0, 1)]);
      for (const fallback of [-1, 0, 7]) {
        const input = { p: fractions(8), influence: fractions(8), fallback, a: 0.5, c: 0.75 };
        const [step, expected] = [await compute().entropyStep(input), await reference.entropyStep(input)];
        assert.ok(agrees([step.p, [step.entropy]], [expected.p, [expected.entropy]], 2 ** -19), `fallback ${fallback}`);
      }
      const none = { p: new Float32Array(4), influence: new Float32Array(4), fallback: -1, a: 0.5, c: 1 };
      assert.deepEqual(await compute().entropyStep(none), { p: new Float32Array(4), entropy: 0 });
    });

    it('passes the checks that calibration makes, and no other backend ran; a wrong answer does not pass', async () => {
      const todo = checks(5_000);
      for (const operation of OPERATIONS) {
        const truth = await todo[operation].run(reference);
        assert.ok(agrees(await todo[operation].run(compute()), truth, todo[operation].tolerance), operation);
        const wrong = truth.map((row, i) => Array.from(row, (v, k) => (i === 0 && k === 0 ? v + 2 : v)));
        assert.ok(!agrees(wrong, truth, todo[operation].tolerance), operation);
      }
      assert.deepEqual([...compute().kernelModes()], [mode]);
    });

    it('gives each of many calls at once its own answer', async () => {
      const rows = Array.from({ length: 8 }, () => [int16(50), int16(50)]);
      const sums = await Promise.all(rows.map((pair) => compute().weightedSum(pair, [3, 5])));
      for (const [i, pair] of rows.entries()) assertSame(sums[i] as Int32Array, await reference.weightedSum(pair, [3, 5]), `call ${i}`);
    });
  });
});
