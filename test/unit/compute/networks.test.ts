import assert from 'node:assert/strict';
import { type Comparator, selectionNetwork, sortingNetwork } from '../../../src/compute/kernels/networks.ts';
import { integers } from '../../support/exactSums.ts';

/** All 0-1 inputs of `wires` wires at once: bit i of value w says what wire w holds in input i. */
function zeroOneInputs(wires: number): bigint[] {
  const inputs = 1 << wires;
  return Array.from({ length: wires }, (_, w) => {
    let bits = 0n;
    // Wire w is 1 in the inputs whose bit w is set: blocks of 2^w zeros and 2^w ones.
    const block = ((1n << BigInt(1 << w)) - 1n) << BigInt(1 << w);
    for (let at = 0; at < inputs; at += 2 << w) bits |= block << BigInt(at);
    return bits;
  });
}

function sorted(network: readonly Comparator[], wires: number): bigint[] {
  const held = zeroOneInputs(wires);
  for (const [a, b] of network) [held[a], held[b]] = [(held[a] as bigint) & (held[b] as bigint), (held[a] as bigint) | (held[b] as bigint)];
  return held;
}

/** In every input, no wire holds 1 while the next one holds 0. */
const isSorted = (held: readonly bigint[]): boolean => held.every((bits, w) => w === 0 || ((held[w - 1] as bigint) & ~bits) === 0n);

describe('sorting networks', () => {
  it('sort every input of zeros and ones up to 14 wires, and so every input (0-1 principle)', () => {
    for (let wires = 1; wires <= 14; wires++) assert.ok(isSorted(sorted(sortingNetwork(wires), wires)), `${wires} wires`);
  });

  it('do not sort without some comparator', () => {
    const network = sortingNetwork(7);
    for (const c of network.keys()) assert.ok(!isSorted(sorted(network.toSpliced(c, 1), 7)), `comparator ${c} is idle`);
  });

  it('sort the 0-1 inputs of up to 64 wires that are hardest to merge, and random ones', () => {
    const below = integers(3);
    for (let wires = 15; wires <= 64; wires++) {
      const network = sortingNetwork(wires);
      // Every length of a run of ones, starting at every wire: what merges meet.
      for (let start = 0; start < wires; start++) {
        for (let end = start; end <= wires; end++) check(Array.from({ length: wires }, (_, w) => Number(w >= start && w < end)));
      }
      for (let i = 0; i < 200; i++) check(Array.from({ length: wires }, () => below(10)));
      function check(values: number[]): void {
        const expected = values.toSorted((a, b) => a - b);
        for (const [a, b] of network)
          if ((values[a] as number) > (values[b] as number)) [values[a], values[b]] = [values[b] as number, values[a] as number];
        assert.deepEqual(values, expected, `${wires} wires`);
      }
    }
  }).timeout(20_000);

  it('have as many comparators as the literature says', () => {
    // Knuth, TAOCP volume 3, 5.3.4, table of odd-even merge sort; 543 for 64.
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64].map((wires) => sortingNetwork(wires).length),
      [0, 1, 3, 5, 9, 12, 16, 19, 63, 191, 543],
    );
  });

  it('select: the kept wires end with the middle values, in every input of zeros and ones up to 11 wires', () => {
    for (let wires = 1; wires <= 11; wires++) {
      for (let trim = 0; 2 * trim < wires; trim++) {
        const network = selectionNetwork(wires, trim);
        for (let input = 0; input < 1 << wires; input++) {
          const held = Array.from({ length: wires }, (_, w) => (input >> w) & 1);
          for (const {
            wires: [a, b],
            min,
            max,
          } of network) {
            const [low, high] = [Math.min(held[a] as number, held[b] as number), Math.max(held[a] as number, held[b] as number)];
            held[a] = min ? low : Number.NaN;
            held[b] = max ? high : Number.NaN;
          }
          const ones = held.slice(trim, wires - trim).reduce((sum, v) => sum + v, 0);
          const total = input.toString(2).replaceAll('0', '').length;
          assert.equal(ones, Math.min(Math.max(total - trim, 0), wires - 2 * trim), `${wires} wires, ${trim} trimmed, input ${input}`);
        }
      }
    }
  }).timeout(20_000);

  it('select with fewer comparators than sort', () => {
    assert.equal(selectionNetwork(16, 0).length, 0);
    assert.ok(selectionNetwork(16, 7).length < 63);
    assert.ok(selectionNetwork(64, 21).length < 543);
  });
});
