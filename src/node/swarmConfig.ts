import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import {
  AGGREGATION_RULES,
  type AggregationRule,
  ENCODINGS,
  type Encoding,
  MAX_PARAMETERS,
  MIN_TOPK_SHARE,
  SCHEDULES,
  type Schedule,
  StarlingError,
  type TensorSpec,
  WITHOUT_QUORUM,
  type WithoutQuorum,
} from '../spec/index.ts';
import { readToml } from './config.ts';
import { checkKeys, validate } from './configKeys.ts';

/** What a founder decides: `swarm create` makes the genesis and the initial model from it. */
export interface SwarmConfig {
  readonly name: string;
  readonly model:
    | { readonly kind: 'mlp' /** Units a layer, input first. */; readonly layers: readonly number[]; readonly seed: number }
    | {
        readonly kind: 'tensors';
        readonly tensors: readonly TensorSpec[] /** Absolute path of the initial values, safetensors. */;
        readonly initial: string;
      };
  readonly aggregation: AggregationRule;
  readonly dtype: 'int16' | 'int8';
  readonly encoding: Encoding;
  readonly topkShare: number;
  readonly schedule: Schedule;
  readonly withoutQuorum: WithoutQuorum;
  readonly eta: number;
  readonly lambda: number;
  readonly clipNorm: number;
  readonly maxSamples: number;
  readonly epochDeadlineMs: number;
  readonly minDeadlineMs: number;
  readonly missEpochs: number;
  readonly admission: 'open' | 'invite';
  readonly voting: 'invited' | 'open';
  readonly snapshotEpochs: number;
  readonly retainEpochs: number;
  /** First scale of every tensor (one number) or of each in order: scale = 2^exponent. */
  readonly scaleExponent: number | readonly number[];
}

/** configs/default.toml of this package: the digits model. */
export const DEFAULT_SWARM_CONFIG = fileURLToPath(new URL('../../configs/default.toml', import.meta.url));

/** Rules that take what is in the middle of each coordinate: of the largest values of honest rows few share a place. */
const BY_COORDINATE: readonly AggregationRule[] = ['median', 'trimmed-mean'];

const Positive = z.number().positive();
/** Exponents of normal f32 scales whose products with int16 stay normal and finite. */
const Exponent = z.int().min(-100).max(100);
const Size = z.int().min(1).max(MAX_PARAMETERS);

const Model = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('mlp'),
    layers: z.array(Size).min(2).max(64),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(1),
  }),
  z.strictObject({
    kind: z.literal('tensors'),
    tensors: z
      .array(z.strictObject({ name: z.string().min(1).max(256), shape: z.array(Size).max(8) }))
      .min(1)
      .max(10_000),
    initial: z.string().min(1),
  }),
]);

/** Defaults are configs/default.toml's; the reasons stand there. */
const SwarmSchema = z.strictObject({
  name: z.string().min(1).max(64),
  aggregation: z.enum(AGGREGATION_RULES).default('mean'),
  dtype: z.enum(['int16', 'int8']).default('int16'),
  encoding: z.enum(ENCODINGS).default('dense'),
  topk_share: z.number().min(MIN_TOPK_SHARE).max(1).default(0.05),
  schedule: z.enum(SCHEDULES).default('auto'),
  without_quorum: z.enum(WITHOUT_QUORUM).default('decide'),
  eta: Positive.max(10).default(1),
  lambda: Positive.max(100).default(1),
  clip_norm: Positive.default(10),
  max_samples: z
    .int()
    .min(1)
    .max(2 ** 32)
    .default(1_000_000),
  epoch_deadline_ms: z.int().min(100).default(10_000),
  min_deadline_ms: z.int().min(10).default(1_000),
  miss_epochs: z.int().min(1).default(10),
  admission: z.enum(['open', 'invite']).default('open'),
  voting: z.enum(['invited', 'open']).default('invited'),
  snapshot_epochs: z.int().min(1).default(10),
  retain_epochs: z.int().min(1).default(100),
  scale_exponent: z.union([Exponent, z.array(Exponent).min(1)]).default(-12),
  model: Model,
});

/** Reads and checks a swarm's TOML file. Throws BAD_CONFIG naming file and key. */
export function loadSwarmConfig(path: string): SwarmConfig {
  const table = readToml(path);
  checkKeys(table, Object.keys(SwarmSchema.shape), path);
  const config = validate(SwarmSchema, table, path);
  if (config.min_deadline_ms > config.epoch_deadline_ms)
    throw new StarlingError('BAD_CONFIG', `${path}: min_deadline_ms: must not exceed epoch_deadline_ms`, {
      field: 'min_deadline_ms',
      source: path,
      fix: `set it to at most ${config.epoch_deadline_ms}`,
    });
  if (config.encoding === 'topk' && BY_COORDINATE.includes(config.aggregation))
    throw new StarlingError('BAD_CONFIG', `${path}: encoding: topk leaves ${config.aggregation} nothing but zeros`, {
      field: 'encoding',
      source: path,
      fix: 'choose a rule that looks at whole rows, such as multi-krum, or encoding = "dense"',
    });
  const model = config.model.kind === 'mlp' ? config.model : { ...config.model, initial: resolve(dirname(path), config.model.initial) };
  return {
    name: config.name,
    model,
    aggregation: config.aggregation,
    dtype: config.dtype,
    encoding: config.encoding,
    topkShare: config.topk_share,
    schedule: config.schedule,
    withoutQuorum: config.without_quorum,
    eta: config.eta,
    lambda: config.lambda,
    clipNorm: config.clip_norm,
    maxSamples: config.max_samples,
    epochDeadlineMs: config.epoch_deadline_ms,
    minDeadlineMs: config.min_deadline_ms,
    missEpochs: config.miss_epochs,
    admission: config.admission,
    voting: config.voting,
    snapshotEpochs: config.snapshot_epochs,
    retainEpochs: config.retain_epochs,
    scaleExponent: config.scale_exponent,
  };
}
