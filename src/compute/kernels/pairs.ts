import type { KernelSource } from './source.ts';
import { SQUARE_ROWS } from './sums.ts';

/** Kernels over pairs of rows. `t` walks the outputs: indices stay below 2^24, where f32 counts, and divisors are exact. */

/** The pair p of output t = p * columns + c, and its rows. */
const pairOf = (columns: number): string =>
  `const p = Math.floor(t * ${1 / columns}); const c = t - p * ${columns}; const i = first[p]; const j = second[p];`;

const overColumn = (columns: number, term: string): string =>
  `for (let r = 0; r < ${SQUARE_ROWS}; r++) { const d = x[i][r * ${columns} + c] - x[j][r * ${columns} + c]; ${term} }`;

/**
 * sum (x_i - x_j)^2 over 64 elements: output p * columns + c, columns = bucket / 64, holds elements c, c + columns, ... of
 * the pair (first[p], second[p]). The partial sums are added in f64 outside.
 */
export function squareDistances(rows: number, pairs: number, bucket: number): KernelSource {
  const columns = bucket / SQUARE_ROWS;
  return {
    name: `squareDistances ${rows}:${pairs}x${bucket}`,
    output: pairs * columns,
    source: `function(x, first, second) {
      const t = this.thread.x;
      ${pairOf(columns)}
      let s = 0;
      ${overColumn(columns, 's += d * d;')}
      return s;
    }`,
  };
}

/**
 * The same for integers, in three limbs: d = 256 h + l with h = floor(d / 256), so d^2 = 65,536 h^2 + 512 h l + l^2. The
 * outputs are sum h^2, then sum h l, then sum l^2, each over all pairs. With |d| <= 65,535: |h| <= 256, 0 <= l <= 255, a
 * product is at most 2^16 and 64 of them 2^22: exact in f32.
 */
export function exactSquareDistances(rows: number, pairs: number, bucket: number): KernelSource {
  const columns = bucket / SQUARE_ROWS;
  return {
    name: `exactSquareDistances ${rows}:${pairs}x${bucket}`,
    output: 3 * pairs * columns,
    source: `function(x, first, second) {
      let limb = 0;
      if (this.thread.x >= ${pairs * columns}) { limb = 1; }
      if (this.thread.x >= ${2 * pairs * columns}) { limb = 2; }
      const t = this.thread.x - limb * ${pairs * columns};
      ${pairOf(columns)}
      let s = 0;
      ${overColumn(
        columns,
        `const h = Math.floor(d * 0.00390625); const l = d - 256 * h;
         let a = h; let b = h;
         if (limb > 0) { b = l; }
         if (limb > 1) { a = l; }
         s += a * b;`,
      )}
      return s;
    }`,
  };
}

/** Dot products of `rows` rows with `others` rows of `width` elements: output i * others + j is a_i . b_j. */
export const dotProducts = (rows: number, others: number, width: number): KernelSource => ({
  name: `dotProducts ${rows}x${others}x${width}`,
  output: rows * others,
  source: `function(a, b) {
    const i = Math.floor(this.thread.x * ${1 / others});
    const j = this.thread.x - i * ${others};
    let s = 0;
    for (let k = 0; k < ${width}; k++) { s += a[i][k] * b[j][k]; }
    return s;
  }`,
});
