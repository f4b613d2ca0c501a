import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  type Examples,
  evaluate,
  initialise,
  layersOf,
  Mlp,
  parameterCount,
  Random,
  tensorsOf,
  trainPasses,
} from '../../../src/learning/index.ts';

interface Vectors {
  layers: number[];
  x: number[];
  y: number[];
  params: number[];
  loss: number;
  accuracy: number;
  gradient: number[];
  lr: number;
  steps: number;
  paramsAfter: number[];
  lastLoss: number;
}
const vectors = JSON.parse(readFileSync(new URL('../../vectors/mlp-sklearn.json', import.meta.url), 'utf8')) as Vectors;
const data: Examples = { n: vectors.y.length, x: Float32Array.from(vectors.x), y: Uint16Array.from(vectors.y) };
const params = Float32Array.from(vectors.params);

const furthest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, v, k) => Math.max(most, Math.abs(v - (b[k] as number))), Math.abs(a.length - b.length));

const gradientOf = (layers: number[], at: Float32Array, samples: Examples): { loss: number; gradient: Float64Array } => {
  const mlp = new Mlp(layers);
  const gradient = new Float64Array(at.length);
  let loss = 0;
  for (let row = 0; row < samples.n; row++) loss += mlp.accumulate(at, gradient, samples, row) / samples.n;
  return { loss, gradient: gradient.map((g) => g / samples.n) };
};

describe('Mlp', () => {
  it('names and orders its tensors as PyTorch does', () => {
    assert.deepEqual(tensorsOf([64, 32, 10]), [
      { name: 'layers.0.weight', shape: [32, 64] },
      { name: 'layers.0.bias', shape: [32] },
      { name: 'layers.1.weight', shape: [10, 32] },
      { name: 'layers.1.bias', shape: [10] },
    ]);
    assert.equal(parameterCount([64, 32, 10]), 2_410);
    assert.deepEqual(layersOf(tensorsOf([5, 6, 4, 3])), [5, 6, 4, 3]);
  });

  it('refuses tensors of other models', () => {
    const shapes = [[], [{ name: 'conv.weight', shape: [8, 1, 3, 3] }], tensorsOf([4, 3]).slice(0, 1), tensorsOf([4, 3]).reverse()];
    for (const tensors of shapes) assert.throws(() => layersOf(tensors), { code: 'BAD_SHAPE' });
    const broken = [...tensorsOf([4, 3]), ...tensorsOf([2, 2])];
    assert.throws(() => layersOf(broken), { code: 'BAD_SHAPE' });
  });

  it('has the loss and gradient of scikit-learn', () => {
    const { loss, gradient } = gradientOf(vectors.layers, params, data);
    assert.ok(Math.abs(loss - vectors.loss) < 1e-9, `${loss} against ${vectors.loss}`);
    assert.ok(furthest(gradient, vectors.gradient) < 1e-9);
  });

  it('agrees with finite differences', () => {
    const { gradient } = gradientOf(vectors.layers, params, data);
    const h = 2 ** -10;
    for (let k = 0; k < params.length; k += 3) {
      const moved = (by: number): number => gradientOf(vectors.layers, params.with(k, (params[k] as number) + by), data).loss;
      const slope = (moved(h) - moved(-h)) / (2 * h);
      assert.ok(Math.abs(slope - (gradient[k] as number)) < 1e-4, `parameter ${k}: ${slope} against ${gradient[k]}`);
    }
  });

  it('initialises within the He bound, biases zero, from the seed', () => {
    const layers = [24, 50, 3];
    const first = initialise(layers, 1);
    assert.deepEqual(first, initialise(layers, 1));
    assert.notDeepEqual(first, initialise(layers, 2));
    const weights = first.subarray(0, 24 * 50);
    const most = weights.reduce((m, w) => Math.max(m, Math.abs(w)), 0);
    assert.ok(most <= 0.5 && most > 0.49, `${most}`);
    assert.ok(first.subarray(24 * 50, 25 * 50).every((bias) => bias === 0));
  });
});

