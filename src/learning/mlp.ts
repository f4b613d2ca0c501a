import { StarlingError, type TensorSpec } from '../spec/index.ts';
import { Random } from './random.ts';

/**
 * A multilayer perceptron: linear layers with ReLU between them and softmax cross-entropy at the end.
 * `layers` lists widths, e.g. [64, 32, 10]. Parameters are ONE f32 row, tensors concatenated in the order of
 * `tensorsOf`: weight [out, in] then bias [out], layer by layer (PyTorch's nn.Linear).
 */
export type Layers = readonly number[];

/** Samples in rows: `x` holds n * features f32 in row-major order, `y` one class a sample. */
export interface Examples {
  readonly n: number;
  readonly x: Float32Array;
  readonly y: Uint16Array;
}

export function tensorsOf(layers: Layers): TensorSpec[] {
  const linear = layers.slice(1).map((out, i) => ({ out, in: layers[i] as number }));
  return linear.flatMap((shape, i) => [
    { name: `layers.${i}.weight`, shape: [shape.out, shape.in] },
    { name: `layers.${i}.bias`, shape: [shape.out] },
  ]);
}

/** The widths behind `tensors`. Throws BAD_SHAPE where they are not those of an MLP as `tensorsOf` writes them. */
export function layersOf(tensors: readonly TensorSpec[]): number[] {
  const weights = tensors.filter((_, i) => i % 2 === 0);
  const layers = [weights[0]?.shape[1] ?? 0, ...weights.map((weight) => weight.shape[0] ?? 0)];
  const text = (specs: readonly TensorSpec[]): string => specs.map(({ name, shape }) => `${name} [${shape.join(', ')}]`).join('; ');
  if (tensors.length === 0 || text(tensorsOf(layers)) !== text(tensors))
    throw new StarlingError('BAD_SHAPE', `the model is not a multilayer perceptron: ${text(tensors) || 'no tensors'}`, {
      field: 'tensors',
      fix: 'the built-in learner trains layers.0.weight [out, in], layers.0.bias [out], ...; use your own trainer for other models',
    });
  return layers;
}

export const parameterCount = (layers: Layers): number =>
  layers.slice(1).reduce((sum, out, i) => sum + out * ((layers[i] as number) + 1), 0);

/**
 * Weights uniform in +-sqrt(6 / in) (He et al., "Delving Deep into Rectifiers", 2015, uniform form), biases zero.
 * The same layers and seed give the same parameters.
 */
export function initialise(layers: Layers, seed: number): Float32Array {
  const random = Random.from(seed, 'initialise');
  const params = new Float32Array(parameterCount(layers));
  let at = 0;
  layers.slice(1).forEach((out, i) => {
    const bound = Math.sqrt(6 / (layers[i] as number));
    const weights = out * (layers[i] as number);
    for (let k = 0; k < weights; k++) params[at + k] = (2 * random.uniform() - 1) * bound;
    at += weights + out;
  });
  return params;
}

interface Linear {
  readonly in: number;
  readonly out: number;
  /** Offsets of weight and bias in the parameter row. */
  readonly weight: number;
  readonly bias: number;
}

/** Working memory for one network: no allocation inside the training loop. */
export class Mlp {
  readonly layers: Layers;
  readonly #linear: Linear[] = [];
  /** Activations after each layer, f64; [0] is the sample. */
  readonly #activation: Float64Array[];
  /** Derivative of the loss by each layer's pre-activation. */
  readonly #error: Float64Array[];

  constructor(layers: Layers) {
    this.layers = layers;
    this.#activation = layers.map((width) => new Float64Array(width));
    this.#error = layers.map((width) => new Float64Array(width));
    let at = 0;
    layers.slice(1).forEach((out, i) => {
      const width = layers[i] as number;
      this.#linear.push({ in: width, out, weight: at, bias: at + out * width });
      at += out * (width + 1);
    });
  }

