import type { TensorSpec } from '../spec/index.ts';

/** Where a tensor lies in the concatenation of all tensors; offsets and sizes in elements. */
export interface TensorSpan {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export const elementsOf = (t: TensorSpec): number => t.shape.reduce((a, b) => a * b, 1);

/** Spans of the tensors in genesis order. */
export function layoutOf(tensors: readonly TensorSpec[]): readonly TensorSpan[] {
  let at = 0;
  return tensors.map((t) => {
    const start = at;
    at += elementsOf(t);
    return { name: t.name, start, end: at };
  });
}

/** Number of parameters of a model. */
export const parametersOf = (tensors: readonly TensorSpec[]): number => tensors.reduce((n, t) => n + elementsOf(t), 0);
