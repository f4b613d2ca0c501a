import fc from 'fast-check';
import { layoutOf, type TensorSpan } from '../../../src/aggregation/index.ts';
import type { IntRow } from '../../../src/compute/api.ts';

export interface Case {
  readonly rows: readonly IntRow[];
  readonly spans: readonly TensorSpan[];
  readonly exponents: readonly number[];
}

/** Values of one type with its extremes often among them. */
const valuesOf = (max: number) => fc.oneof({ arbitrary: fc.integer({ min: -max, max }), weight: 3 }, fc.constantFrom(-max, max, 0));

/** 1..9 rows of int8 or int16 over 1..4 tensors, each with a scale of its own. */
export const cases: fc.Arbitrary<Case> = fc
  .record({
    int8: fc.boolean(),
    count: fc.integer({ min: 1, max: 9 }),
    tensors: fc.array(fc.record({ size: fc.integer({ min: 0, max: 7 }), exponent: fc.integer({ min: -60, max: 20 }) }), {
      minLength: 1,
      maxLength: 4,
    }),
  })
  .chain(({ int8, count, tensors }) => {
    const length = tensors.reduce((sum, { size }) => sum + size, 0);
    const spans = layoutOf(tensors.map(({ size }, t) => ({ name: `t${t}`, shape: [size] })));
    return fc
      .array(fc.array(valuesOf(int8 ? 127 : 32_767), { minLength: length, maxLength: length }), { minLength: count, maxLength: count })
      .map((rows) => ({
        rows: rows.map((row) => (int8 ? Int8Array.from(row) : Int16Array.from(row))),
        spans,
        exponents: tensors.map((t) => t.exponent),
      }));
  });
