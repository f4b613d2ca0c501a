import assert from 'node:assert/strict';
import { bytesOf, float32Of } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import { fetchAggregate } from '../../../src/epoch/aggregates.ts';
import type { Applied } from '../../../src/epoch/chain.ts';
import type { EpochContext } from '../../../src/epoch/context.ts';
import { initialModelOf } from '../../../src/epoch/models.ts';
import type { AnyEntryCore, DecisionBody } from '../../../src/spec/index.ts';
import { decisionId, makeCertificate } from '../../../src/wire/index.ts';
import { emptyDecision, signed, type TestNode, TestSwarm } from '../../support/epochWorld.ts';

const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;
const wave = (i: number): Float32Array => Float32Array.from({ length: 8 }, (_, k) => Math.sin(1 + i + k));

/** `epochs` epochs in which everyone contributes, decides alike and applies. */
async function grown(epochs: number, nodes = 3): Promise<TestSwarm> {
  const swarm = new TestSwarm({ nodes }).joined();
  for (let e = 0; e < epochs; e++) {
    const ids = await swarm.contribute(swarm.nodes.map((_, i) => wave(e + i)));
    for (const node of swarm.nodes) await node.decide(ids);
    swarm.share();
    for (const node of swarm.nodes) await node.apply();
  }
  return swarm;
}

/** Takes a decision that averages nothing, over the step that it follows. */
async function extend({ chain }: EpochContext, body: DecisionBody): Promise<Applied> {
  const before = chain.at(body.epoch - 1) ?? chain.head;
  return chain.extend(decisionId(body), await chain.draft(before, body, { header: undefined, sum: undefined }));
}

/** What a node would need to show that it stands where another stands. */
const standOf = ({ ctx: { chain } }: TestNode) => [
  chain.head.id,
  chain.head.stateRoot,
  chain.head.state.modelRoot,
  chain.head.state.treeRoot,
];