  /** Logits of row `row`; the returned array is overwritten by the next call. */
  forward(params: Float32Array, x: Float32Array, row: number): Float64Array {
    const activation = this.#activation;
    const width = this.layers[0] as number;
    const input = activation[0] as Float64Array;
    for (let k = 0; k < width; k++) input[k] = x[row * width + k] as number;
    const last = this.#linear.length - 1;
    for (let i = 0; i <= last; i++)
      forwardLinear(params, this.#linear[i] as Linear, activation[i] as Float64Array, activation[i + 1] as Float64Array, i < last);
    return activation[last + 1] as Float64Array;
  }

  /**
   * Cross-entropy of one sample in nats; adds its gradient to `gradient` (one f64 a parameter).
   * Back-propagation after Rumelhart, Hinton and Williams (1986).
   */
  accumulate(params: Float32Array, gradient: Float64Array, data: Examples, row: number): number {
    const last = this.#linear.length - 1;
    const logits = this.forward(params, data.x, row);
    const error = this.#error[last + 1] as Float64Array;
    const loss = softmaxError(logits, data.y[row] as number, error);
    for (let i = last; i >= 0; i--) {
      const linear = this.#linear[i] as Linear;
      const below = i > 0 ? (this.#error[i] as Float64Array) : undefined;
      backwardLinear(params, gradient, linear, this.#activation[i] as Float64Array, this.#error[i + 1] as Float64Array, below);
    }
    return loss;
  }
}

/** output = relu?(W input + b). Four partial sums hide the latency of the addition. */
function forwardLinear(params: Float32Array, linear: Linear, input: Float64Array, output: Float64Array, relu: boolean): void {
  const width = linear.in;
  const unrolled = width - (width % 4);
  for (let o = 0; o < linear.out; o++) {
    const w = linear.weight + o * width;
    let a = params[linear.bias + o] as number;
    let b = 0;
    let c = 0;
    let d = 0;
    for (let k = 0; k < unrolled; k += 4) {
      a += (params[w + k] as number) * (input[k] as number);
      b += (params[w + k + 1] as number) * (input[k + 1] as number);
      c += (params[w + k + 2] as number) * (input[k + 2] as number);
      d += (params[w + k + 3] as number) * (input[k + 3] as number);
    }
    for (let k = unrolled; k < width; k++) a += (params[w + k] as number) * (input[k] as number);
    const sum = a + b + (c + d);
    output[o] = relu && sum < 0 ? 0 : sum;
  }
}

/** error = softmax(logits) - onehot(label); returns -log softmax(logits)[label]. Shifted by the maximum against overflow. */
function softmaxError(logits: Float64Array, label: number, error: Float64Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > most) most = logit;
  let total = 0;
  for (let k = 0; k < logits.length; k++) total += error[k] = Math.exp((logits[k] as number) - most);
  for (let k = 0; k < logits.length; k++) error[k] = (error[k] as number) / total;
  error[label] = (error[label] as number) - 1;
  return Math.log(total) - ((logits[label] as number) - most);
}

/** Adds dL/dW and dL/db; writes dL/d(pre-activation) of the layer below, if there is one (its ReLU's zeros pass nothing). */
function backwardLinear(
  params: Float32Array,
  gradient: Float64Array,
  linear: Linear,
  input: Float64Array,
  error: Float64Array,
  below: Float64Array | undefined,
): void {
  const width = linear.in;
  below?.fill(0);
  for (let o = 0; o < linear.out; o++) {
    const e = error[o] as number;
    if (e === 0) continue;
    const w = linear.weight + o * width;
    for (let k = 0; k < width; k++) gradient[w + k] = (gradient[w + k] as number) + e * (input[k] as number);
    if (below !== undefined) for (let k = 0; k < width; k++) below[k] = (below[k] as number) + e * (params[w + k] as number);
    gradient[linear.bias + o] = (gradient[linear.bias + o] as number) + e;
  }
  if (below !== undefined) for (let k = 0; k < width; k++) if (input[k] === 0) below[k] = 0;
}
