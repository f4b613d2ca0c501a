import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  decodeSigns,
  decodeSparse,
  denseOf,
  encodeSigns,
  encodeSparse,
  leftOver,
  majority,
  signsOf,
  topK,
  valuesOf,
} from '../../../../src/aggregation/index.ts';
import type { IntRow } from '../../../../src/compute/api.ts';
import { picker, randomRows } from '../../../support/exchanges.ts';

const rows = fc
  .record({ int8: fc.boolean(), sparse: fc.boolean(), length: fc.nat({ max: 400 }), seed: fc.integer() })
  .map(({ int8, sparse, length, seed }): IntRow => {
    const pick = picker(seed);
    const [row] = randomRows(1, length, int8 ? 127 : 32_767, pick) as [IntRow];
    return sparse ? row.map((v) => (pick(30) === 0 ? v : 0)) : row;
  });
const dtypeOf = (row: IntRow) => (row instanceof Int16Array ? 'int16' : 'int8');
const added = (a: ArrayLike<number>, b: ArrayLike<number>): number[] => Array.from(a, (v, k) => v + (b[k] as number));
const spansOf = (length: number) => [
  { name: 'a', start: 0, end: length >> 1 },
  { name: 'b', start: length >> 1, end: length },
];

describe('top-k', () => {
  it('what travels and what is left over add up to what was prepared', () => {
    fc.assert(
      fc.property(rows, fc.nat({ max: 450 }), (row, k) => {
        const sent = denseOf(topK(row, k), row.length);
        assert.deepEqual(added(leftOver(row, sent), sent), [...row]);
      }),
    );
  });

  it('takes the largest, and of equal ones the first', () => {
    fc.assert(
      fc.property(rows, fc.nat({ max: 450 }), (row, k) => {
        const plain = [...row.keys()]
          .filter((i) => row[i] !== 0)
          .sort((a, b) => Math.abs(row[b] as number) - Math.abs(row[a] as number) || a - b)
          .slice(0, k)
          .sort((a, b) => a - b);
        const { places, values } = topK(row, k);
        assert.deepEqual([...places], plain);
        assert.deepEqual(
          [...values],
          plain.map((i) => row[i]),
        );
      }),
    );
  });

  it('comes back from its bytes, whose places take the shorter of two codings', () => {
    fc.assert(
      fc.property(rows, fc.nat({ max: 450 }), (row, k) => {
        const sparse = topK(row, k);
        const bytes = encodeSparse(sparse, row.length);
        assert.deepEqual(decodeSparse(bytes, { elements: row.length, kept: row.length, dtype: dtypeOf(row) }), sparse);
        const gaps = [...sparse.places].map((place, i) => place - (i === 0 ? 0 : (sparse.places[i - 1] as number) + 1));
        const deltas = gaps.reduce((sum, gap) => sum + (gap < 128 ? 1 : 2), 0);
        assert.equal(bytes.byteLength, 5 + Math.min(deltas, Math.ceil(row.length / 8)) + sparse.values.byteLength);
      }),
    );
    for (const [gap, bytes] of [
      [127, 1],
      [128, 2],
      [16_383, 2],
      [16_384, 3],
    ] as const) {
      const row = new Int8Array(gap + 2);
      row[0] = 1;
      row[gap + 1] = 1;
      assert.equal(encodeSparse(topK(row, 2), 200_000).byteLength, 5 + 1 + bytes + 2);
    }
    const [row] = randomRows(1, 100_000, 32_767, picker(1)) as [IntRow];
    assert.equal(encodeSparse(topK(row, 1_000), 100_000)[0], 0);
    assert.ok(encodeSparse(topK(row, 1_000), 100_000).byteLength < 5 + 1_000 * (2 + 1.4));
    assert.equal(encodeSparse(topK(row, 50_000), 100_000).byteLength, 5 + 12_500 + 100_000);
  });

  it('any other bytes are refused by name, or are what an encoder would have written', () => {
    const codes = new Set(['MALFORMED', 'NON_CANONICAL', 'BOUNDS_EXCEEDED']);
    fc.assert(
      fc.property(
        rows,
        fc.nat({ max: 30 }),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }),
        fc.integer({ min: -3, max: 3 }),
        (row, k, flips, grow) => {
          const good = encodeSparse(topK(row, k), row.length);
          const bytes = new Uint8Array(Math.max(0, good.byteLength + grow));
          bytes.set(good.subarray(0, bytes.byteLength));
          for (const [at, by] of flips)
            if (bytes.byteLength > 0) bytes[at % bytes.byteLength] = (bytes[at % bytes.byteLength] as number) ^ by;
          try {
            const sparse = decodeSparse(bytes, { elements: row.length, kept: row.length, dtype: dtypeOf(row) });
            assert.deepEqual([...encodeSparse(sparse, row.length)], [...bytes]);
          } catch (e) {
            assert.ok(codes.has((e as { code: string }).code), String(e));
          }
        },
      ),
      { numRuns: 500 },
    );
    const bad: readonly (readonly [number[], string])[] = [
      [[], 'MALFORMED'],
      [[2, 0, 0, 0, 0], 'MALFORMED'],
      [[0, 255, 255, 255, 255], 'MALFORMED'],
      [[0, 1, 0, 0, 0, 200, 1], 'MALFORMED'],
      [[0, 1, 0, 0, 0, 0x80, 0x00, 1], 'NON_CANONICAL'],
      [[0, 1, 0, 0, 0, 3, 0], 'NON_CANONICAL'],
      [[0, 1, 0, 0, 0, 3, 0x80], 'BOUNDS_EXCEEDED'],
      [[0, 2, 0, 0, 0, 3, 1, 1], 'MALFORMED'],
      [[1, 1, 0, 0, 0, 8, 0, 1], 'NON_CANONICAL'],
      [[1, 1, 0, 0, 0, 0, 16, 1], 'MALFORMED'],
      [[1, 2, 0, 0, 0, 8, 0, 1, 1], 'MALFORMED'],
    ];
    for (const [bytes, code] of bad)
      assert.throws(() => decodeSparse(Uint8Array.from(bytes), { elements: 12, kept: 12, dtype: 'int8' }), { code }, bytes.join(' '));
  });
});