describe('the chain of applied decisions', () => {
  it('brings every node to the same state and, bit for bit, the same model', async () => {
    const swarm = await grown(3);
    const [first, ...others] = swarm.nodes as [TestNode, ...TestNode[]];
    assert.equal(first.ctx.chain.head.state.epoch, 3);
    const model = await first.ctx.chain.model(3);
    for (const node of others) {
      assert.deepEqual(standOf(node), standOf(first));
      assert.deepEqual(await node.ctx.chain.model(3), model);
    }
    assert.notDeepEqual(model, swarm.initialModel);
  });

  it('moves the model by the weighted mean of what was prepared', async () => {
    const swarm = await grown(1);
    const model = await swarm.node(0).ctx.chain.model(1);
    swarm.initialModel.forEach((theta, k) => {
      const mean = swarm.nodes.reduce((sum, _, i) => sum + (wave(i)[k] as number) / 3, 0);
      // Each row is off by less than a quantum of 2^-12.
      assert.ok(Math.abs((model[k] as number) - theta - mean) < 2 ** -12, `${k}: ${model[k]}`);
    });
  });

  it('gives back order, tree, state and model of an earlier epoch, and goes the same way again', async () => {
    const swarm = await grown(5);
    const { ctx } = swarm.node(0);
    const [before, model] = [standOf(swarm.node(0)), await ctx.chain.model(5)];
    const ids = [3, 4, 5].map((epoch) => ctx.chain.at(epoch)?.id);
    const dropped = ctx.chain.rewind(2);
    assert.deepEqual(
      dropped.map((a) => a.state.epoch),
      [3, 4, 5],
    );
    assert.equal(ctx.chain.order.size, ctx.chain.head.state.treeSize);
    assert.equal(ctx.chain.order.root(), ctx.chain.head.state.treeRoot);
    assert.deepEqual(ctx.decisions.best(ctx.chain), { epoch: 2, next: ids });
    await assert.rejects(ctx.chain.model(3), code('NOT_FOUND'));
    await swarm.node(0).apply();
    assert.deepEqual([standOf(swarm.node(0)), await ctx.chain.model(5)], [before, model]);
  });

  it('rebuilds a model that is no longer in memory from the sums on disk', async () => {
    const swarm = await grown(11, 2);
    const { ctx } = swarm.node(0);
    const { blobs } = swarm.node(0);
    const { sumRoot } = ctx.chain.at(1)?.header ?? assert.fail('no header');
    const sum = (await blobs.get(sumRoot)) ?? assert.fail('no sum');
    await blobs.delete(sumRoot);
    await assert.rejects(ctx.chain.model(2), code('AGGREGATE_MISSING'));
    await blobs.put(sum);
    for (const epoch of [1, 2, 3]) {
      const model = await ctx.chain.model(epoch);
      assert.equal(contentOf(bytesOf(model)).root, ctx.chain.at(epoch)?.state.modelRoot);
    }
  });

  it('makes a model of the line that was asked for, though the chain goes back meanwhile', async () => {
    const swarm = await grown(11, 2);
    const { chain } = swarm.node(0).ctx;
    const root = chain.at(3)?.state.modelRoot;
    const asked = chain.model(3);
    chain.rewind(1);
    assert.equal(contentOf(bytesOf(await asked)).root, root);
    assert.equal(chain.models.byRoot(root ?? ''), undefined, 'what was given up is not kept');
    await assert.rejects(chain.model(3), code('NOT_FOUND'));
  });

  it('comes to the same after a restart, from what is on disk alone', async () => {
    const swarm = await grown(4);
    const node = swarm.node(1);
    const before = standOf(node);
    node.connected = [];
    node.restart();
    assert.equal(node.ctx.chain.head.state.epoch, 0);
    await node.apply();
    assert.deepEqual(standOf(node), before);
  });

  it('leaves the model alone in an epoch that averages nothing', async () => {
    const swarm = new TestSwarm({ nodes: 2 }).joined();
    const { ctx } = swarm.node(0);
    const join = ctx.replica.graph.joinOf(swarm.node(1).identity.fingerprint)?.id ?? assert.fail('no join');
    const body = emptyDecision(ctx, [join]);
    const applied = await extend(ctx, body);
    assert.deepEqual([applied.state.modelRoot, applied.state.epoch, applied.state.treeSize], [swarm.genesis.initialModelRoot, 1, 1]);
    assert.equal(await ctx.chain.model(1), await ctx.chain.model(0));
  });

  it('takes only what follows the head, and stays as it was when an entry is missing', async () => {
    const swarm = await grown(1);
    const { ctx } = swarm.node(0);
    const before = standOf(swarm.node(0));
    for (const wrong of [{ prev: swarm.id }, { epoch: 3 }]) {
      const body = { ...emptyDecision(ctx), ...wrong };
      await assert.rejects(extend(ctx, body), code('INCOMPATIBLE'));
    }
    const body = emptyDecision(ctx, ['ab'.repeat(32)]);
    await assert.rejects(extend(ctx, body), code('MISSING_PARENT'));
    assert.deepEqual(standOf(swarm.node(0)), before);
    assert.equal(ctx.chain.order.size, ctx.chain.head.state.treeSize);
  });

  it('admits by the branch that the roster chose: what a fork leaves void is ordered and ignored', async () => {
    const swarm = new TestSwarm({ nodes: 2, genesis: { founders: new TestSwarm({ nodes: 1 }).genesis.founders } });
    const node = swarm.node(0);
    node.join();
    const newcomer = swarm.node(1);
    const first = newcomer.join();
    const certificate = makeCertificate(newcomer.identity, 'edge', []);
    const second = signed(newcomer.identity, { ...first.core, body: { certificate, invite: null } } as AnyEntryCore);
    // By order alone the lower id would win; the roster names the other.
    const [lower, chosen] = first.id < second.id ? [first, second] : [second, first];
    node.take([lower, chosen]);
    const { contributionId } = await node.submit(wave(1));
    const { ctx } = node;
    assert.deepEqual(ctx.replica.graph.get(contributionId)?.core.deps, [lower.id, chosen.id]);
    const body = emptyDecision(ctx, [contributionId, chosen.id]);
    const { state } = await extend(ctx, body);
    assert.deepEqual([ctx.chain.find(lower.id)?.void, ctx.chain.find(chosen.id)?.void, state.treeSize], [true, false, 4]);
    const admitted = state.members.find((m) => m.fingerprint === newcomer.identity.fingerprint);
    assert.deepEqual([admitted?.nodeClass, state.members.length], [chosen === second ? 'edge' : 'core', 2]);
    const alone = emptyDecision(ctx);
    assert.equal((await extend(ctx, alone)).state.members.length, 2);
  });

  it('finds where an entry stands in the order', async () => {
    const swarm = await grown(1);
    const { chain, replica } = swarm.node(0).ctx;
    const [contribution] = replica.graph.contributionsOf(1);
    assert.equal(chain.find(contribution?.id ?? '')?.epoch, 1);
    assert.equal(chain.find('ab'.repeat(32)), undefined);
  });
});

