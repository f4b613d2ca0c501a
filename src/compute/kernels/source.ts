/** A generated gpu.js kernel: `name` is unique to the source, `output` is the number of f32 that one run returns. */
export interface KernelSource {
  readonly name: string;
  readonly output: number;
  readonly source: string;
}
