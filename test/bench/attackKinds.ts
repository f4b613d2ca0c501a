import type { Random } from '../../src/learning/random.ts';

/** What an attacker of one kind knows in an epoch: more than it could, as the literature assumes. */
export interface Seen {
  /** Updates of all honest nodes, in the model's units. */
  readonly honest: readonly Float32Array[];
  /** What it would have sent, had it been honest; trained on flipped labels where `flipsLabels`. */
  readonly own: Float32Array;
  readonly random: Random;
}

export interface Attack {
  readonly name: string;
  /** What it does, for people. */
  readonly what: string;
  readonly flipsLabels?: boolean;
  update(seen: Seen): Float32Array;
}

/** Mean and standard deviation of each element over the honest updates. */
function moments(honest: readonly Float32Array[]): { readonly mean: Float64Array; readonly deviation: Float64Array } {
  const mean = new Float64Array((honest[0] as Float32Array).length);
  const deviation = new Float64Array(mean.length);
  for (let k = 0; k < mean.length; k++) {
    const values = honest.map((row) => row[k] as number);
    const middle = values.reduce((a, b) => a + b, 0) / values.length;
    mean[k] = middle;
    deviation[k] = Math.sqrt(values.reduce((sum, v) => sum + (v - middle) ** 2, 0) / values.length);
  }
  return { mean, deviation };
}

export const ATTACKS: readonly Attack[] = [
  { name: 'sign flip', what: 'five times its own update, turned round', update: ({ own }) => own.map((v) => -5 * v) },
  {
    name: 'large noise',
    what: 'normal noise, of deviation 1 in every element, cut to the norm bound',
    update: ({ own, random }) => own.map(() => random.normal()),
  },
  {
    name: 'ALIE',
    what: 'mean - 1.5 deviations of the honest updates, element by element, all attackers alike (Baruch, Baruch, Goldberg, "A little is enough", NeurIPS 2019)',
    update: ({ honest }) => {
      const { mean, deviation } = moments(honest);
      return Float32Array.from(mean, (m, k) => m - 1.5 * (deviation[k] as number));
    },
  },
  {
    name: 'inner product',
    what: 'minus five times the mean of the honest updates, all attackers alike (Xie, Koyejo, Gupta, "Fall of empires", UAI 2019)',
    update: ({ honest }) => Float32Array.from(moments(honest).mean, (m) => -5 * m),
  },
  { name: 'label flip', what: 'trained with class 9 - c in place of class c', flipsLabels: true, update: ({ own }) => own },
  { name: 'free rider', what: 'an update of zeros', update: ({ own }) => new Float32Array(own.length) },
];
