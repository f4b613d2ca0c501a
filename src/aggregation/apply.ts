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
  const next = new Float32Array(theta);
  applyPart(next, 0, spans, terms);
  return next;
}

/** The same for a part of a model, in place: its elements from `first` on. */
export function applyPart(part: Float32Array, first: number, spans: readonly TensorSpan[], terms: AverageTerms): void {
  if (terms.weightTotal === 0) return;
  spans.forEach((span, t) => {
    const scale = 2 ** (terms.exponents[t] as number);
    const end = Math.min(span.end - first, part.length);
    for (let k = Math.max(0, span.start - first); k < end; k++) {
      const sum = terms.sum[first + k] as number;
      part[k] = Math.fround((part[k] as number) + (terms.eta * sum * scale) / terms.weightTotal);
    }
  });
}
