import { selectionNetwork } from './networks.ts';
import type { KernelSource } from './source.ts';

/**
 * Sum over rows of each coordinate's values without the `trim` lowest and highest; the median is that of trimming all
 * but one or two. gpu.js has no local arrays, so each comparator is a statement: min and max are exact, only the sum
 * rounds, and that of up to 64 integers within int16 stays at or below 2^21, where f32 is exact.
 */
export function trimmedSum(rows: number, trim: number, bucket: number): KernelSource {
  const wires = Array.from({ length: rows }, (_, j) => `v${j}`);
  const statements = wires.map((name, j) => `const ${name} = x[${j}][this.thread.x];`);
  selectionNetwork(rows, trim).forEach(({ wires: [a, b], min, max }, c) => {
    const [low, high] = [wires[a] as string, wires[b] as string];
    if (min) {
      statements.push(`const l${c} = Math.min(${low}, ${high});`);
      wires[a] = `l${c}`;
    }
    if (max) {
      statements.push(`const h${c} = Math.max(${low}, ${high});`);
      wires[b] = `h${c}`;
    }
  });
  return {
    name: `trimmedSum ${rows}-${trim}x${bucket}`,
    output: bucket,
    source: `function(x) { ${statements.join(' ')} return ${wires.slice(trim, rows - trim).join(' + ')}; }`,
  };
}
