import type { TensorSpec } from '../spec/index.ts';
import { elementsOf } from '../wire/index.ts';

/** Where a tensor lies in the concatenation of all tensors; offsets and sizes in elements. */
export interface TensorSpan {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Spans of the tensors in genesis order. */
export function layoutOf(tensors: readonly TensorSpec[]): readonly TensorSpan[] {
  let at = 0;
  return tensors.map((t) => {
    const start = at;
    at += elementsOf(t);
    return { name: t.name, start, end: at };
  });
}
