import { StarlingError } from '../spec/index.ts';
import type { Dataset } from './datasets/index.ts';
import type { Examples } from './mlp.ts';
import { Random } from './random.ts';

export interface ShardOptions {
  /** Which shard, from 0. */
  readonly index: number;
  readonly count: number;
  readonly seed: number;
  /**
   * 'label': whole classes, class c goes to shard c mod count (shards differ in size). 'dirichlet': equal sizes, each
   * shard's class mix drawn from Dirichlet(alpha) (Hsu, Qi, Brown, arXiv:1909.06335); small alpha, few classes.
   */
  readonly mode: 'label' | 'dirichlet';
  /** Concentration, > 0; used by 'dirichlet'. */
  readonly alpha: number;
}

/** Rows of the training split in shard `index`. Each node computes its own from the seed; no row is in two shards. Throws BAD_USAGE. */
export function shardRows(labels: Uint16Array, classes: number, options: ShardOptions): Uint32Array {
  checkOptions(labels.length, options);
  return options.mode === 'label' ? byLabel(labels, options) : byDirichlet(labels, classes, options);
}

/** The samples of shard `index`, copied out. Throws BAD_USAGE. */
export const shard = (dataset: Dataset, options: ShardOptions): Examples =>
  dataset.train.take(shardRows(dataset.train.y, dataset.classes, options));

function byLabel(labels: Uint16Array, { index, count }: ShardOptions): Uint32Array {
  const rows: number[] = [];
  labels.forEach((label, row) => {
    if (label % count === index) rows.push(row);
  });
  return Uint32Array.from(rows);
}

/**
 * Shard after shard draws its samples: a class by the shard's mix, then a random unused sample of it. A class that
 * has run out leaves the mix (Hsu, Qi, Brown, appendix); where a whole mix has run out, the class is drawn by what is left.
 */
function byDirichlet(labels: Uint16Array, classes: number, { index, count, seed, alpha }: ShardOptions): Uint32Array {
  const random = Random.from(seed, 'dirichlet');
  const pools: number[][] = Array.from({ length: classes }, () => []);
  for (const row of random.permutation(labels.length)) (pools[labels[row] as number] as number[]).push(row);
  const size = Math.floor(labels.length / count);
  let rows = new Uint32Array(0);
  for (let shard = 0; shard <= index; shard++) {
    const mix = random.dirichlet(alpha, classes);
    rows = Uint32Array.from({ length: size }, () => (pools[drawClass(mix, pools, random.uniform())] as number[]).pop() as number);
  }
  return rows;
}

function drawClass(mix: Float64Array, pools: readonly number[][], uniform: number): number {
  const available = Array.from(mix, (share, c) => ((pools[c] as number[]).length > 0 ? share : 0));
  const weights = available.some((share) => share > 0) ? available : pools.map((pool) => pool.length);
  let left = uniform * weights.reduce((a, b) => a + b, 0);
  // The last class with any weight takes what rounding leaves over.
  let drawn = 0;
  for (const [c, weight] of weights.entries()) {
    if (weight === 0) continue;
    drawn = c;
    left -= weight;
    if (left < 0) break;
  }
  return drawn;
}

function checkOptions(samples: number, { index, count, alpha }: ShardOptions): void {
  if (!Number.isInteger(count) || count < 1 || count > samples)
    throw new StarlingError('BAD_USAGE', `${count} shards of ${samples} samples`, {
      field: 'shard',
      fix: `ask for 1 to ${samples} shards`,
    });
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw new StarlingError('BAD_USAGE', `there is no shard ${index} of ${count}`, {
      field: 'shard',
      fix: `shards count from 0: the last is ${count - 1}/${count}`,
    });
  if (!(alpha > 0 && Number.isFinite(alpha)))
    throw new StarlingError('BAD_USAGE', `alpha is ${alpha}`, {
      field: 'alpha',
      fix: 'give a number above 0, e.g. 0.3 (uneven) or 100 (even)',
    });
}
