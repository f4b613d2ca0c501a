import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Sketcher } from '../../../../src/aggregation/index.ts';
import { picker, randomRows } from '../../../support/exchanges.ts';

const SHAPE = { depth: 5, width: 64 };
const sketcher = new Sketcher(new Uint8Array(32).fill(7), SHAPE);
const add = (a: Uint32Array, b: Uint32Array): Uint32Array => a.map((v, i) => v + (b[i] as number));

describe('sketches of updates', () => {
  it('add up to the sketch of the sum, to the bit, and stay so under masks that cancel', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat({ max: 300 }), fc.integer(), (members, length, seed) => {
        const pick = picker(seed);
        const rows = randomRows(members, length, 32_767, pick);
        const sum = new Int32Array(length).map((_, k) => rows.reduce((s, row) => s + (row[k] as number), 0));
        const masks = rows.map(() => new Uint32Array(SHAPE.depth * SHAPE.width).map(() => pick(2 ** 32)));
        // Each adds its own mask and takes off the next one's: the sum over all is nothing.
        const masked = rows.map((row, i) =>
          add(
            add(sketcher.sketch(row), masks[i] as Uint32Array),
            (masks[(i + 1) % members] as Uint32Array).map((v) => -v),
          ),
        );
        assert.deepEqual(masked.reduce(add), sketcher.sketch(sum));
        if (members > 1 && length > 0) assert.notDeepEqual(masked[0], sketcher.sketch(rows[0] as Int16Array));
      }),
    );
  });

  it('tell the large coordinates of an update from the rest', () => {
    const pick = picker(3);
    const row = new Int16Array(20_000).map(() => pick(21) - 10);
    const large = new Sketcher(new Uint8Array(32), { depth: 7, width: 2 ** 12 });
    for (const [k, v] of [
      [17, 9_000],
      [4_000, -8_000],
      [19_999, 7_000],
    ] as const)
      row[k] = v;
    const sketch = large.sketch(row);
    for (const k of [17, 4_000, 19_999]) assert.ok(Math.abs(large.estimate(sketch, k) - (row[k] as number)) < 60, `${k}`);
    for (let k = 0; k < 20_000; k++) if (Math.abs(row[k] as number) <= 10) assert.ok(Math.abs(large.estimate(sketch, k)) < 500);
    const errors = Array.from(row, (v, k) => large.estimate(sketch, k) - v);
    assert.ok(Math.abs(errors.reduce((a, b) => a + b, 0) / errors.length) < 1, 'without a bias');
  });

  it('hang on the beacon, and on a shape that makes sense', () => {
    const row = Int16Array.of(1, 2, 3);
    assert.notDeepEqual(new Sketcher(new Uint8Array(32), SHAPE).sketch(row), sketcher.sketch(row));
    for (const shape of [
      { depth: 2, width: 4 },
      { depth: 17, width: 4 },
      { depth: 1, width: 3 },
      { depth: 1, width: 0 },
      { depth: 0.5, width: 4 },
      { depth: 1, width: 2 ** 25 },
    ])
      assert.throws(() => new Sketcher(new Uint8Array(32), shape), { code: 'MALFORMED' });
  });
});
