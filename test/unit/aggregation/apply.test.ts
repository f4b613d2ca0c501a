import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  applyAverage,
  applyPart,
  bytesOf,
  dtypeBytes,
  float32Of,
  int32Of,
  integersOf,
  layoutOf,
  type TensorSpan,
} from '../../../src/aggregation/index.ts';
import { parameterCount } from '../../../src/wire/index.ts';

const ONE: TensorSpan[] = [{ name: 'a', start: 0, end: 1 }];
const one = (theta: number, sum: number, weightTotal: number, eta: number, exponent: number): number =>
  applyAverage(Float32Array.of(theta), ONE, { sum: Int32Array.of(sum), weightTotal, eta, exponents: [exponent] })[0] as number;

/** A double as whole number times 2^exponent, exactly. */
function exactly(x: number): { whole: bigint; exponent: number } {
  if (x === 0) return { whole: 0n, exponent: 0 };
  let exponent = 0;
  let whole = x;
  while (!Number.isInteger(whole)) {
    whole *= 2;
    exponent -= 1;
  }
  return { whole: BigInt(whole), exponent };
}

/** |a - b| <= 2^-22 * max(|b|, |theta|), where b = theta + eta * sum * 2^exponent / total, in fractions without a bound. */
function near(result: number, theta: number, sum: number, total: number, eta: number, exponent: number): boolean {
  const [r, t, e] = [exactly(result), exactly(theta), exactly(eta)];
  const low = Math.min(r.exponent, t.exponent, e.exponent + exponent);
  const up = (whole: bigint, from: number) => whole << BigInt(from - low);
  // Everything times total and 2^-low.
  const wanted = up(t.whole, t.exponent) * BigInt(total) + up(e.whole * BigInt(sum), e.exponent + exponent);
  const got = up(r.whole, r.exponent) * BigInt(total);
  const abs = (x: bigint) => (x < 0n ? -x : x);
  const size = [abs(wanted), abs(up(t.whole, t.exponent)) * BigInt(total)].reduce((a, b) => (a > b ? a : b));
  return abs(got - wanted) << 22n <= size;
}

describe('applying an average', () => {
  const f32 = fc.float({ min: -100, max: 100, noNaN: true }).map((v) => (Math.abs(v) < 2 ** -40 ? 0 : v));
  const sums = fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 });

  it('is theta + eta * S * scale / D, within the rounding of a double and one to f32', () => {
    fc.assert(
      fc.property(
        f32,
        sums,
        fc.integer({ min: 1, max: 65_536 }),
        fc.constantFrom(1, 0.5, 0.1, 3),
        fc.integer({ min: -30, max: 4 }),
        (theta, sum, total, eta, exponent) => assert.ok(near(one(theta, sum, total, eta, exponent), theta, sum, total, eta, exponent)),
      ),
    );
  });

  it('rounds in the one order that all nodes use: eta * S, * scale, / D, + theta, to f32 at the end', () => {
    // Halfway between two f32, so that the last place of a double decides; found by search.
    const [eta, sum, total] = [0.7, 167_772_230, 7];
    assert.equal(one(0, sum, total, eta, 0), 16_777_222);
    for (const otherOrder of [eta * (sum / total), (eta / total) * sum]) assert.equal(Math.fround(otherOrder), 16_777_224);
    // Rounding the product to f32 first is another mistake, and another number.
    assert.notEqual(one(0, 503_316_510, 3, 0.1, 0), Math.fround(Math.fround(0.1 * 503_316_510) / 3));
  });

  it('uses the scale of each tensor and leaves the old model alone', () => {
    const theta = Float32Array.of(1, 1, 1);
    const spans = [
      { name: 'a', start: 0, end: 2 },
      { name: 'b', start: 2, end: 3 },
    ];
    const next = applyAverage(theta, spans, { sum: Int32Array.of(8, -8, 8), weightTotal: 4, eta: 1, exponents: [-1, 2] });
    assert.deepEqual([...next], [2, 0, 9]);
    assert.deepEqual([...theta], [1, 1, 1]);
  });

  it('gives the same in parts, wherever they are cut', () => {
    const spans = [
      { name: 'a', start: 0, end: 5 },
      { name: 'b', start: 5, end: 12 },
    ];
    const theta = Float32Array.from({ length: 12 }, (_, k) => Math.sin(k));
    const terms = { sum: Int32Array.from(theta, (_, k) => 1_000 * k - 5_000), weightTotal: 7, eta: 0.3, exponents: [-9, -3] };
    const whole = applyAverage(theta, spans, terms);
    for (let length = 1; length <= 13; length++) {
      const parts = theta.slice();
      for (let first = 0; first < 12; first += length) applyPart(parts.subarray(first, first + length), first, spans, terms);
      assert.deepEqual(parts, whole, `parts of ${length}`);
    }
  });

  it('leaves the model as it was when nobody weighs anything', () => {
    assert.equal(one(0.5, 1_000, 0, 1, 0), 0.5);
  });
});

describe('layout', () => {
  it('puts tensors one behind the other', () => {
    const tensors = [
      { name: 'w', shape: [3, 2] },
      { name: 'b', shape: [] },
      { name: 'none', shape: [0, 4] },
      { name: 'v', shape: [5] },
    ];
    assert.deepEqual(layoutOf(tensors), [
      { name: 'w', start: 0, end: 6 },
      { name: 'b', start: 6, end: 7 },
      { name: 'none', start: 7, end: 7 },
      { name: 'v', start: 7, end: 12 },
    ]);
    assert.equal(parameterCount(tensors), 12);
    assert.deepEqual(layoutOf([]), []);
  });
});

describe('integers as bytes', () => {
  it('are little-endian, and come back from any offset without their neighbours', () => {
    assert.deepEqual([...bytesOf(Int16Array.of(1, -2))], [1, 0, 0xfe, 0xff]);
    assert.deepEqual([...bytesOf(Int32Array.of(-2)), ...bytesOf(Float32Array.of(1))], [0xfe, 0xff, 0xff, 0xff, 0, 0, 0x80, 0x3f]);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7 }), fc.array(fc.integer({ min: -32_768, max: 32_767 })), (offset, values) => {
        const at = (bytes: Uint8Array) => {
          const buffer = new Uint8Array(offset + bytes.length + 3).fill(0x55);
          buffer.set(bytes, offset);
          return buffer.subarray(offset, offset + bytes.length);
        };
        assert.deepEqual(integersOf(at(bytesOf(Int16Array.from(values))), 'int16'), Int16Array.from(values));
        assert.deepEqual(integersOf(at(bytesOf(Int8Array.from(values))), 'int8'), Int8Array.from(values));
        assert.deepEqual(int32Of(at(bytesOf(Int32Array.from(values)))), Int32Array.from(values));
        assert.deepEqual(float32Of(at(bytesOf(Float32Array.from(values)))), Float32Array.from(values));
      }),
    );
    assert.deepEqual([dtypeBytes('int16'), dtypeBytes('int8')], [2, 1]);
  });

  it('are not copied where they are alone in their memory', () => {
    const bytes = new Uint8Array(8);
    for (const view of [integersOf(bytes, 'int16'), integersOf(bytes, 'int8'), int32Of(bytes), float32Of(bytes)])
      assert.equal(view.buffer, bytes.buffer);
  });
});
