import { QMAX, SCALE_EXPONENT_MAX, SCALE_EXPONENT_MIN, type UpdateDtype } from '../spec/index.ts';
import { twiceMedian } from './median.ts';

/** Headroom of the next scale over the reported maxima (PROTOCOL section 4). */
const HEADROOM = 1.25;

/**
 * Scale exponent of one tensor for the next epoch (PROTOCOL section 4): the power of two at or above
 * 1.25 x median(max |x|) / qmax, moving by at most one step and staying within what a genesis may name; no report,
 * or a median of zero, keeps it. `maxAbs`: the roster's reports in units of the present scale.
 */
export function nextScaleExponent(exponent: number, maxAbs: readonly number[], dtype: UpdateDtype): number {
  const median = Number(twiceMedian(maxAbs.map(BigInt))) / 2;
  if (median === 0) return exponent;
  const wanted = (HEADROOM * median) / QMAX[dtype];
  // `wanted` is in units of the present scale: 1 means it fits exactly, so only comparisons with powers of two matter.
  if (wanted > 1) return Math.min(exponent + 1, SCALE_EXPONENT_MAX);
  return wanted <= 0.5 ? Math.max(exponent - 1, SCALE_EXPONENT_MIN) : exponent;
}
