import { StarlingError } from '../spec/index.ts';
import { type Examples, type Layers, Mlp, parameterCount } from './mlp.ts';
import { Random } from './random.ts';

export interface TrainOptions {
  /** Times each sample is seen. */
  readonly passes: number;
  /** Samples a step; the last of a pass may be smaller. */
  readonly batch: number;
  /** Step size on the batch's mean gradient. */
  readonly lr: number;
  /** Orders the samples. */
  readonly seed: number;
}

export interface Trained {
  readonly params: Float32Array;
  /** Mean cross-entropy over the last pass, nats, each sample measured before its step. */
  readonly loss: number;
}

/**
 * Mini-batch SGD, theta <- theta - lr * (mean gradient of the batch), in f64 over f32 parameters. `params` is left as it was. Throws BAD_SHAPE where sizes disagree, NON_FINITE where training diverged.
 */
export function trainPasses(layers: Layers, params: Float32Array, data: Examples, options: TrainOptions): Trained {
  checkSizes(layers, params, data);
  const mlp = new Mlp(layers);
  const trained = params.slice();
  const gradient = new Float64Array(params.length);
  let loss = 0;
  for (let pass = 0; pass < options.passes; pass++) {
    const order = Random.from(options.seed, 'order', pass).permutation(data.n);
    loss = 0;
    for (let start = 0; start < data.n; start += options.batch) {
      const end = Math.min(start + options.batch, data.n);
      for (let i = start; i < end; i++) loss += mlp.accumulate(trained, gradient, data, order[i] as number);
      step(trained, gradient, options.lr / (end - start));
    }
    loss /= data.n;
  }
  if (!Number.isFinite(loss) || !trained.every(Number.isFinite))
    throw new StarlingError('NON_FINITE', 'training diverged: the loss or a parameter is not a finite number', {
      field: 'lr',
      fix: `train with a step size below ${options.lr}`,
    });
  return { params: trained, loss };
}

/** One step; clears the gradient for the next batch. */
function step(params: Float32Array, gradient: Float64Array, rate: number): void {
  for (let k = 0; k < params.length; k++) {
    params[k] = (params[k] as number) - rate * (gradient[k] as number);
    gradient[k] = 0;
  }
}

export interface Evaluation {
  /** Share of samples whose largest logit is their class, 0..1. */
  readonly accuracy: number;
  /** Mean cross-entropy in nats. */
  readonly loss: number;
}

/** Measures `params` on `data`, or on its first `limit` samples. Throws BAD_SHAPE; no samples give 0 and 0. */
export function evaluate(layers: Layers, params: Float32Array, data: Examples, limit = data.n): Evaluation {
  checkSizes(layers, params, data);
  const mlp = new Mlp(layers);
  const n = Math.min(limit, data.n);
  let hits = 0;
  let loss = 0;
  for (let row = 0; row < n; row++) {
    const logits = mlp.forward(params, data.x, row);
    const most = logits.reduce((a, b) => Math.max(a, b));
    const label = data.y[row] as number;
    if (logits.indexOf(most) === label) hits++;
    loss += most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) - (logits[label] as number);
  }
  return n === 0 ? { accuracy: 0, loss: 0 } : { accuracy: hits / n, loss: loss / n };
}

function checkSizes(layers: Layers, params: Float32Array, data: Examples): void {
  const features = layers[0] as number;
  const classes = layers.at(-1) as number;
  if (params.length !== parameterCount(layers))
    throw new StarlingError('BAD_SHAPE', `${params.length} parameters, the layers ${layers.join('-')} need ${parameterCount(layers)}`, {
      field: 'params',
      fix: 'take parameters and layers from the same model',
    });
  if (data.x.length !== data.n * features || data.y.length !== data.n || data.y.some((label) => label >= classes))
    throw new StarlingError('BAD_SHAPE', `the samples do not fit a model of ${features} inputs and ${classes} classes`, {
      field: 'data',
      fix: 'use the data set that the swarm was founded for: its model is shown by `starling swarm show`',
    });
}
