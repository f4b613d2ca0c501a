import { QMAX, type UpdateDtype } from '../spec/index.ts';

/** Headroom of the next scale over the reported maxima (PROTOCOL section 4). */
const HEADROOM = 1.25;

/**
 * Scale exponent of one tensor for the next epoch (PROTOCOL section 4): the power of two at or above
 * 1.25 x median(max |x|) / qmax, moving by at most one step; no report, or a median of zero, keeps it.
 * `maxAbs`: the roster's reports in units of the present scale.
 */
export function nextScaleExponent(exponent: number, maxAbs: readonly number[], dtype: UpdateDtype): number {
  if (maxAbs.length === 0) return exponent;
  const sorted = [...maxAbs].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? (sorted[mid] as number) : ((sorted[mid] as number) + (sorted[mid - 1] as number)) / 2;
  if (median === 0) return exponent;
  const wanted = (HEADROOM * median) / QMAX[dtype];
  // `wanted` is in units of the present scale: 1 means it fits exactly, so only comparisons with powers of two matter.
  if (wanted > 1) return exponent + 1;
  return wanted <= 0.5 ? exponent - 1 : exponent;
}
