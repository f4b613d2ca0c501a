import { aggregate, applyAverage, layoutOf, rosterWeights } from '../../src/aggregation/index.ts';
import { createReference } from '../../src/compute/index.ts';
import { type Dataset, type Examples, evaluate, initialise, Random, shard, tensorsOf, trainPasses } from '../../src/learning/index.ts';
import { type AggregationRule, TRUST_ONE } from '../../src/spec/index.ts';
import type { Attack } from './attackKinds.ts';

export const SWARM = {
  nodes: 10,
  epochs: 15,
  layers: [784, 16, 10],
  /** Samples that a node trains on in an epoch, once each. */
  samples: 400,
  batch: 10,
  lr: 0.1,
  /** Concentration of the shards' class mixes: a class makes up 0% to 23% of a node's images, where 10% would be even. */
  alpha: 10,
  /** As configs/default.toml: longer updates are scaled down by the sender, and refused by everyone else. */
  clipNorm: 10,
  /** Scale 2^-12, int16. */
  exponent: -12,
  seed: 1,
  /** Held-out samples that accuracy is measured on. */
  measured: 2_000,
} as const;

export type Shards = readonly Examples[];

/** One shard a node, no sample in two. */
export const shardsOf = (dataset: Dataset): Shards =>
  Array.from({ length: SWARM.nodes }, (_, index) =>
    shard(dataset, { index, count: SWARM.nodes, seed: SWARM.seed, mode: 'dirichlet', alpha: SWARM.alpha }),
  );

/**
 * Trains a swarm without a network: what nodes send, what a rule makes of it and how it is applied are the daemon's own
 * functions. The last `attackers` nodes attack. Every weight is alike and no node loses trust: the rule stands alone.
 * Returns the accuracy on held-out samples after the last epoch, 0..1.
 */
export async function accuracyOf(
  shards: Shards,
  test: Examples,
  rule: AggregationRule,
  attack: Attack,
  attackers: number,
): Promise<number> {
  const { layers, nodes, epochs, samples, batch, lr, seed, exponent } = SWARM;
  const compute = createReference();
  const spans = layoutOf(tensorsOf(layers));
  const exponents = spans.map(() => exponent);
  const weights = rosterWeights(shards.map(() => ({ samples, trust: TRUST_ONE })));
  let model = initialise(layers, seed);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const own = shards.map((whole, node) => {
      const part = samplesOf(whole, epoch * samples, samples);
      if (attack.flipsLabels && node >= nodes - attackers) part.y.set(part.y.map((label) => 9 - label));
      const { params } = trainPasses(layers, model, part, { passes: 1, batch, lr, seed: 1_000 * epoch + node });
      return params.map((v, k) => v - (model[k] as number));
    });
    const honest = own.slice(0, nodes - attackers);
    const updates = own.map((update, node) => {
      const random = Random.from(seed, 'attack', epoch, node);
      return node < nodes - attackers ? update : attack.update({ honest, own: update, random });
    });
    const rows = await Promise.all(updates.map((update, node) => quantised(clipped(update), Random.from(seed, 'round', epoch, node))));
    const terms = await aggregate(rule, compute, { rows, weights, spans, exponents });
    model = applyAverage(model, spans, { ...terms, eta: 1, exponents });
  }
  return evaluate(layers, model, test, SWARM.measured).accuracy;

  function quantised(update: Float32Array, random: Random): Promise<Int16Array> {
    const u = update.map(() => random.below(2 ** 24) / 2 ** 24);
    return compute.quantise(update, 2 ** exponent, u, 32_767);
  }
}

/** `count` samples from `start` on, from the beginning again at the end; copies. */
function samplesOf({ n, x, y }: Examples, start: number, count: number): Examples {
  const width = x.length / n;
  const part = { n: count, x: new Float32Array(count * width), y: new Uint16Array(count) };
  for (let i = 0; i < count; i++) {
    const row = (start + i) % n;
    part.x.set(x.subarray(row * width, (row + 1) * width), i * width);
    part.y[i] = y[row] as number;
  }
  return part;
}

/** A hair below the bound, which rounding must not pass. */
function clipped(update: Float32Array): Float32Array {
  const norm = Math.sqrt(update.reduce((sum, v) => sum + v * v, 0));
  const most = 0.99 * SWARM.clipNorm;
  return norm <= most ? update : update.map((v) => (v * most) / norm);
}
