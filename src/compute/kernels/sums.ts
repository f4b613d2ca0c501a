import type { KernelSource } from './source.ts';

/**
 * Sums over rows. gpu.js computes in f32, whose integers are exact to 2^24 = 16,777,216, so a sum is exact wherever
 * every partial sum stays at or below that: then neither the order nor a fused multiply-add can change a bit.
 */

/** `terms` as a chain of statements with a literal bound: gpu.js silently stops other loops at 1,000 rounds. */
const overRows = (rows: number, term: string): string => `for (let j = 0; j < ${rows}; j++) { ${term} }`;

/**
 * S_k = sum_j w[j] x[j][k] for int8 rows. With w[j] >= 0 and sum w <= 65,536 a product and every partial sum is at
 * most 65,536 * 128 = 2^23 in magnitude: exact.
 */
export const weightedSum8 = (rows: number, bucket: number): KernelSource => ({
  name: `weightedSum8 ${rows}x${bucket}`,
  output: bucket,
  source: `function(x, w) {
    let s = 0;
    ${overRows(rows, 's += w[j] * x[j][this.thread.x];')}
    return s;
  }`,
});

/**
 * The same for int16 rows in two halves, q = 256 h + l with h = floor(q / 256) in -128..127 and l in 0..255: outputs
 * 0..bucket-1 are sum w h, outputs bucket..2*bucket-1 are sum w l, and S = 256 sum w h + sum w l is joined outside.
 *
 * Exact, because w[j] >= 0 and sum w <= 65,536: every partial sum of w h is at most 65,536 * 128 = 2^23 in magnitude,
 * every one of w l at most 65,536 * 255 = 16,711,680 < 2^24, and so is each product. q / 256 is a power-of-two
 * scaling, its floor is exact, 257 h is at most 32,896, q - 257 h at most 255 + 128. One flat output
 * (not two rows) keeps clear of the 65,535 workgroups that a 2-D output may have a dimension.
 */
export const weightedSum16 = (rows: number, bucket: number): KernelSource => ({
  name: `weightedSum16 ${rows}x${bucket}`,
  output: 2 * bucket,
  source: `function(x, w) {
    let low = 0;
    if (this.thread.x >= ${bucket}) { low = 1; }
    const k = this.thread.x - low * ${bucket};
    let s = 0;
    ${overRows(rows, 'const q = x[j][k]; const h = Math.floor(q * 0.00390625); s += w[j] * (h + low * (q - 257 * h));')}
    return s;
  }`,
});

/** Rows that a bucket is folded into for `squareSums`: each output adds up this many elements, well under 4,096. */
export const SQUARE_ROWS = 64;

/** sum_j x[j][k]^2 over a bucket folded into 64 rows; the partial sums are added in f64 outside. */
export const squareSums = (bucket: number): KernelSource => ({
  name: `squareSums ${bucket}`,
  output: bucket / SQUARE_ROWS,
  source: `function(x) {
    let s = 0;
    ${overRows(SQUARE_ROWS, 'const v = x[j][this.thread.x]; s += v * v;')}
    return s;
  }`,
});
