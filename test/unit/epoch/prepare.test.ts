import assert from 'node:assert/strict';
import fc from 'fast-check';
import { layoutOf } from '../../../src/aggregation/index.ts';
import { createReference } from '../../../src/compute/index.ts';
import { integerNorm, prepare } from '../../../src/epoch/prepare.ts';
import { Random } from '../../../src/learning/random.ts';
import { ENCODINGS, type Encoding, type Genesis, QMAX, type UpdateDtype } from '../../../src/spec/index.ts';
import { genesis as sample } from '../wire/samples.ts';

const compute = createReference();
const spans = layoutOf([
  { name: 'weight', shape: [4] },
  { name: 'bias', shape: [2] },
]);
const EXPONENTS = [-6, -3];

interface Given {
  readonly delta: Float32Array;
  readonly residual?: Float32Array;
  readonly clipNorm?: number;
  readonly dtype?: UpdateDtype;
  readonly exponents?: readonly number[];
  readonly seed?: number;
  readonly encoding?: Encoding;
}

/** In two parts, as a large one comes. */
const partsOf = (values: Float32Array) =>
  [0, 3].map((start) => ({ start, values: values.subarray(start, start === 0 ? 3 : values.length) }));

function run({
  delta,
  residual = new Float32Array(delta.length),
  clipNorm = 1e6,
  dtype = 'int16',
  exponents = EXPONENTS,
  seed = 1,
  encoding = 'dense',
}: Given) {
  const random = Random.from('prepare', seed);
  const entropy = { bytes: (n: number) => Uint8Array.from({ length: n }, () => random.below(256)), uniform: () => random.uniform() };
  const genesis: Genesis = { ...sample, clipNorm, updateDtype: dtype, encoding, topkShare: 0.3 };
  return prepare(
    {
      genesis,
      spans: delta.length === 6 ? spans : layoutOf([{ name: 'all', shape: [delta.length] }]),
      exponents,
      residual: partsOf(residual),
      delta: delta.slice(),
    },
    compute,
    entropy,
  );
}

const finite = fc.float({ min: -100, max: 100, noNaN: true });
const rows = fc.array(finite, { minLength: 6, maxLength: 6 }).map((v) => Float32Array.from(v));
const norm = (values: Iterable<number>): number => Math.hypot(...values);
const code = (expected: string, field?: string) => (e: unknown) => {
  const { code: actual, facts } = e as { code?: string; facts?: { field?: string } };
  return actual === expected && (field === undefined || facts?.field === field);
};

