import assert from 'node:assert/strict';
import { InvalidArgumentError } from 'commander';
import { connect } from '../../../src/api/client.ts';
import type { TrainEvent, TrainReport } from '../../../src/cli/train/events.ts';
import { describeEvent } from '../../../src/cli/train/events.ts';
import { Link } from '../../../src/cli/train/link.ts';
import { parseShard, planOf, positiveNumber, type TrainFlags } from '../../../src/cli/train/plan.ts';
import { train } from '../../../src/cli/train/train.ts';
import { evaluate, initialise, loadDataset } from '../../../src/learning/index.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { type LearningNode, LearningSwarm } from '../../support/learningSwarm.ts';

const LAYERS = [64, 32, 10];
const FLAGS: TrainFlags = { dataset: 'digits', alpha: 0.3, epochs: 3, seed: 1, minTrainers: 1 };

interface Run {
  readonly done: Promise<TrainReport>;
  readonly link: Link;
  readonly events: TrainEvent[];
  readonly stop: AbortController;
}

function run(
  node: LearningNode,
  flags: Partial<TrainFlags> = {},
  onEvent: (event: TrainEvent) => void = () => {},
  awayMaxMs = 10_000,
): Run {
  const stop = new AbortController();
  const events: TrainEvent[] = [];
  const watch = (event: TrainEvent): void => {
    events.push(event);
    onEvent(event);
  };
  const { signal } = stop;
  const link = new Link({
    connect: () => connect({ data: node.data, signal }),
    name: 'test',
    signal,
    onAway: (away) => watch({ kind: 'away', away }),
    awayMaxMs,
  });
  return { done: train(planOf({ ...FLAGS, ...flags }), link, watch, signal), link, events, stop };
}

describe('starling train', () => {
  let swarm: LearningSwarm;
  const swarmOf = async (nodes: number): Promise<LearningSwarm> => {
    swarm = new LearningSwarm(LAYERS, nodes);
    await Promise.all(swarm.nodes.map((node) => node.start()));
    return swarm;
  };
  afterEach(() => swarm.stop());

  it('learns with others over the API: one model, better than alone', async () => {
    const { nodes } = await swarmOf(4);
    const runs = nodes.map((node, index) => run(node, { shard: { index, count: 4 }, epochs: 8, minTrainers: 4, compareAlone: true }));
    const reports = await Promise.all(runs.map(({ done }) => done));
    const digits = await loadDataset('digits');
    const expected = evaluate(LAYERS, swarm.params, digits.test).accuracy;
    for (const report of reports) {
      assert.deepEqual([report.epochs, report.lastEpoch, report.modelRoot], [8, 8, swarm.modelRoot]);
      assert.equal(report.accuracy, expected);
      assert.deepEqual(
        report.history.map(({ epoch }) => epoch),
        [1, 2, 3, 4, 5, 6, 7, 8],
      );
      assert.ok(report.accuracy > (report.aloneAccuracy as number), `${report.accuracy} against ${report.aloneAccuracy}`);
      assert.equal(report.samples, Math.floor(digits.train.n / 4));
    }
    assert.notEqual(reports[0]?.loss, reports[1]?.loss);
    assert.deepEqual(nodes[0]?.submissions.map(({ kind, metrics }) => [kind, metrics.loss])[0], ['delta', reports[0]?.history[0]?.loss]);
  });

  it('begins only once enough trainers are attached', async () => {
    const { nodes } = await swarmOf(2);
    const first = run(nodes[0] as LearningNode, { minTrainers: 2, epochs: 1 }, (event) => {
      if (event.kind === 'waiting') second ??= run(nodes[1] as LearningNode, { minTrainers: 2, epochs: 1 });
    });
    let second: Run | undefined;
    await first.done;
    await second?.done;
    assert.deepEqual(first.events[0], { kind: 'waiting', trainers: 1, wanted: 2 });
  });

  it('goes on after its daemon was restarted on another port, attached again', async () => {
    const { nodes } = await swarmOf(1);
    const node = nodes[0] as LearningNode;
    let restarted: Promise<void> | undefined;
    const training = run(node, { epochs: 4 }, (event) => {
      if (event.kind === 'epoch' && event.epoch === 2) restarted ??= node.stop();
      if (event.kind === 'away' && event.away) void restarted?.then(() => node.start());
    });
    const report = await training.done;
    assert.deepEqual([report.epochs, report.history.length], [4, 4]);
    assert.deepEqual(
      training.events.filter(({ kind }) => kind === 'away'),
      [
        { kind: 'away', away: true },
        { kind: 'away', away: false },
      ],
    );
    assert.equal(node.trainers.length, 1);
  });

  it('gives up with the reason once the daemon has been away for too long', async () => {
    const { nodes } = await swarmOf(1);
    const node = nodes[0] as LearningNode;
    const training = run(node, { minTrainers: 2 }, (event) => void (event.kind === 'waiting' && node.stop()), 50);
    await assert.rejects(training.done, { code: 'DAEMON_DOWN', message: /has been away/ });
  });

  it('takes the newer model where the epoch went on without it, or has its update already', async () => {
    const { nodes } = await swarmOf(1);
    const node = nodes[0] as LearningNode;
    node.onSubmit = ({ epoch }) => {
      if (epoch === 2) swarm.close();
      if (epoch !== 3) return;
      swarm.close();
      throw new StarlingError('ALREADY_CONTRIBUTED', 'there is an update already');
    };
    const training = run(node, { epochs: 4 });
    const report = await training.done;
    assert.deepEqual([report.epochs, report.lastEpoch], [4, 4]);
    assert.deepEqual(
      training.events.flatMap((event) => (event.kind === 'late' ? [event.epoch] : [])),
      [2, 3],
    );
    assert.deepEqual(
      node.submissions.map(({ epoch }) => epoch),
      [1, 4],
    );
  });

  it('ends with any other refusal of the daemon', async () => {
    const { nodes } = await swarmOf(1);
    const node = nodes[0] as LearningNode;
    node.onSubmit = () => {
      throw new StarlingError('CLASS_FORBIDS', 'an observer does not contribute');
    };
    await assert.rejects(run(node).done, { code: 'CLASS_FORBIDS' });
  });

  it('says goodbye to the daemon', async () => {
    const { nodes } = await swarmOf(1);
    const node = nodes[0] as LearningNode;
    const training = run(node, { minTrainers: 2 }, (event) => void (event.kind === 'waiting' && training.stop.abort()));
    await assert.rejects(training.done, { name: 'AbortError' });
    assert.equal(node.trainers.length, 1);
    await training.link.detach(connect({ data: node.data }));
    assert.equal(node.trainers.length, 0);
    await node.stop();
    await training.link.detach(connect({ data: node.data }));
  });

  it('refuses a data set that the model does not fit', async () => {
    swarm = new LearningSwarm([5, 4, 3], 1);
    await swarm.nodes[0]?.start();
    await assert.rejects(run(swarm.nodes[0] as LearningNode).done, { code: 'BAD_SHAPE' });
  });
});

