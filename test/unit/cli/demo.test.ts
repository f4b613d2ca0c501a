import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { connect } from '../../../src/api/client.ts';
import { Children, childEnvironment } from '../../../src/cli/demo/children.ts';
import { Display } from '../../../src/cli/demo/display.ts';
import { sumOf } from '../../../src/cli/demo/monitor.ts';
import { type DemoPlan, daemonArguments, layersFor, swarmToml, trainerArguments } from '../../../src/cli/demo/plan.ts';
import { epochLine, type NodeProgress, newProgress, noteEvent, printableEpochs } from '../../../src/cli/demo/progress.ts';
import { type DemoNode, until, waitForDaemon } from '../../../src/cli/demo/readiness.ts';
import { allEqual, describeResult, type NodeResult, resultOf } from '../../../src/cli/demo/result.ts';
import { createOutput } from '../../../src/cli/output.ts';
import { loadSwarmConfig } from '../../../src/node/swarmConfig.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { LearningSwarm } from '../../support/learningSwarm.ts';

const PLAN: DemoPlan = { nodes: 4, epochs: 10, dataset: 'digits', alpha: 0.3, seed: 1, transport: 'tcp', keep: false };
const ROOT_A = 'a'.repeat(64);
const ROOT_B = 'b'.repeat(64);
const NODE: NodeResult = {
  fingerprint: 'f'.repeat(64),
  aloneAccuracy: 0.6,
  accuracy: 0.9,
  samples: 359,
  bytesPerEpoch: 12_345,
  modelRoot: ROOT_A,
  treeRoot: ROOT_B,
};
const signal = new AbortController().signal;

describe('the plan of a demo', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-demo-test-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('founds a swarm whose configuration the node accepts', () => {
    const path = join(folder, 'swarm.toml');
    writeFileSync(path, swarmToml('demo "fashion"', layersFor(784, 10), 7));
    const config = loadSwarmConfig(path);
    assert.deepEqual([config.name, config.model], ['demo "fashion"', { kind: 'mlp', layers: [784, 64, 10], seed: 7 }]);
    assert.deepEqual(layersFor(64, 10), [64, 32, 10]);
  });

  it("tells a daemon the first one's address and nothing else", () => {
    const first = daemonArguments({ ...PLAN, transport: 'quic' }, '/d', 0, undefined);
    assert.deepEqual(first, ['daemon', '--data', '/d/node0', '--api-port', '0', '--listen', '/ip4/127.0.0.1/udp/0/quic-v1']);
    const third = daemonArguments(PLAN, '/d', 2, '/ip4/127.0.0.1/tcp/5/p2p/12D3KooW');
    assert.deepEqual(third.slice(-4), ['--listen', '/ip4/127.0.0.1/tcp/0', '--bootstrap', '/ip4/127.0.0.1/tcp/5/p2p/12D3KooW']);
    assert.match(trainerArguments(PLAN, '/d', 2).join(' '), /--data \/d\/node2 .*--shard 2\/4 .*--epochs 10 --min-trainers 4/);
  });

  it("keeps this process's own token and address from its children", () => {
    const environment = { PATH: '/bin', STARLING_TOKEN: 't', STARLING_API: 'u', STARLING_API_PORT: '1', STARLING_LOG_LEVEL: 'debug' };
    assert.deepEqual(childEnvironment(environment), { PATH: '/bin', STARLING_LOG_LEVEL: 'debug' });
  });
});

describe('the result of a demo', () => {
  it('is equal only if every node has the same two roots', () => {
    const roots = { modelRoot: ROOT_A, treeRoot: ROOT_B };
    assert.equal(allEqual([roots, roots, roots]), true);
    assert.equal(allEqual([roots, { ...roots, modelRoot: ROOT_B }]), false);
    assert.equal(allEqual([roots, { ...roots, treeRoot: ROOT_A }]), false);
    assert.equal(allEqual([roots, { modelRoot: '', treeRoot: '' }]), false);
    const none = { modelRoot: '', treeRoot: '' };
    assert.equal(allEqual([none, none]), false);
    assert.equal(allEqual([]), false);
  });

  it('has the documented keys, and the best and worst figures', () => {
    const result = resultOf(PLAN, [NODE, { ...NODE, aloneAccuracy: 0.7, accuracy: 0.8 }], 12.345);
    assert.deepEqual(Object.keys(result), ['dataset', 'seed', 'nodes', 'epochs', 'swarmAccuracy', 'bestAloneAccuracy', 'seconds', 'equal']);
    assert.deepEqual(Object.keys(result.nodes[0] as NodeResult).sort(), [
      'accuracy',
      'aloneAccuracy',
      'bytesPerEpoch',
      'fingerprint',
      'modelRoot',
      'samples',
      'treeRoot',
    ]);
    assert.deepEqual([result.swarmAccuracy, result.bestAloneAccuracy, result.seconds, result.equal], [0.8, 0.7, 12.3, true]);
  });

  it('says plainly whether the nodes agree, and at which epoch', () => {
    assert.match(describeResult(resultOf(PLAN, [NODE, NODE], 12), 11), /60\.0 %.*90\.0 %.*12\.1 KiB[\s\S]*\nequal: at epoch 11/);
    assert.match(describeResult(resultOf(PLAN, [NODE, { ...NODE, modelRoot: '' }], 12), 11), /NOT EQUAL: at epoch 11/);
  });

  it('adds up a counter over its labels', () => {
    const metrics = [
      { name: 'up', values: [{ value: 1 }] },
      { name: 'sent', values: [{ value: 10, labels: { transport: 'tcp' } }, { value: 5 }] },
    ];
    assert.equal(sumOf('sent', metrics), 15);
    assert.equal(sumOf('absent', metrics), null);
  });
});

