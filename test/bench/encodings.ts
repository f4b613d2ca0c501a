/**
 * Accuracy against bytes: eight nodes learn one model, each time with updates in another encoding, by the product's own steps from the
 * trained delta to the next model, over the same data in the same order. `node test/bench/encodings.ts` writes docs/encodings.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { applyAverage, decodePayload, encodePayload, layoutOf, type TensorSpan } from '../../src/aggregation/index.ts';
import { createReference } from '../../src/compute/index.ts';
import { sealedSize } from '../../src/crypto/index.ts';
import { prepare } from '../../src/epoch/prepare.ts';
import {
  type Dataset,
  type Examples,
  evaluate,
  initialise,
  LEARNER_DEFAULTS,
  loadDataset,
  localUpdate,
  Random,
  shard,
  tensorsOf,
} from '../../src/learning/index.ts';
import type { Genesis } from '../../src/spec/index.ts';
import { nextScaleExponent } from '../../src/state/scales.ts';
import { encodeUpdate, SALT_BYTES } from '../../src/wire/index.ts';
import { genesis as sample } from '../unit/wire/samples.ts';
import type { BenchRow } from './row.ts';

/** Where Debian's `dataset-fashion-mnist` lies; the bundled digits stand in where it is missing. */
const FASHION = '/usr/share/datasets/fashion-mnist';
const NODES = 8;
const EPOCHS = 20;
/** Epochs whose accuracies are averaged: one alone is off by half a point either way. */
const LAST = 5;
const SEED = 1;
const LEARNER = { ...LEARNER_DEFAULTS, samplesPerEpoch: 600 };
const RULES = { ...sample, clipNorm: 10, eta: 1 };

type Form = Pick<Genesis, 'encoding' | 'updateDtype' | 'topkShare'>;
const CASES: readonly (readonly [name: string, form: Form | undefined])[] = [
  ['f32', undefined],
  ['dense int16', { encoding: 'dense', updateDtype: 'int16', topkShare: 1 }],
  ['dense int8', { encoding: 'dense', updateDtype: 'int8', topkShare: 1 }],
  ['top-k 5% int16', { encoding: 'topk', updateDtype: 'int16', topkShare: 0.05 }],
  ['top-k 5% int8', { encoding: 'topk', updateDtype: 'int8', topkShare: 0.05 }],
  ['top-k 1% int8', { encoding: 'topk', updateDtype: 'int8', topkShare: 0.01 }],
  ['sign int16', { encoding: 'sign', updateDtype: 'int16', topkShare: 1 }],
  ['sign int8', { encoding: 'sign', updateDtype: 'int8', topkShare: 1 }],
];

interface Swarm {
  readonly set: Dataset;
  readonly layers: readonly number[];
  readonly spans: readonly TensorSpan[];
  readonly shards: readonly Examples[];
}

interface Measured {
  readonly name: string;
  /** Share of the held-out samples, mean over the last epochs. */
  readonly accuracy: number;
  /** Bytes of one sealed update, mean over nodes and epochs. */
  readonly bytes: number;
}

const compute = createReference();

async function swarmOf(): Promise<Swarm> {
  const set = await loadDataset(existsSync(FASHION) ? FASHION : 'digits');
  const layers = [set.features, set.features > 100 ? 64 : 32, set.classes];
  const shards = Array.from({ length: NODES }, (_, index) =>
    shard(set, { index, count: NODES, seed: SEED, mode: 'dirichlet', alpha: 0.3 }),
  );
  return { set, layers, spans: layoutOf(tensorsOf(layers)), shards };
}

/** What the nodes send in one epoch: the mean update, and its bytes. */
type Exchange = (deltas: readonly Float32Array[], theta: Float32Array) => Promise<{ readonly theta: Float32Array; readonly bytes: number }>;

/** Values as they are, added up in doubles: what every encoding is measured against. */
const plain: Exchange = async (deltas, theta) => ({
  theta: theta.map((v, k) => v + deltas.reduce((sum, d) => sum + (d[k] as number), 0) / deltas.length),
  bytes: sealedSize(4 * theta.length),
});

