import type { KernelSource } from './source.ts';

/** Kernels with one output an element. */

/** acc + w x. A GPU may fuse the two operations and so skip one rounding; WebAssembly may not. */
export const axpy = (bucket: number): KernelSource => ({
  name: `axpy ${bucket}`,
  output: bucket,
  source: 'function(acc, x, w) { return acc[this.thread.x] + w * x[this.thread.x]; }',
});

/** clamp(x s, -c, c). */
export const scaleClip = (bucket: number): KernelSource => ({
  name: `scaleClip ${bucket}`,
  output: bucket,
  source: 'function(x, s, c) { return Math.min(Math.max(x[this.thread.x] * s, -c), c); }',
});

/**
 * clamp(floor(x * inverse + u), -limit, limit). `inverse` is a power of two, so the product is exact and only the
 * sum rounds, fused or not. `bound` = (limit + 1) * scale cuts what would overflow, without touching the result;
 * `negligible` quanta count as zero, above anything a device may flush. Math.round is wrong in gpu.js, floor is right.
 */
export const quantise = (bucket: number): KernelSource => ({
  name: `quantise ${bucket}`,
  output: bucket,
  source: `function(x, u, inverse, bound, limit, negligible) {
    let t = Math.min(Math.max(x[this.thread.x], -bound), bound) * inverse;
    if (Math.abs(t) < negligible) { t = 0; }
    return Math.min(Math.max(Math.floor(t + u[this.thread.x]), -limit), limit);
  }`,
});

/** q * scale: exact for a power of two. */
export const dequantise = (bucket: number): KernelSource => ({
  name: `dequantise ${bucket}`,
  output: bucket,
  source: 'function(q, scale) { return q[this.thread.x] * scale; }',
});

/** e^x; softmax joins the rows' sums in f64 outside. */
export const exponential = (bucket: number): KernelSource => ({
  name: `exponential ${bucket}`,
  output: bucket,
  source: 'function(x) { return Math.exp(x[this.thread.x]); }',
});

/**
 * v = keep p + share influence + lift. Outputs 0..bucket-1 are v, outputs bucket..2*bucket-1 are v ln v
 * (0 where v is 0), from which the entropy is joined in f64 outside.
 */
export const entropyStep = (bucket: number): KernelSource => ({
  name: `entropyStep ${bucket}`,
  output: 2 * bucket,
  source: `function(p, influence, lift, keep, share) {
    let second = 0;
    if (this.thread.x >= ${bucket}) { second = 1; }
    const k = this.thread.x - second * ${bucket};
    const v = keep * p[k] + share * influence[k] + lift[k];
    let result = v;
    if (second > 0) { result = 0; if (v > 0) { result = v * Math.log(v); } }
    return result;
  }`,
});