describe('the initial model', () => {
  it('is the one that the genesis names', () => {
    const { genesis, initialModel } = new TestSwarm({ nodes: 1 });
    assert.deepEqual(initialModelOf(genesis, bytesOf(initialModel)), initialModel);
    const other = float32Of(bytesOf(initialModel));
    other[3] = (other[3] as number) + 2 ** -20;
    assert.throws(() => initialModelOf(genesis, bytesOf(other)), code('HASH_MISMATCH'));
    assert.throws(() => initialModelOf(genesis, bytesOf(initialModel).subarray(4)), code('HASH_MISMATCH'));
  });
});

describe('aggregates by hash', () => {
  it('come from an author of the decision, whatever updates this node missed', async () => {
    const swarm = new TestSwarm({ nodes: 4 }).joined();
    const late = swarm.node(3);
    const ids: string[] = [];
    for (const node of swarm.nodes.slice(0, 3)) {
      ids.push((await node.submit(wave(node.index))).contributionId);
      for (const { topic, data } of node.published) {
        for (const to of swarm.nodes.slice(0, 3)) if (to !== node) to.hear(topic, data);
      }
      for (const to of swarm.nodes.slice(0, 3)) {
        const [id] = ids.slice(-1) as [string];
        const key = node.ctx.updates.key(id);
        if (to !== node && key !== undefined) {
          to.ctx.updates.offerKey(key);
          assert.ok(to.open(id));
        }
      }
    }
    for (const node of swarm.nodes.slice(0, 3)) await node.decide(ids);
    swarm.share();
    for (const node of swarm.nodes) await node.apply();
    assert.deepEqual(standOf(late), standOf(swarm.node(0)));
    assert.equal(late.ctx.updates.row(ids[0] as string), undefined);
    assert.deepEqual([...new Set(late.asked.map((a) => a.protocol))], ['head', 'content']);
    // Once pulled it is served on.
    assert.notEqual(
      await late.handlers.get('head')?.('anyone', Buffer.from(late.ctx.chain.head.body?.aggregateHash ?? '', 'hex')),
      undefined,
    );
  });

  it('are not to be had where nobody gives them, and are not taken from liars', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const { ctx } = swarm.node(0);
    await assert.rejects(fetchAggregate(ctx, 'decision', 'ab'.repeat(32)), code('AGGREGATE_MISSING'));
    const ids = await swarm.contribute([wave(1), wave(2), wave(3)]);
    const { aggregateHash } = await swarm.node(1).decide(ids.slice(0, 2));
    const other = await swarm.node(2).decide(ids.slice(1));
    const lie = await swarm.node(2).handlers.get('head')?.('anyone', Buffer.from(other.aggregateHash, 'hex'));
    swarm.node(1).handlers.set('head', async () => lie);
    swarm.node(2).handlers.set('head', async () => Buffer.from('00', 'hex'));
    await assert.rejects(fetchAggregate(ctx, 'decision', aggregateHash), code('AGGREGATE_MISSING'));
    await assert.rejects(swarm.node(0).handlers.get('head')?.('anyone', new Uint8Array(5)) ?? Promise.resolve(), code('NOT_FOUND'));
  });
});