describe('the display of a demo', () => {
  const reported = (node: NodeProgress, epoch: number, accuracy: number): void =>
    noteEvent(node, { kind: 'epoch', epoch, loss: 1 / epoch, accuracy, samples: 1 });
  const nodes = (): NodeProgress[] => [newProgress(), newProgress()];
  const screen = (isTTY: boolean) => {
    let text = '';
    const stdout: Writable & { isTTY?: boolean } = new Writable({
      write(chunk, _encoding, done) {
        text += String(chunk);
        done();
      },
    });
    stdout.isTTY = isTTY;
    return { output: createOutput(() => false, { stdout, stderr: stdout }), text: () => text };
  };

  it('prints one line an epoch in a pipe, once every node has reported it', () => {
    const [a, b] = nodes() as [NodeProgress, NodeProgress];
    const { output, text } = screen(false);
    const display = new Display(output, [a, b], () => 0);
    reported(a, 1, 0.5);
    display.refresh();
    assert.equal(text(), '');
    reported(b, 1, 0.5);
    reported(a, 2, 0.75);
    display.refresh();
    display.refresh();
    reported(b, 3, 0.875); // it missed the report of epoch 2
    reported(a, 3, 0.875);
    display.refresh(true);
    const lines = text().trimEnd().split('\n');
    assert.equal(lines.length, 4, text());
    assert.match(lines[0] ?? '', /^epoch {2}loss by node +accuracy by node {2}peers/);
    assert.match(lines[1] ?? '', /^ {4}1 {2}1\.000 1\.000 .* 0\.500 0\.500/);
    assert.match(lines[2] ?? '', /^ {4}2 {2}0\.500 - .* 0\.750 -/);
    assert.match(lines[3] ?? '', /^ {4}3 {2}/);
    assert.ok(!text().includes('\x1b'));
  });

  for (const count of [1, 4, 8])
    it(`lines the figures of ${count} up under their headings`, () => {
      const four = Array.from({ length: count }, newProgress);
      for (const node of four) reported(node, 1, 0.5);
      const { output, text } = screen(false);
      new Display(output, four, () => 0).refresh();
      const [header = '', line = ''] = text().split('\n');
      assert.equal(header.indexOf('accuracy'), line.indexOf('0.500'));
      assert.equal(epochLine(1, four), line);
      assert.equal(header.indexOf('peers'), line.indexOf('0 ', line.lastIndexOf('0.500') + 5));
      assert.deepEqual(printableEpochs(four, 1), []);
    });

  it('redraws in place on a terminal, at most five times a second', () => {
    const [a, b] = nodes() as [NodeProgress, NodeProgress];
    const { output, text } = screen(true);
    let nowMs = 0;
    const display = new Display(output, [a, b], () => nowMs);
    for (; nowMs < 1_000; nowMs += 20) display.refresh();
    assert.equal(text().split('phase').length - 1, 5);
    assert.equal(text().split('\x1b[3A\x1b[J').length - 1, 4);
    display.line('a line that stays');
    display.refresh();
    assert.match(text(), /a line that stays\nnode/);
  });
});

describe('waiting for the nodes of a demo', () => {
  it('names what is missing when the time is over', async () => {
    const start = until(
      async () => ['node 1 misses node 2'],
      0,
      (missing) => ({ message: missing.join(), peer: 'node 1' }),
      signal,
    );
    await assert.rejects(
      start,
      (error) =>
        error instanceof StarlingError &&
        error.code === 'TIMEOUT' &&
        error.facts.peer === 'node 1' &&
        /node 1 misses node 2/.test(error.message),
    );
  });

  it('finds daemons by their data folders, wherever they answer', async () => {
    const swarm = new LearningSwarm([4, 3], 2);
    try {
      const nodes: Promise<DemoNode>[] = swarm.nodes.map((node, i) => waitForDaemon(i, node.data, signal));
      for (const node of swarm.nodes) await node.start();
      assert.equal((await connect({ data: swarm.nodes[0]?.data ?? '' })).url, (await nodes[0])?.client.url);
    } finally {
      await swarm.stop();
    }
  });
});

describe('the processes of a demo', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-children-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const alive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  it('fail by name, with their last lines', async () => {
    const children = new Children();
    children.start({ name: 'node 3', arguments: ['status', '--data', join(folder, 'nobody')], folder, outlives: false });
    await assert.rejects(
      children.failure,
      (error) =>
        error instanceof StarlingError && error.facts.peer === 'node 3' && /node 3 ended with code 1[\s\S]*DAEMON_DOWN/.test(error.message),
    );
    await children.stop();
  });

  it('are gone when they have been stopped, and that is no failure', async () => {
    const children = new Children();
    let failed = false;
    children.failure.catch(() => {
      failed = true;
    });
    const swarm = new LearningSwarm([64, 32, 10], 1);
    await swarm.nodes[0]?.start();
    const heard = Promise.withResolvers<unknown>();
    const data = swarm.nodes[0]?.data ?? '';
    const options = {
      name: 'trainer 0',
      arguments: ['train', '--data', data, '--dataset', 'digits', '--min-trainers', '2'],
      folder,
      outlives: false,
    };
    const { pid } = children.start({ ...options, onMessage: heard.resolve });
    assert.deepEqual(await heard.promise, { kind: 'waiting', trainers: 1, wanted: 2 });
    await children.stop();
    assert.equal(alive(pid), false);
    assert.equal(failed, false);
    assert.equal(swarm.nodes[0]?.trainers.length, 0, 'it said goodbye');
    await swarm.stop();
  });
});