describe('trainPasses', () => {
  it('ends where five full-batch steps of scikit-learn end', () => {
    const trained = trainPasses(vectors.layers, params, data, { passes: vectors.steps, batch: data.n, lr: vectors.lr, seed: 1 });
    // f32 parameters against f64 ones: half an ulp a step.
    assert.ok(furthest(trained.params, vectors.paramsAfter) < 2e-6);
    assert.ok(Math.abs(trained.loss - vectors.lastLoss) < 1e-6);
    assert.deepEqual(params, Float32Array.from(vectors.params), 'its argument is left alone');
  });

  it('repeats from its seed and sees every sample once a pass', () => {
    const options = { passes: 2, batch: 4, lr: 0.1, seed: 5 };
    const first = trainPasses(vectors.layers, params, data, options).params;
    assert.deepEqual(first, trainPasses(vectors.layers, params, data, options).params);
    assert.notDeepEqual(first, trainPasses(vectors.layers, params, data, { ...options, seed: 6 }).params);
    // At a vanishing step size one pass moves by lr times the sum of the batches' mean gradients.
    const { gradient } = gradientOf(vectors.layers, params, data);
    const lr = 2 ** -10;
    const moved = trainPasses(vectors.layers, params, data, { passes: 1, batch: 3, lr, seed: 1 }).params;
    const expected = params.map((p, k) => p - lr * 3 * (gradient[k] as number));
    assert.ok(furthest(moved, expected) < 1e-4);
  });

  it('says so when training diverges', () => {
    assert.throws(() => trainPasses(vectors.layers, params, data, { passes: 40, batch: 1, lr: 1e30, seed: 1 }), { code: 'NON_FINITE' });
  });

  it('refuses data and parameters of other shapes', () => {
    const options = { passes: 1, batch: 3, lr: 0.1, seed: 1 };
    assert.throws(() => trainPasses([5, 6, 4, 4], params, data, options), { code: 'BAD_SHAPE' });
    assert.throws(() => trainPasses(vectors.layers, params, { ...data, n: 8 }, options), { code: 'BAD_SHAPE' });
    assert.throws(() => trainPasses(vectors.layers, params, { ...data, y: data.y.map(() => 3) }, options), { code: 'BAD_SHAPE' });
  });
});

describe('evaluate', () => {
  it('has the accuracy and loss of scikit-learn', () => {
    const measured = evaluate(vectors.layers, params, data);
    assert.equal(measured.accuracy, vectors.accuracy);
    assert.ok(Math.abs(measured.loss - vectors.loss) < 1e-9);
  });

  it('measures the first samples alone where asked, and nothing as nothing', () => {
    const one = { n: 1, x: data.x.slice(0, 5), y: data.y.slice(0, 1) };
    assert.deepEqual(evaluate(vectors.layers, params, data, 1), evaluate(vectors.layers, params, one));
    assert.deepEqual(evaluate(vectors.layers, params, { n: 0, x: new Float32Array(0), y: new Uint16Array(0) }), { accuracy: 0, loss: 0 });
  });
});

describe('speed', () => {
  it('trains MLP 784-64-10 on 2,000 samples for two passes within seconds', () => {
    const random = Random.from('speed');
    const big = {
      n: 2_000,
      x: Float32Array.from({ length: 2_000 * 784 }, () => random.uniform()),
      y: Uint16Array.from({ length: 2_000 }, () => random.below(10)),
    };
    const start = performance.now();
    trainPasses([784, 64, 10], initialise([784, 64, 10], 1), big, { passes: 2, batch: 8, lr: 0.1, seed: 1 });
    // Alone on this class of machine 0.3 s; the bound leaves room for a busy one.
    assert.ok(performance.now() - start < 5_000);
  });
});
