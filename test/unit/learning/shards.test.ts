import assert from 'node:assert/strict';
import fc from 'fast-check';
import { evaluate, initialise, LEARNER_DEFAULTS, loadDataset, localUpdate, shard, shardRows } from '../../../src/learning/index.ts';

const labelsOf = (n: number, classes: number): Uint16Array => Uint16Array.from({ length: n }, (_, i) => (i * 7) % classes);
const all = (
  labels: Uint16Array,
  classes: number,
  count: number,
  options: { seed: number; alpha: number; mode: 'label' | 'dirichlet' },
): Uint32Array[] => Array.from({ length: count }, (_, index) => shardRows(labels, classes, { ...options, index, count }));
const histogram = (labels: Uint16Array, rows: Uint32Array, classes: number): number[] =>
  Array.from({ length: classes }, (_, c) => rows.reduce((sum, row) => sum + (labels[row] === c ? 1 : 0), 0));

describe('shardRows', () => {
  it('gives equal, disjoint Dirichlet shards that repeat from the seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 10, max: 300 }),
        fc.integer(),
        fc.constantFrom(0.01, 0.3, 100),
        (count, n, seed, alpha) => {
          const labels = labelsOf(n, 5);
          const shards = all(labels, 5, count, { seed, alpha, mode: 'dirichlet' });
          assert.ok(shards.every((rows) => rows.length === Math.floor(n / count)));
          const rows = shards.flatMap((s) => [...s]);
          assert.equal(new Set(rows).size, rows.length);
          assert.ok(rows.every((row) => row < n));
          assert.deepEqual(shards, all(labels, 5, count, { seed, alpha, mode: 'dirichlet' }));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is skewed for a small alpha and even for a large one', () => {
    const labels = labelsOf(4_000, 10);
    // Mean over ten seeds of the largest class's share of shard 0. Dirichlet(0.1) over 10 classes: about 2/3, had classes no end.
    const largestShare = (alpha: number): number =>
      Array.from({ length: 10 }, (_, seed) => {
        const rows = shardRows(labels, 10, { index: 0, count: 8, seed, alpha, mode: 'dirichlet' });
        return Math.max(...histogram(labels, rows, 10)) / rows.length / 10;
      }).reduce((a, b) => a + b);
    assert.ok(largestShare(0.1) > 0.5, `${largestShare(0.1)}`);
    assert.ok(largestShare(1_000) < 0.16, `${largestShare(1_000)}`);
  });

  it('deals whole classes by label: each row in exactly one shard', () => {
    const labels = labelsOf(100, 10);
    const shards = all(labels, 10, 3, { seed: 1, alpha: 1, mode: 'label' });
    assert.equal(new Set(shards.flatMap((s) => [...s])).size, 100);
    shards.forEach((rows, index) => {
      for (const row of rows) assert.equal((labels[row] as number) % 3, index);
    });
  });

  it('refuses impossible shards', () => {
    const options = { index: 0, count: 4, seed: 1, alpha: 0.3, mode: 'dirichlet' as const };
    for (const wrong of [{ index: 4 }, { index: -1 }, { index: 0.5 }, { count: 0 }, { count: 101 }, { alpha: 0 }, { alpha: Number.NaN }])
      assert.throws(() => shardRows(labelsOf(100, 5), 5, { ...options, ...wrong }), { code: 'BAD_USAGE' });
  });
});

describe('localUpdate', () => {
  const layers = [64, 32, 10];

  it('samples a large shard anew each epoch, and its delta is new minus old', async () => {
    const data = shard(await loadDataset('digits'), { index: 1, count: 4, seed: 1, alpha: 0.3, mode: 'dirichlet' });
    const params = initialise(layers, 1);
    const options = { ...LEARNER_DEFAULTS, seed: 4, samplesPerEpoch: 50 };
    const update = localUpdate(layers, params, data, 1, options);
    assert.equal(update.samples, 50);
    assert.deepEqual(
      update.delta,
      update.params.map((p, k) => p - (params[k] as number)),
    );
    assert.deepEqual(localUpdate(layers, params, data, 1, options), update);
    assert.notDeepEqual(localUpdate(layers, params, data, 2, options).delta, update.delta);
    assert.equal(localUpdate(layers, params, data, 1, { ...options, samplesPerEpoch: 2_000 }).samples, data.n);
  });

  it('averaged over four uneven shards beats each of them alone by far', async () => {
    const digits = await loadDataset('digits');
    const shards = Array.from({ length: 4 }, (_, index) => shard(digits, { index, count: 4, seed: 1, alpha: 0.3, mode: 'dirichlet' }));
    const learner = (index: number) => ({ ...LEARNER_DEFAULTS, seed: 10 + index });
    let swarm = initialise(layers, 1);
    const alone = shards.map(() => initialise(layers, 1));
    for (let epoch = 1; epoch <= 10; epoch++) {
      const deltas = shards.map((data, i) => localUpdate(layers, swarm, data, epoch, learner(i)).delta);
      swarm = swarm.map((p, k) => p + deltas.reduce((sum, delta) => sum + (delta[k] as number), 0) / deltas.length);
      shards.forEach((data, i) => {
        alone[i] = localUpdate(layers, alone[i] as Float32Array, data, epoch, learner(i)).params;
      });
    }
    const accuracy = evaluate(layers, swarm, digits.test).accuracy;
    const best = Math.max(...alone.map((params) => evaluate(layers, params, digits.test).accuracy));
    assert.ok(accuracy > 0.85 && accuracy - best > 0.15, `the swarm ${accuracy}, the best alone ${best}`);
  });
});
