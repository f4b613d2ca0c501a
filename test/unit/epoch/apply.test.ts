import assert from 'node:assert/strict';
import { keepAggregate } from '../../../src/epoch/aggregates.ts';
import { average } from '../../../src/epoch/average.ts';
import type { DecisionBody } from '../../../src/spec/index.ts';
import { emptyDecision, sorted, type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { hashOf } from '../ledger/entries.ts';

const wave = (i: number): Float32Array => Float32Array.from({ length: 8 }, (_, k) => Math.sin(1 + i + k));

const decideOn = (node: TestNode, body: DecisionBody): unknown =>
  node.ctx.replica.append('decision', body, node.ctx.chain.head.id, node.ctx.chain.head.state.epoch);

/** Counts the sums that a node computes from here on. */
function sumsOf({ ctx: { ports } }: TestNode): () => number {
  const { compute } = ports;
  const plain = compute.weightedSum;
  let n = 0;
  compute.weightedSum = (rows, weights) => {
    n++;
    return plain(rows, weights);
  };
  return () => n;
}

describe('what applying a decision costs', () => {
  it('sums once for a decision of its own and its audit', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const ids = await swarm.contribute([wave(1), wave(2), wave(3)]);
    const node = swarm.node(0);
    const sums = sumsOf(node);
    await node.decide(ids);
    await node.apply();
    assert.deepEqual([node.ctx.chain.head.state.epoch, sums(), node.asked.length], [1, 1, 0]);
    // Another roster and another base are other sums.
    const base = node.ctx.chain.at(0)?.state ?? assert.fail('genesis');
    const [first, ...rest] = sorted(ids);
    for (const roster of [rest, [first as string]]) await average(node.ctx, base, roster);
    await average(node.ctx, { ...base, members: base.members.slice(1) }, [first as string]);
    assert.equal(sums(), 4);
  });

  it('fetches nothing where the rows are held, and can give the aggregate to others then', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const ids = await swarm.contribute([wave(1), wave(2), wave(3)]);
    const node = swarm.node(2);
    for (const i of [0, 1]) await swarm.node(i).decide(ids);
    swarm.share();
    await node.apply();
    const { head } = node.ctx.chain;
    assert.deepEqual([head.state.epoch, node.asked.length], [1, 0]);
    assert.notEqual(await node.handlers.get('head')?.('anyone', Buffer.from(head.body?.aggregateHash ?? '', 'hex')), undefined);
    assert.equal(await node.blobs.has(head.header?.sumRoot ?? ''), true);
  });

  it('finds out without asking anybody that a sum is made up, that weights are, and that nothing was averaged', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const ids = await swarm.contribute([wave(1), wave(2), wave(3)]);
    const honest = await swarm.node(0).decide(ids);
    const node = swarm.node(0);
    const made = hashOf('nobody has this');
    for (const lie of [
      { ...honest, aggregateHash: made },
      { ...honest, weights: [1, 2, 3], aggregateHash: made },
      { ...emptyDecision(node.ctx), aggregateHash: made },
    ]) {
      for (const i of [1, 2]) decideOn(swarm.node(i), lie);
      swarm.share();
      await node.apply();
    }
    assert.deepEqual([node.ctx.refused.size, node.ctx.unavailable.size, node.asked.length], [3, 0, 0]);
    assert.deepEqual(node.ctx.chain.head.body, honest);
  });

  it('does not ask for what no seat stands on', async () => {
    const swarm = new TestSwarm({ nodes: 3, classes: ['core', 'core', 'edge'] }).joined();
    decideOn(swarm.node(2), { ...emptyDecision(swarm.node(2).ctx), aggregateHash: hashOf('nobody has this') });
    swarm.share();
    const node = swarm.node(0);
    await node.apply();
    assert.deepEqual([node.ctx.chain.head.state.epoch, node.asked.length, node.ctx.refused.size], [0, 0, 0]);
  });
});

describe('another branch', () => {
  it('is taken whole or not at all: while the model it builds on is not to be had the head stays', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    let branch: DecisionBody | undefined;
    for (let epoch = 0; epoch < 11; epoch++) {
      const ids = await swarm.contribute(swarm.nodes.map((_, i) => wave(epoch + i)));
      if (epoch === 2) {
        // What two of the three could have decided in epoch 3 instead.
        const { ctx } = swarm.node(1);
        const roster = sorted(ids.slice(1));
        const aggregate = await average(ctx, ctx.chain.head.state, roster);
        await keepAggregate(ctx, aggregate);
        branch = { epoch: 3, prev: ctx.chain.head.id, roster, weights: aggregate.weights, aggregateHash: aggregate.hash, dropped: [] };
      }
      for (const node of swarm.nodes) await node.decide(ids);
      swarm.share();
      for (const node of swarm.nodes) await node.apply();
    }
    const node = swarm.node(0);
    const { chain } = node.ctx;
    const { head, order } = chain;
    const [root, size] = [order.root(), order.size];
    // Older than the models in memory.
    const sumRoot = chain.at(1)?.header?.sumRoot ?? assert.fail('nothing was averaged');
    const sum = (await node.blobs.get(sumRoot)) ?? assert.fail('the sum is on disk');
    await node.blobs.delete(sumRoot);
    const body = branch ?? assert.fail('the other decision');
    for (const i of [1, 2]) decideOn(swarm.node(i), body);
    swarm.share();
    assert.deepEqual(await node.apply(), []);
    assert.deepEqual([chain.head, order.root(), order.size], [head, root, size]);

    await node.blobs.put(sum);
    node.ctx.unavailable.clear();
    assert.equal((await node.apply()).length, 1);
    assert.deepEqual([chain.head.state.epoch, chain.head.body], [3, body]);
    assert.notDeepEqual(await chain.model(3), await chain.model(2));
  });
});
