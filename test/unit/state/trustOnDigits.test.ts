import assert from 'node:assert/strict';
import { distancesOfMoved, layoutOf, rosterWeights } from '../../../src/aggregation/index.ts';
import { createReference } from '../../../src/compute/index.ts';
import {
  type Examples,
  evaluate,
  initialise,
  LEARNER_DEFAULTS,
  loadDataset,
  localUpdate,
  Random,
  shard,
  tensorsOf,
} from '../../../src/learning/index.ts';
import { type MemberState, TRUST_ONE } from '../../../src/spec/index.ts';
import { scaleFreeDistances, updateTrust } from '../../../src/state/trust.ts';

const LAYERS = [64, 32, 10];
const SPANS = layoutOf(tensorsOf(LAYERS));
const EXPONENT = -12;
const CLIP_NORM = 10;
const compute = createReference();
const digits = await loadDataset('digits');

type Kind = 'honest' | 'one-label' | 'zero' | 'flip' | 'noise';

/** Only the samples of the first label. */
function oneLabel({ x, y }: Examples): Examples {
  const rows = [...y.keys()].filter((row) => y[row] === y[0]);
  return {
    n: rows.length,
    x: Float32Array.from(rows.flatMap((row) => [...x.subarray(64 * row, 64 * row + 64)])),
    y: new Uint16Array(rows.length).fill(y[0] as number),
  };
}

function spoilt(delta: Float32Array, kind: Kind, random: Random): Float32Array {
  if (kind === 'zero') return delta.map(() => 0);
  if (kind === 'flip') return delta.map((v) => -10 * v);
  if (kind === 'noise') return delta.map(() => 0.5 * random.normal());
  return delta;
}

/** Real learning on real digits, with the weights and the trust of the product. Shares of uniform after each epoch. */
async function learn(kinds: readonly Kind[], seed: number, epochs: number): Promise<{ shares: number[][]; accuracy: number }> {
  const n = kinds.length;
  const data = kinds.map((kind, index) => {
    const own = shard(digits, { index, count: n, seed, mode: 'dirichlet', alpha: 0.3 });
    return kind === 'one-label' ? oneLabel(own) : own;
  });
  let theta = initialise(LAYERS, seed);
  let members = kinds.map((_, i) => ({ fingerprint: `${i}`, emaX: 0, farStreak: 0, trust: Math.round(TRUST_ONE / n) }) as MemberState);
  const shares: number[][] = [];
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const rows = await Promise.all(
      data.map(async (own, i) => {
        const { delta } = localUpdate(LAYERS, theta, own, epoch, { ...LEARNER_DEFAULTS, passes: 1, seed: 100 * seed + i });
        const sent = spoilt(delta, kinds[i] as Kind, Random.from(seed, epoch, i));
        const norm = Math.sqrt(await compute.sqNorm(sent));
        const clipped = norm > CLIP_NORM ? sent.map((v) => (v * CLIP_NORM) / norm) : sent;
        return compute.quantise(clipped, 2 ** EXPONENT, new Float32Array(sent.length).fill(0.5), 32_767);
      }),
    );
    const weights = rosterWeights(members.map((m, i) => ({ trust: m.trust, samples: (data[i] as Examples).n })));
    const total = weights.reduce((a, b) => a + b, 0);
    const sum = await compute.weightedSum(rows, weights);
    theta = theta.map((v, k) => v + ((sum[k] as number) * 2 ** EXPONENT) / total);
    const xs = scaleFreeDistances(
      await distancesOfMoved(
        rows,
        SPANS,
        SPANS.map(() => EXPONENT),
      ),
    );
    members = updateTrust(members, new Map(xs.map((x, i) => [`${i}`, x])), 1);
    shares.push(members.map((m) => (n * m.trust) / TRUST_ONE));
  }
  return { shares, accuracy: evaluate(LAYERS, theta, digits.test).accuracy };
}

describe('trust, on real digits', () => {
  it('leaves an honest node that has one label at least half of uniform', async () => {
    for (const nodes of [4, 8]) {
      const kinds = Array.from({ length: nodes }, (_, i): Kind => (i === 3 ? 'one-label' : 'honest'));
      const { shares } = await learn(kinds, 1, 8);
      for (const epoch of shares) assert.ok((epoch[3] as number) >= 0.5, `${nodes} nodes: ${epoch[3]}`);
    }
  });

  it('gives a node that sends zeros no more than uniform, ever', async () => {
    for (const seed of [3, 9]) {
      const { shares } = await learn(['honest', 'honest', 'honest', 'zero'], seed, 8);
      for (const epoch of shares) {
        assert.ok((epoch[3] as number) <= 1.000_001, `seed ${seed}: ${epoch}`);
        assert.ok((epoch[3] as number) <= Math.max(...epoch), `seed ${seed}: ${epoch}`);
      }
    }
  });

  it('brings poisoners below 1% of trust within six epochs, and the swarm learns in spite of them', async () => {
    for (const poison of ['flip', 'noise'] as const) {
      const { shares, accuracy } = await learn(['honest', 'honest', 'honest', 'honest', poison], 2, 10);
      for (const epoch of shares.slice(5)) assert.ok((epoch[4] as number) / 5 < 0.01, `${poison}: ${epoch}`);
      assert.ok(accuracy > 0.7, `${poison}: ${accuracy}`);
    }
  });
});
