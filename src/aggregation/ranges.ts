import type { TensorSpan } from './layout.ts';

/** Elements start..end of one scale, and the power of two that brings their squares to units of 4^lowest. */
export interface ScaledRange {
  readonly start: number;
  readonly end: number;
  readonly shift: bigint;
}

/** The tensors in blocks of so many elements at most; neighbours of one scale are taken together. */
export function rangesOf(spans: readonly TensorSpan[], exponents: readonly number[], block: number): ScaledRange[] {
  const lowest = Math.min(...exponents);
  const whole: ScaledRange[] = [];
  spans.forEach(({ start, end }, t) => {
    const shift = BigInt(2 * ((exponents[t] as number) - lowest));
    const before = whole.at(-1);
    if (before?.shift === shift) whole.splice(-1, 1, { start: before.start, end, shift });
    else whole.push({ start, end, shift });
  });
  return whole.flatMap(({ start, end, shift }) => {
    const blocks = Math.ceil((end - start) / block);
    return Array.from({ length: blocks }, (_, b) => ({ start: start + b * block, end: Math.min(start + (b + 1) * block, end), shift }));
  });
}
