import { InvalidArgumentError } from 'commander';
import type { LearnerOptions, ShardOptions } from '../../learning/index.ts';
import { LEARNER_DEFAULTS, Random } from '../../learning/index.ts';

/** What `starling train` is asked to do. */
export interface TrainPlan {
  /** A bundled name or a path. */
  readonly dataset: string;
  readonly shard: ShardOptions;
  readonly learner: LearnerOptions;
  /** Epochs to take part in, from the swarm's latest on. */
  readonly epochs: number;
  /** Begins once this many trainers are attached anywhere in the swarm. */
  readonly minTrainers: number;
  /** Trains once more afterwards without the swarm, from the same start, to compare. */
  readonly alone: boolean;
}

export interface TrainFlags {
  readonly dataset: string;
  readonly shard?: { readonly index: number; readonly count: number };
  readonly alpha: number;
  readonly byLabel?: boolean;
  readonly epochs: number;
  readonly seed: number;
  readonly passes?: number;
  readonly lr?: number;
  readonly batch?: number;
  readonly samplesPerEpoch?: number;
  readonly minTrainers: number;
  readonly compareAlone?: boolean;
}

export function planOf(flags: TrainFlags): TrainPlan {
  const { index, count } = flags.shard ?? { index: 0, count: 1 };
  return {
    dataset: flags.dataset,
    shard: { index, count, seed: flags.seed, alpha: flags.alpha, mode: flags.byLabel === true ? 'label' : 'dirichlet' },
    learner: {
      passes: flags.passes ?? LEARNER_DEFAULTS.passes,
      lr: flags.lr ?? LEARNER_DEFAULTS.lr,
      batch: flags.batch ?? LEARNER_DEFAULTS.batch,
      samplesPerEpoch: flags.samplesPerEpoch ?? LEARNER_DEFAULTS.samplesPerEpoch,
      // Nodes that share a seed share the split, but not the order in which they see their samples.
      seed: Random.from(flags.seed, 'learner', index).uint32(),
    },
    epochs: flags.epochs,
    minTrainers: flags.minTrainers,
    alone: flags.compareAlone === true,
  };
}

/** Commander parser of `i/n`: shard i of n, i from 0. */
export function parseShard(text: string): { index: number; count: number } {
  const [, index, count] = /^(\d{1,9})\/(\d{1,9})$/.exec(text)?.map(Number) ?? [];
  if (index === undefined || count === undefined || index >= count)
    throw new InvalidArgumentError('expected i/n with i from 0 to n-1, e.g. 0/4 for the first of four');
  return { index, count };
}

/** Commander parser of a finite number above 0. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('expected a number above 0');
}