describe('signs', () => {
  it('what travels and what is left over add up to what was prepared', () => {
    fc.assert(
      fc.property(rows, (row) => {
        const spans = spansOf(row.length);
        const sent = valuesOf(signsOf(row, spans), spans, dtypeOf(row));
        assert.deepEqual(added(leftOver(row, sent), sent), [...row]);
        for (const { start, end } of spans) {
          const mean = [...row.slice(start, end)].reduce((sum, v) => sum + Math.abs(v), 0) / (end - start || 1);
          for (let k = start; k < end; k++) {
            assert.equal((sent[k] as number) < 0, (row[k] as number) < 0 && Math.floor(mean + 0.5) > 0);
            assert.equal(Math.abs(sent[k] as number), Math.floor(mean + 0.5));
          }
        }
      }),
    );
  });

  it('come back from a bit each and two bytes a tensor', () => {
    fc.assert(
      fc.property(rows, (row) => {
        const signs = signsOf(row, spansOf(row.length));
        const bytes = encodeSigns(signs);
        assert.equal(bytes.byteLength, 4 + Math.ceil(row.length / 8));
        assert.deepEqual(decodeSigns(bytes, row.length, 2, dtypeOf(row)), signs);
      }),
    );
  });

  it('are counted by weight, a tie is nothing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.nat({ max: 40 }), fc.integer(), (voters, length, seed) => {
        const pick = picker(seed);
        const all = randomRows(voters, length, 127, pick);
        const weights = all.map(() => pick(5));
        const plain = Array.from({ length }, (_, k) =>
          Math.sign(all.reduce((sum, row, i) => sum + (weights[i] as number) * ((row[k] as number) < 0 ? -1 : 1), 0)),
        );
        assert.deepEqual(
          [
            ...majority(
              all.map((row) => signsOf(row, spansOf(length))),
              weights,
            ),
          ],
          plain.map((v) => v + 0),
        );
      }),
    );
    assert.deepEqual([...majority([], [])], []);
    const signs = signsOf(Int8Array.of(1, -1), []);
    assert.throws(() => majority([signs, signsOf(Int8Array.of(1), [])], [1, 1]), { code: 'MALFORMED' });
    assert.throws(() => majority([signs], []), { code: 'MALFORMED' });
  });

  it('of another size, with bits behind the last or a magnitude beyond int16 are refused by name', () => {
    for (const length of [0, 3, 5]) assert.throws(() => decodeSigns(new Uint8Array(length), 12, 1, 'int16'), { code: 'MALFORMED' });
    assert.deepEqual(decodeSigns(Uint8Array.of(5, 0, 255, 15), 12, 1, 'int16').magnitudes, Uint16Array.of(5));
    assert.throws(() => decodeSigns(Uint8Array.of(5, 0, 255, 16), 12, 1, 'int16'), { code: 'NON_CANONICAL' });
    assert.throws(() => decodeSigns(Uint8Array.of(0, 128, 255, 15), 12, 1, 'int16'), { code: 'BOUNDS_EXCEEDED' });
  });
});
