import { setTimeout as sleep } from 'node:timers/promises';
import { type Evaluation, type Examples, evaluate, type Layers, layersOf, loadDataset, localUpdate, shard } from '../../learning/index.ts';
import { StarlingError, type TensorSpec } from '../../spec/index.ts';
import { decodeSafetensors, encodeSafetensors, matchTensors } from '../../wire/safetensors.ts';
import type { EpochReport, TrainEvent, TrainReport } from './events.ts';
import type { Link } from './link.ts';
import type { TrainPlan } from './plan.ts';

/** Samples measured after each epoch: +-1% at most, a tenth of a second; the last model is measured on all. */
const PROGRESS_SAMPLES = 2_000;
/** Ms between looks at how many trainers there are. */
const POLL_MS = 200;
/** Ms that one epoch_wait lasts; a trainer then looks again. */
const WAIT_MS = 30_000;

interface Model {
  readonly epoch: number;
  readonly modelRoot: string;
  readonly tensors: readonly TensorSpec[];
  readonly layers: Layers;
  readonly params: Float32Array;
}

/** One trainer's whole run over the API. Throws StarlingError; an abort of `signal` throws as timers do. */
export async function train(plan: TrainPlan, link: Link, watch: (event: TrainEvent) => void, signal: AbortSignal): Promise<TrainReport> {
  const dataset = await loadDataset(plan.dataset);
  const data = shard(dataset, plan.shard);
  await link.attach();
  await waitForTrainers(plan.minTrainers, link, watch, signal);
  const first = await fetchModel(link);
  const last = first.epoch + plan.epochs;
  const history: EpochReport[] = [];
  let own: { loss: number; samples: number } | undefined;
  let model = first;
  const measure = (limit: number): EpochReport => {
    const { accuracy } = evaluate(model.layers, model.params, dataset.test, limit);
    return { epoch: model.epoch, accuracy, loss: own?.loss ?? 0, samples: own?.samples ?? 0 };
  };
  const record = (report: EpochReport): void => {
    history.push(report);
    watch({ kind: 'epoch', ...report });
  };
  while (model.epoch < last) {
    await link.attach();
    const update = localUpdate(model.layers, model.params, data, model.epoch + 1, plan.learner);
    await submit(model, update, link, watch);
    // Measured while the others finish: not on the epoch's critical path.
    if (own !== undefined) record(measure(PROGRESS_SAMPLES));
    own = update;
    await waitForEpoch(model.epoch + 1, link);
    model = await fetchModel(link);
  }
  const final = measure(dataset.test.n);
  if (own !== undefined) record(final);
  const report: TrainReport = {
    epochs: model.epoch - first.epoch,
    lastEpoch: model.epoch,
    accuracy: final.accuracy,
    loss: final.loss,
    samples: final.samples,
    modelRoot: model.modelRoot,
    ...(plan.alone ? { aloneAccuracy: trainAlone(first, last, data, dataset.test, plan).accuracy } : {}),
    history,
  };
  watch({ kind: 'done', report });
  return report;
}

/** What the same learner reaches on its own samples, from the same start, in the same number of epochs. */
function trainAlone(first: Model, last: number, data: Examples, test: Examples, plan: TrainPlan): Evaluation {
  let params = first.params;
  for (let epoch = first.epoch + 1; epoch <= last; epoch++) params = localUpdate(first.layers, params, data, epoch, plan.learner).params;
  return evaluate(first.layers, params, test);
}

async function fetchModel(link: Link): Promise<Model> {
  const { epoch, modelRoot, bytes } = await link.ask((client) => client.model('latest'));
  const tensors = decodeSafetensors(bytes, bytes.byteLength);
  return { epoch, modelRoot, tensors, layers: layersOf(tensors), params: matchTensors(tensors, tensors) };
}

/** Why an update is not taken although nothing is wrong: the epoch went on, has this node's update, or was given up for a final block. */
const LATE: readonly string[] = ['EPOCH_PAST', 'EPOCH_FAR', 'ALREADY_CONTRIBUTED'];

/** Hands the delta over. What comes late is no failure. */
async function submit(
  model: Model,
  update: { delta: Float32Array; loss: number; samples: number },
  link: Link,
  watch: (event: TrainEvent) => void,
): Promise<void> {
  let at = 0;
  const named = model.tensors.map(({ name, shape }) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    at += size;
    return { name, shape, values: update.delta.subarray(at - size, at) };
  });
  const epoch = model.epoch + 1;
  const { loss, samples } = update;
  try {
    await link.ask((client) => client.submit({ epoch, kind: 'delta', samples, metrics: { loss } }, encodeSafetensors(named)));
  } catch (error) {
    if (!(error instanceof StarlingError) || !LATE.includes(error.code)) throw error;
    watch({ kind: 'late', epoch, reason: error.message });
  }
}

/** Resolves once the node has applied `epoch` or a later one, however long the others take, or went back from where it was. */
async function waitForEpoch(epoch: number, link: Link): Promise<void> {
  for (;;) {
    try {
      await link.ask((client) => client.call('epoch_wait', { epoch, timeoutMs: WAIT_MS }));
      return;
    } catch (error) {
      if (!(error instanceof StarlingError) || error.code !== 'TIMEOUT') throw error;
    }
  }
}

async function waitForTrainers(wanted: number, link: Link, watch: (event: TrainEvent) => void, signal: AbortSignal): Promise<void> {
  let told = -1;
  for (;;) {
    const { activeTrainers } = await link.ask((client) => client.call('epoch_current'));
    if (activeTrainers >= wanted) return;
    if (activeTrainers !== told) watch({ kind: 'waiting', trainers: activeTrainers, wanted });
    told = activeTrainers;
    await sleep(POLL_MS, undefined, { signal });
    await link.attach();
  }
}
