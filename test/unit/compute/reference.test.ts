import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createReference } from '../../../src/compute/index.ts';
import { OPERATIONS } from '../../../src/compute/reference.ts';

const compute = createReference();
const f32 = (max = 1e6) => fc.float({ min: -Math.fround(max), max: Math.fround(max), noNaN: true, noDefaultInfinity: true });
const f32Row = (length: number, max?: number) =>
  fc.array(f32(max), { minLength: length, maxLength: length }).map((v) => Float32Array.from(v));
/** 1..9 rows of one length, 1..20. */
const rowSet = (minRows = 1) =>
  fc
    .tuple(fc.integer({ min: minRows, max: 9 }), fc.integer({ min: 1, max: 20 }))
    .chain(([rows, length]) => fc.array(f32Row(length), { minLength: rows, maxLength: rows }));
const column = (rows: readonly Float32Array[], k: number): number[] => rows.map((row) => row[k] as number).sort((a, b) => a - b);
const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;

describe('reference', () => {
  it('says that every operation runs as TypeScript', () => {
    assert.equal(compute.info().backend, 'ts');
    assert.deepEqual(Object.keys(compute.info().byOperation), [...OPERATIONS]);
  });

  it('axpy rounds to f32 after the product and after the sum', async () => {
    // The square is 1 + 6 * 2^-23 + 9 * 2^-46; rounding it first loses the last term, which the difference could hold.
    const x = 1 + 3 * 2 ** -23;
    const [fused, rounded] = [Math.fround(x * x - 1), Math.fround(Math.fround(x * x) - 1)];
    assert.notEqual(fused, rounded);
    assert.deepEqual(await compute.axpy(Float32Array.of(-1), Float32Array.of(x), x), Float32Array.of(rounded));
  });

  it('weightedSum refuses what could pass int32, and what is no weight', async () => {
    const cases: [Int16Array[], number[]][] = [
      [[Int16Array.of(-32_768)], [65_536]],
      [
        [Int16Array.of(32_767), Int16Array.of(-32_768)],
        [1, 65_536],
      ],
      [[Int16Array.of(0)], [65_537]],
      [[Int16Array.of(0)], [-1]],
      [[Int16Array.of(0)], [0.5]],
      [[Int16Array.of(0)], [Number.NaN]],
      [
        [Int16Array.of(0), Int16Array.of(0)],
        [65_536, 1],
      ],
    ];
    for (const [rows, weights] of cases) await assert.rejects(compute.weightedSum(rows, weights), code('BOUNDS_EXCEEDED'), `${weights}`);
    assert.deepEqual(await compute.weightedSum([Int16Array.of(32_767, -32_767)], [65_536]), Int32Array.of(2_147_418_112, -2_147_418_112));
    assert.deepEqual(await compute.weightedSum([Int16Array.of(-32_768)], [65_535]), Int32Array.of(-2_147_450_880));
    const nearly = [Int16Array.of(-32_768), Int16Array.of(-32_767)];
    assert.deepEqual(await compute.weightedSum(nearly, [65_535, 1]), Int32Array.of(-2_147_483_647));
  });

  it('refuses rows that do not fit together', async () => {
    const [one, two] = [Float32Array.of(1), Float32Array.of(1, 2)];
    const calls: (() => Promise<unknown>)[] = [
      () => compute.axpy(one, two, 1),
      () => compute.weightedSum([], []),
      () => compute.weightedSum([Int8Array.of(1)], []),
      () => compute.weightedSum([Int8Array.of(1), Int8Array.of(1, 2)], [1, 1]),
      () => compute.weightedSum([Int8Array.of(1), Int16Array.of(1)], [1, 1]),
      () => compute.sqDist(one, two),
      () => compute.pairwiseSqDist([one, two]),
      () => compute.median([]),
      () => compute.softmaxRows([one, two]),
      () => compute.entropyStep({ p: one, influence: two, fallback: 0, a: 0.5, c: 1 }),
      () => compute.align([one], [two]),
      () => compute.quantise(one, 1, two, 127),
    ];
    for (const call of calls) await assert.rejects(call, code('BAD_SHAPE'), String(call));
    assert.throws(() => compute.addMod32(Uint32Array.of(1), Uint32Array.of(1, 2)), code('BAD_SHAPE'));
  });

  it('scaleClip, sqNorm, sqDist and pairwiseSqDist are what they say', async () => {
    assert.deepEqual(await compute.scaleClip(Float32Array.of(1, -3, 100), 2, 5), Float32Array.of(2, -5, 5));
    assert.equal(await compute.sqNorm(Float32Array.of(3, 4)), 25);
    assert.equal(await compute.sqDist(Float32Array.of(1, 1), Float32Array.of(4, 5)), 25);
    const rows = [Float32Array.of(0, 0), Float32Array.of(3, 4), Float32Array.of(3, 0)];
    assert.deepEqual(await compute.pairwiseSqDist(rows), Float64Array.of(0, 25, 9, 25, 0, 16, 9, 16, 0));
  });

  it('median and trimmedMean are those of the sorted coordinate', () =>
    fc.assert(
      fc.asyncProperty(rowSet(), fc.nat({ max: 4 }), async (rows, cut) => {
        const trim = Math.min(cut, Math.floor((rows.length - 1) / 2));
        const [median, trimmed] = [await compute.median(rows), await compute.trimmedMean(rows, trim)];
        for (let k = 0; k < median.length; k++) {
          const sorted = column(rows, k);
          const middle = [sorted[(sorted.length - 1) >> 1] as number, sorted[sorted.length >> 1] as number] as const;
          assert.equal(median[k], Math.fround((middle[0] + middle[1]) / 2));
          const kept = sorted.slice(trim, sorted.length - trim);
          assert.equal(trimmed[k], Math.fround(kept.reduce((a, b) => a + b, 0) / kept.length));
        }
      }),
    ));

  it('trimmedMean refuses to trim everything', async () => {
    for (const trim of [1, -1, 0.5])
      await assert.rejects(compute.trimmedMean([Float32Array.of(1), Float32Array.of(2)], trim), code('BOUNDS_EXCEEDED'));
  });

  it('softmaxRows: shares that add up to 1, unmoved by a shift, in the ratio e to the difference', () =>
    fc.assert(
      fc.asyncProperty(f32Row(5, 50), fc.integer({ min: -100, max: 100 }), async (row, shift) => {
        const [shares, moved] = (await compute.softmaxRows([row, row.map((v) => v + shift)])) as [Float32Array, Float32Array];
        assert.ok(Math.abs(shares.reduce((a, b) => a + b, 0) - 1) < 1e-6);
        for (const [k, share] of shares.entries()) assert.ok(Math.abs(share - (moved[k] as number)) < 1e-4);
        const [a, b] = [row[0] as number, row[1] as number];
        const ratio = (shares[0] as number) / (shares[1] as number);
        if (Math.abs(a - b) < 20) assert.ok(Math.abs(Math.log(ratio) - (a - b)) < 1e-4);
      }),
    ));

  it('align attends to the row it resembles', async () => {
    const units = [Float32Array.of(50, 0), Float32Array.of(0, 50)];
    assert.deepEqual(await compute.align(units, units), [Float32Array.of(1, 0), Float32Array.of(0, 1)]);
    assert.deepEqual(await compute.align([Float32Array.of(0, 0)], units), [Float32Array.of(0.5, 0.5)]);
    assert.deepEqual(await compute.align([], units), []);
  });

  it('entropyStep mixes towards influence and fallback, with the entropy of the result', async () => {
    const step = await compute.entropyStep({
      p: Float32Array.of(1, 0, 0),
      influence: Float32Array.of(0, 1, 0),
      fallback: 2,
      a: 0.5,
      c: 0.5,
    });
    assert.deepEqual(step.p, Float32Array.of(0.5, 0.25, 0.25));
    assert.ok(Math.abs(step.entropy - 1.5 * Math.LN2) < 1e-12);
    const even = { p: new Float32Array(4), influence: new Float32Array(4).fill(0.25), fallback: -1, a: 0.5, c: 0.5 };
    const { p, entropy } = await compute.entropyStep(even);
    assert.deepEqual(p, new Float32Array(4).fill(0.0625)); // not renormalised
    assert.ok(Math.abs(entropy - Math.log(4)) < 1e-12);
    assert.deepEqual(await compute.entropyStep({ ...even, c: 0 }), { p: new Float32Array(4), entropy: 0 });
  });

  it('quantise stays within one step of x, and rounds up as often as the fraction says', () =>
    fc.assert(
      fc.asyncProperty(f32(100), fc.integer({ min: -10, max: 4 }), async (value, exponent) => {
        const scale = 2 ** exponent;
        const x = new Float32Array(256).fill(value);
        const u = x.map((_, i) => i / 256);
        const q = await compute.quantise(x, scale, u, 32_767);
        const exact = Math.min(Math.max(value / scale, -32_767), 32_767);
        for (const v of q) assert.ok(Math.abs(v - exact) < 1);
        const mean = q.reduce((a, b) => a + b, 0) / q.length;
        assert.ok(Math.abs(mean - exact) <= 1 / 256 + Math.abs(exact) * 2 ** -23);
        if (exact === value / scale)
          assert.deepEqual(
            await compute.dequantise(q, scale),
            Float32Array.from(q, (v) => v * scale),
          );
      }),
    ));

  it('quantise saturates, and refuses a scale that is no power of two or a limit of no type', async () => {
    const [x, u] = [Float32Array.of(1e9, -1e9, 0), new Float32Array(3)];
    assert.deepEqual(await compute.quantise(x, 1, u, 127), Int16Array.of(127, -127, 0));
    for (const scale of [0, -1, 3, 2 ** -81, 2 ** 81, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(compute.quantise(x, scale, u, 127), code('BOUNDS_EXCEEDED'), `${scale}`);
      await assert.rejects(compute.dequantise(Int8Array.of(1), scale), code('BOUNDS_EXCEEDED'), `${scale}`);
    }
    await assert.rejects(compute.quantise(x, 1, u, 128), code('BOUNDS_EXCEEDED'));
  });

  it('accumulate adds in place what BigInt adds, times a weight', () => {
    const bound = 2 ** 30;
    const rows = fc.array(fc.tuple(fc.integer({ min: -bound, max: bound }), fc.integer({ min: -32_767, max: 32_767 })), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(rows, fc.integer({ min: 0, max: 32_768 }), (pairs, w) => {
        const added = pairs.map(([, one]) => one);
        for (const x of [Int16Array.from(added), Int32Array.from(added)]) {
          const sum = Int32Array.from(pairs, ([one]) => one);
          compute.accumulate(sum, x, w);
          assert.deepEqual(
            Array.from(sum, BigInt),
            pairs.map(([a, b]) => BigInt(a) + BigInt(w) * BigInt(b)),
          );
        }
      }),
    );
    assert.throws(() => compute.accumulate(new Int32Array(2), Int8Array.of(1), 1), code('BAD_SHAPE'));
  });

  it('addMod32 is addition modulo 2^32', () =>
    fc.assert(
      fc.property(fc.uint32Array({ minLength: 1, maxLength: 9 }), (a) => {
        const b = a.toReversed();
        const sums = Array.from(compute.addMod32(a, b), BigInt);
        assert.deepEqual(
          sums,
          Array.from(a, (v, k) => (BigInt(v) + BigInt(b[k] as number)) % 2n ** 32n),
        );
      }),
    ));
});
