import type { Compute } from '../compute/api.ts';

export type EntropyCompute = Pick<Compute, 'entropyStep'>;

/** [0, 1]. */
export const clamp = (x: number): number => Math.min(1, Math.max(0, x));

/** cert(p) = 1 - H(p)/ln|p|, and 1 for fewer than two options. `weights`: positive, any scale. In [0, 1]. */
export async function certainty(weights: readonly number[], compute: EntropyCompute): Promise<number> {
  if (weights.length < 2) return 1;
  const total = weights.reduce((sum, x) => sum + x, 0);
  const p = Float32Array.from(weights, (x) => x / total);
  // A step that mixes nothing in leaves p as it is and tells its entropy.
  const { entropy } = await compute.entropyStep({ p, influence: new Float32Array(p.length), fallback: -1, a: 0, c: 0 });
  return clamp(1 - entropy / Math.log(p.length));
}
