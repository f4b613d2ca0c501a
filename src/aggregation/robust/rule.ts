import type { IntRow } from '../../compute/api.ts';
import type { TensorSpan } from '../layout.ts';
import type { RuleCompute } from './pieces.ts';

/** What a rule aggregates: the rows of a roster, whole, or one segment of all of them (`join`). */
export interface WeighedRows {
  /** K rows of one integer type and of P elements, within +-32,767 (int16) or +-127 (int8). */
  readonly rows: readonly IntRow[];
  /** K integers from 1, total at most 65,536. */
  readonly weights: readonly number[];
  /** Tensors, covering 0..P in order. */
  readonly spans: readonly TensorSpan[];
  /** One a tensor: an integer q of it stands for q * 2^exponent. Distances count every tensor in its own scale. */
  readonly exponents: readonly number[];
  /**
   * Where the rows are one segment of longer ones: adds up, element by element, what the owners of all segments found for
   * theirs. Each owner then runs the same rule on its own segment, calls this equally often, and takes the same decisions.
   * `exponents` name the same tensors for all of them; a tensor outside of a segment has an empty span there.
   */
  join?(partial: readonly bigint[]): Promise<readonly bigint[]>;
}

/** The model moves by eta * sum * scale / weightTotal (`applyAverage`); |sum| / weightTotal stays within the rows' type. */
export interface Aggregated {
  /** S, P elements. */
  readonly sum: Int32Array;
  /** D, 1..65,536; 0 where there was nothing to aggregate. */
  readonly weightTotal: number;
}

/**
 * A rule that answers in integers alone, so that every node gets the same bytes on every backend. K is at least 1. The
 * order of the rows settles ties between them and nothing else: a roster has one order, by entry id, on every node.
 */
export type RobustRule = (compute: RuleCompute, input: WeighedRows) => Promise<Aggregated>;

/** Liars that a rule is made for among `rows` rows: as many as the votes bear among voters, floor((K-1)/3) (PROTOCOL section 2). */
export const liarsAmong = (rows: number): number => Math.floor((rows - 1) / 3);