describe('preparing an update', () => {
  it('names the tensor and the element of what is not finite', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const delta = new Float32Array(6);
      delta[5] = bad;
      await assert.rejects(run({ delta }), (e: Error) => code('NON_FINITE', 'bias')(e) && e.message.includes(`${bad} at element 1`));
    }
    const delta = Float32Array.of(0, 0, Number.NaN, 0, 0, Number.NaN);
    await assert.rejects(run({ delta }), code('NON_FINITE', 'weight'));
  });

  it('refuses a sum that overflows although both parts are finite', async () => {
    const huge = new Float32Array(6).fill(3e38);
    await assert.rejects(run({ delta: huge, residual: huge }), code('NON_FINITE', 'weight'));
  });

  it('adds the residual before it rounds', async () => {
    const [delta, residual] = [Float32Array.of(1, 2, 3, 4, 5, 6), new Float32Array(6).fill(0.5)];
    const { values, integers } = await run({ delta, residual });
    assert.deepEqual([...values], [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]);
    assert.deepEqual([...integers], [96, 160, 224, 288, 44, 52]);
  });

  it('is never off by a whole quantum, in each tensor its own', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.nat(), async (delta, seed) => {
        const { values, integers } = await run({ delta, seed });
        values.forEach((v, k) => {
          const scale = k < 4 ? 2 ** -6 : 2 ** -3;
          // One f32 rounding of the quotient plus noise on top of the quantum.
          assert.ok(
            Math.abs((integers[k] as number) * scale - v) < scale * (1 + Math.abs(v / scale) * 2 ** -22 + 2 ** -22),
            `${v} ${integers[k]}`,
          );
        });
      }),
    );
  });

  it('clips to the norm bound, in direction unchanged, and keeps what was within it as it was', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.double({ min: 0.5, max: 50, noNaN: true }), async (delta, clipNorm) => {
        const { values } = await run({ delta, clipNorm, exponents: [-16, -16] });
        const before = norm(delta);
        if (before <= 0.99 * clipNorm)
          assert.ok(values.every((v, k) => Math.abs(v - (delta[k] as number)) <= 2 ** -23 * Math.max(2 ** -16, before)));
        else if (before > clipNorm) {
          assert.ok(norm(values) <= clipNorm * (1 + 1e-6) && norm(values) >= 0.99 * clipNorm);
          const same = delta.every((v, k) => Math.abs((values[k] as number) * before - v * norm(values)) <= 1e-4 * before * clipNorm);
          assert.ok(same, `${values}`);
        }
      }),
    );
  });

  it('keeps the rounded integers within the norm bound too, however coarse the scale', async () => {
    await fc.assert(
      fc.asyncProperty(
        rows,
        fc.double({ min: 12, max: 50, noNaN: true }),
        fc.constantFrom<UpdateDtype>('int16', 'int8'),
        fc.nat(),
        async (delta, clipNorm, dtype, seed) => {
          const exponents = [0, -1];
          const { integers } = await run({ delta, clipNorm, dtype, seed, exponents });
          const plain = norm(Array.from(integers, (q, k) => q * 2 ** (exponents[k < 4 ? 0 : 1] as number)));
          assert.ok(plain <= clipNorm * (1 + 1e-12), `${plain} over ${clipNorm}`);
          assert.ok(Math.abs(integerNorm(integers, { spans, exponents }) - plain) <= 1e-9 * plain);
        },
      ),
    );
  });

  it('says so where rounding noise alone is over the bound', async () => {
    // Noise that always rounds up: one quantum is over the bound, and shrinking never makes it none.
    const entropy = { bytes: (n: number) => new Uint8Array(n).fill(255), uniform: () => 0 };
    const input = {
      spans: layoutOf([{ name: 'a', shape: [1] }]),
      exponents: [0],
      residual: [],
    };
    await assert.rejects(
      prepare({ ...input, delta: Float32Array.of(0.89), genesis: { ...sample, clipNorm: 0.9 } }, compute, entropy),
      code('BOUNDS_EXCEEDED', 'clipNorm'),
    );
    const { integers } = await prepare({ ...input, delta: Float32Array.of(0.89), genesis: { ...sample, clipNorm: 1 } }, compute, entropy);
    assert.deepEqual(integers, Int16Array.of(1));
  });

  it('saturates, and reports the largest quanta before saturation', async () => {
    const delta = Float32Array.of(1e5, -1e5, 1, 0, 0.3, -7);
    const { integers, maxAbs, values } = await run({ delta, exponents: [-6, -3] });
    assert.deepEqual([integers[0], integers[1]], [QMAX.int16, -QMAX.int16]);
    assert.deepEqual(maxAbs, [6_400_000, 56]);
    assert.ok(
      values.every((v, k) => Math.abs(v - (delta[k] as number)) <= 2 ** -23 * (k < 4 ? 2 ** 17 : 8)),
      'what saturation cut off stays in the residual',
    );
    const small = await run({ delta, dtype: 'int8' });
    assert.ok(small.integers instanceof Int8Array);
    assert.deepEqual([small.integers[0], small.integers[1], small.integers[3]], [127, -127, 0]);
    assert.deepEqual((await run({ delta: new Float32Array(6) })).maxAbs, [0, 0]);
  });

  it('reports a whole number that a ledger entry holds, however small the scale', async () => {
    const { maxAbs } = await run({ delta: new Float32Array(6).fill(1e6), exponents: [-60, -60] });
    assert.ok(maxAbs.every(Number.isSafeInteger));
  });

  it('rounds without bias: the mean of many is the value, within five standard errors', async () => {
    const n = 40_000;
    for (const [seed, share] of [0, 0.1, 0.25, 0.5, 0.9, 0.999].entries()) {
      for (const whole of [0, 5, -3, 1_000]) {
        const x = Math.fround(whole + share);
        const { integers } = await run({ delta: new Float32Array(n).fill(x), exponents: [0], clipNorm: 1e9, seed });
        const mean = Array.from(integers).reduce((a, b) => a + b, 0) / n;
        const part = x - Math.floor(x);
        // The f32 sum of value and noise is itself rounded: at 1,000 by half of 2^-14 at most.
        const bound = 5 * Math.sqrt((part * (1 - part)) / n) + 2 ** -14;
        assert.ok(Math.abs(mean - x) <= bound, `${x}: mean ${mean}, bound ${bound}`);
      }
    }
  });

  it('what is sent and what stays behind add up to what was prepared, to the bit, in every encoding', async () => {
    const wild = fc
      .array(fc.oneof(finite, fc.float({ min: -(2 ** -10), max: 2 ** -10, noNaN: true }), fc.constant(0)), { minLength: 6, maxLength: 6 })
      .map((v) => Float32Array.from(v));
    const setting = fc.record({
      encoding: fc.constantFrom(...ENCODINGS),
      dtype: fc.constantFrom<UpdateDtype>('int16', 'int8'),
      exponents: fc.array(fc.integer({ min: -14, max: 2 }), { minLength: 2, maxLength: 2 }),
      clipNorm: fc.constantFrom(1e6, 40),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(wild, wild, setting, async (delta, residual, given) => {
        const { values, integers } = await run({ delta, residual, ...given });
        const sent = Float32Array.from(integers, (q, k) => q * 2 ** (given.exponents[k < 4 ? 0 : 1] as number));
        const stays = values.map((v, k) => v - (sent[k] as number));
        assert.deepEqual(
          stays.map((v, k) => v + (sent[k] as number)),
          values,
        );
        // In doubles nothing is rounded: the f32 difference is the true one.
        stays.forEach((v, k) => {
          assert.equal(v + 0, (values[k] as number) - (sent[k] as number));
        });
      }),
      { numRuns: 500 },
    );
  });

  it('sends over the epochs what was trained, whatever an encoding leaves out of one', async () => {
    for (const encoding of ENCODINGS) {
      const delta = Float32Array.of(1, -0.5, 0.25, -0.125, 0.75, 0.01);
      let residual = new Float32Array(6);
      const arrived = new Float64Array(6);
      const epochs = 400;
      for (let seed = 0; seed < epochs; seed++) {
        const { values, integers } = await run({ delta, residual, seed, encoding, dtype: 'int8', exponents: [-5, -5] });
        integers.forEach((q, k) => {
          arrived[k] = (arrived[k] as number) + q / 32;
        });
        residual = values.map((v, k) => v - (integers[k] as number) / 32);
      }
      arrived.forEach((sum, k) => {
        assert.ok(Math.abs(sum / epochs - (delta[k] as number)) < 0.02, `${encoding}: ${sum / epochs} for ${delta[k]}`);
      });
    }
  });

  it('lowers the scale of a tensor whose values are far below it', async () => {
    const { maxAbs } = await run({ delta: new Float32Array(6).fill(1e-12), exponents: [0, 0] });
    assert.deepEqual(maxAbs, [1, 1]);
  });
});