describe('the plan of a trainer', () => {
  it('gives nodes of one seed the same split and different orders', () => {
    const [a, b] = [0, 1].map((index) => planOf({ ...FLAGS, shard: { index, count: 4 } }));
    assert.equal(a?.shard.seed, b?.shard.seed);
    assert.notEqual(a?.learner.seed, b?.learner.seed);
    assert.equal(planOf({ ...FLAGS, byLabel: true }).shard.mode, 'label');
    assert.equal(initialise(LAYERS, 1).length, 2_410);
  });

  it('reads shards and refuses what is none', () => {
    assert.deepEqual(parseShard('3/4'), { index: 3, count: 4 });
    for (const text of ['4/4', '1', '1/0', '-1/4', '1/4/2', 'a/b', '']) assert.throws(() => parseShard(text), InvalidArgumentError);
    assert.equal(positiveNumber('0.3'), 0.3);
    for (const text of ['0', '-1', 'x', '', 'Infinity']) assert.throws(() => positiveNumber(text), InvalidArgumentError);
  });

  it('describes every event in one line', () => {
    const report: TrainReport = {
      epochs: 3,
      lastEpoch: 3,
      accuracy: 0.9,
      loss: 0.1,
      samples: 5,
      modelRoot: '',
      aloneAccuracy: 0.5,
      history: [],
    };
    const lines = (
      [
        { kind: 'waiting', trainers: 1, wanted: 4 },
        { kind: 'epoch', epoch: 3, loss: 0.25, accuracy: 0.875, samples: 359 },
        { kind: 'late', epoch: 3, reason: 'it is over' },
        { kind: 'away', away: true },
        { kind: 'done', report },
      ] as const
    ).map(describeEvent);
    assert.equal(lines[1], 'epoch 3  loss 0.250  accuracy 0.875  samples 359');
    assert.equal(lines[4], '3 epochs, the last is 3: held-out accuracy 0.900, alone 0.500');
    assert.ok(lines.every((line) => line !== '' && !line.includes('\n')));
  });
});
