import type { TensorSpan } from './layout.ts';

export interface AverageTerms {
  /** S = sum W_i q_i. */
  readonly sum: Int32Array;
  /** D = sum of the survivors' weights. */
  readonly weightTotal: number;
  readonly eta: number;
  /** One exponent a tensor: scale = 2^exponent. */
  readonly exponents: readonly number[];
}

/**
 * theta' = fround(theta + ((eta * S) * scale) / D) in doubles, in that order (PROTOCOL section 6), so that every
 * node rounds alike. D = 0 leaves the model as it was. Returns a new array of the model's length.
 */
export function applyAverage(theta: Float32Array, spans: readonly TensorSpan[], terms: AverageTerms): Float32Array {
  const next = new Float32Array(theta.length);
  applyRange(next, theta, spans, terms, 0, theta.length);
  return next;
}

/** The same for the elements [start, end), which become those of `next`. */
export function applyRange(
  next: Float32Array,
  theta: Float32Array,
  spans: readonly TensorSpan[],
  terms: AverageTerms,
  start: number,
  end: number,
): void {
  if (terms.weightTotal === 0) {
    next.set(theta.subarray(start, end), start);
    return;
  }
  spans.forEach((span, t) => {
    const scale = 2 ** (terms.exponents[t] as number);
    for (let k = Math.max(start, span.start); k < Math.min(end, span.end); k++) {
      next[k] = Math.fround((theta[k] as number) + (terms.eta * (terms.sum[k] as number) * scale) / terms.weightTotal);
    }
  });
}