/** By the product's steps. Residuals and scales live on from epoch to epoch; every update is rostered. */
function encoded(form: Form, spans: readonly TensorSpan[]): Exchange {
  const genesis = { ...RULES, ...form };
  const random = Random.from(SEED, 'rounding');
  const entropy = { bytes: (n: number) => Uint8Array.from({ length: n }, () => random.below(256)), uniform: () => random.uniform() };
  const residuals: (Float32Array | undefined)[] = [];
  let exponents: readonly number[] = spans.map(() => -12);
  return async (deltas, theta) => {
    let bytes = 0;
    const rows = [];
    const reports: (readonly number[])[] = [];
    for (const [i, delta] of deltas.entries()) {
      const residual = [{ start: 0, values: residuals[i] ?? new Float32Array(theta.length) }];
      const { values, integers, maxAbs } = await prepare({ genesis, spans, exponents, residual, delta: delta.slice() }, compute, entropy);
      const payload = encodePayload(integers, spans, genesis);
      const plaintext = encodeUpdate({ salt: new Uint8Array(SALT_BYTES), encoding: form.encoding, dtype: form.updateDtype, payload });
      bytes += sealedSize(plaintext.byteLength) / deltas.length;
      rows.push(decodePayload(payload, spans, genesis));
      reports.push(maxAbs);
      for (const [t, span] of spans.entries())
        for (let k = span.start; k < span.end; k++)
          values[k] = (values[k] as number) - (integers[k] as number) * 2 ** (exponents[t] as number);
      residuals[i] = values;
    }
    const sum = await compute.weightedSum(
      rows,
      rows.map(() => 1),
    );
    const next = applyAverage(theta, spans, { sum, weightTotal: rows.length, eta: genesis.eta, exponents });
    exponents = exponents.map((e, t) =>
      nextScaleExponent(
        e,
        reports.map((r) => r[t] as number),
        form.updateDtype,
      ),
    );
    return { theta: next, bytes };
  };
}

async function measure(name: string, form: Form | undefined, { set, layers, spans, shards }: Swarm): Promise<Measured> {
  const exchange = form === undefined ? plain : encoded(form, spans);
  let theta = initialise(layers, SEED);
  let accuracy = 0;
  let bytes = 0;
  for (let epoch = 1; epoch <= EPOCHS; epoch++) {
    const deltas = shards.map((data, i) => localUpdate(layers, theta, data, epoch, { ...LEARNER, seed: SEED + i }).delta);
    const step = await exchange(deltas, theta);
    theta = step.theta;
    bytes += step.bytes / EPOCHS;
    if (epoch > EPOCHS - LAST) accuracy += evaluate(layers, theta, set.test).accuracy / LAST;
  }
  return { name, accuracy, bytes };
}

async function measureAll(swarm: Swarm): Promise<[Measured, ...Measured[]]> {
  const all: Measured[] = [];
  for (const [name, form] of CASES) {
    all.push(await measure(name, form, swarm));
    console.error(all.at(-1));
  }
  return all as [Measured, ...Measured[]];
}

export async function rows(): Promise<BenchRow[]> {
  const [first, ...others] = await measureAll(await swarmOf());
  return [first, ...others].flatMap(({ name, accuracy, bytes }) => {
    const row = (what: string, value: number, unit: string, baseline: number): BenchRow => ({
      bench: 'encodings',
      case: `${name}: ${what}`,
      value,
      unit,
      baseline: first.name,
      ratio: value / baseline,
      n: NODES,
    });
    return [row('accuracy', 100 * accuracy, '%', 100 * first.accuracy), row('a sealed update', bytes, 'bytes', first.bytes)];
  });
}

/** The table of docs/encodings.md. */
function table([first, ...others]: readonly [Measured, ...Measured[]]): string {
  const line = ({ name, accuracy, bytes }: Measured): string =>
    `| ${name} | ${(100 * accuracy).toFixed(1)} | ${(100 * (accuracy - first.accuracy)).toFixed(1).replace('-0.0', '0.0')} | ${Math.round(bytes)} | ${(bytes / first.bytes).toFixed(3)} |`;
  return ['| Encoding | Accuracy, % | Against f32, points | Bytes of an update | Share of f32 |', '| --- | --- | --- | --- | --- |']
    .concat([first, ...others].map(line))
    .join('\n');
}

if (import.meta.main) {
  const page = new URL('../../docs/encodings.md', import.meta.url);
  const swarm = await swarmOf();
  const measured = table(await measureAll(swarm));
  console.log(`${swarm.set.name}\n${measured}`);
  const text = readFileSync(page, 'utf8');
  writeFileSync(page, text.replace(/\| Encoding[\s\S]*?\n\n/, `${measured}\n\n`));
}
