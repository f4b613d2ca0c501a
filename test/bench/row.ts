/** One measured figure of a bench. */
export interface BenchRow {
  /** Name of the bench module. */
  readonly bench: string;
  /** What was measured: operation, size, backend, load. */
  readonly case: string;
  readonly value: number;
  /** Unit of `value`, such as `ms` or `entries/s`. */
  readonly unit: string;
  /** What `value` is compared with: something measured in the same run. */
  readonly baseline: string;
  /** `value` over the baseline's value. */
  readonly ratio: number;
  /** Samples behind `value`. */
  readonly n: number;
}
