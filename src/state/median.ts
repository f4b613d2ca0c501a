/** Twice the median, so that it stays whole for an even count: the sum of the middle two. 0 for no values. */
export function twiceMedian(values: readonly bigint[]): bigint {
  if (values.length === 0) return 0n;
  const sorted = [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const mid = sorted.length >> 1;
  const upper = sorted[mid] as bigint;
  return upper + (sorted.length % 2 === 1 ? upper : (sorted[mid - 1] as bigint));
}
