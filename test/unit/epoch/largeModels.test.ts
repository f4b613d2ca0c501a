import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import { servedBlobs } from '../../../src/epoch/fetch.ts';
import { Models } from '../../../src/epoch/models.ts';
import { bytesOfParts, type Model, modelRootOf, partsOf, wholeOf } from '../../../src/epoch/storedModel.ts';
import { submit } from '../../../src/epoch/submit.ts';
import { MemoryBlobStore } from '../../../src/simulation/stores.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { valuesOf } from '../../support/residuals.ts';

const code = (expected: string) => (e: unknown) => e instanceof StarlingError && e.code === expected;
const wave = (i: number, length: number): Float32Array => Float32Array.from({ length }, (_, k) => Math.sin(1 + i + k) / 9);
/** Two chunks and a bit. */
const LENGTH = 140_000;

async function grow(swarm: TestSwarm, epochs: number): Promise<void> {
  for (let e = 0; e < epochs; e++) {
    const ids = await swarm.contribute(swarm.nodes.map((_, i) => wave(e + i, swarm.initialModel.length)));
    for (const node of swarm.nodes) await node.decide(ids);
    swarm.share();
    for (const node of swarm.nodes) await node.apply();
  }
}

const epochOf = ({ ctx }: TestNode): number => ctx.chain.head.state.epoch;
/** Which of all models so far lie in the scratch of a node. */
async function scratched({ ctx, scratch }: TestNode): Promise<number[]> {
  const epochs: number[] = [];
  for (let epoch = 0; epoch <= ctx.chain.head.state.epoch; epoch++)
    if ((await scratch?.has(ctx.chain.modelRootAt(epoch) ?? '')) === true) epochs.push(epoch);
  return epochs;
}

describe('large models', () => {
  const pair = () => new TestSwarm({ nodes: 2, large: [0] }).joined();

  it('on disk are, bit for bit, those that others have in memory; two of them stay', async () => {
    const swarm = pair();
    await grow(swarm, 4);
    const [onDisk, inMemory] = swarm.nodes as [TestNode, TestNode];
    assert.equal(onDisk.ctx.chain.head.state.modelRoot, inMemory.ctx.chain.head.state.modelRoot);
    const model = await onDisk.ctx.chain.openModel(4);
    assert.ok(!(model instanceof Float32Array) && (await inMemory.ctx.chain.openModel(4)) instanceof Float32Array);
    assert.ok(Buffer.from(bytesOf(await wholeOf(model))).equals(bytesOf(await inMemory.ctx.chain.model(4))));
    assert.equal(await modelRootOf(model), onDisk.ctx.chain.head.state.modelRoot);
    assert.deepEqual(await scratched(onDisk), [3, 4]);
  });

  it('are made again from the sums after a restart', async () => {
    const swarm = pair();
    await grow(swarm, 3);
    const node = swarm.node(0);
    node.restart();
    await node.apply();
    assert.deepEqual([epochOf(node), await scratched(node)], [3, [2, 3]]);
    node.ctx.chain.models.forgetAfter(0);
    assert.deepEqual(await scratched(node), []);
    assert.equal(await modelRootOf(await node.ctx.chain.openModel(3)), swarm.node(1).ctx.chain.head.state.modelRoot);
    assert.deepEqual(await scratched(node), [3], 'what led there is let go');
    const initial = await node.ctx.chain.openModel(0);
    assert.ok(!(initial instanceof Float32Array) && initial.store === node.blobs, 'the first is read where it lies');
  });

  it('are served, and are what parameters are submitted against', async () => {
    const swarm = pair();
    await grow(swarm, 1);
    const { ctx, residual } = swarm.node(0);
    const { modelRoot } = ctx.chain.head.state;
    const served = servedBlobs(ctx);
    const whole = bytesOf(await swarm.node(1).ctx.chain.model(1));
    assert.deepEqual(await served.index(modelRoot), contentOf(whole));
    assert.deepEqual(Buffer.from((await served.readChunk(modelRoot, 0)) ?? []), Buffer.from(whole));
    const owed = await valuesOf(residual);
    const values = (await ctx.chain.model(1)).map((v) => v + 0.5);
    const { updateHash } = await submit(ctx, residual, { epoch: 2, kind: 'parameters', samples: 1, metrics: {}, values });
    const { integers, exponents } = (await residual.get(updateHash)) ?? assert.fail('not kept');
    for (const { start, end } of ctx.spans) {
      const scale = 2 ** (exponents[start === 0 ? 0 : 1] as number);
      for (let k = start; k < end; k++)
        assert.ok(Math.abs((integers[k] as number) * scale - 0.5 - (owed[k] as number)) <= 2 * scale, `${k}: ${integers[k]}`);
    }
  });

  it('that were let go, and taken after all, are made again', async () => {
    const swarm = pair();
    await grow(swarm, 2);
    const { ctx, scratch } = swarm.node(0);
    const { modelRoot } = ctx.chain.head.state;
    await scratch?.delete(modelRoot);
    await assert.rejects(wholeOf(ctx.chain.models.byRoot(modelRoot) as Model), code('AGGREGATE_MISSING'));
    assert.equal(await modelRootOf(await ctx.chain.openModel(2)), modelRoot);
    assert.deepEqual(await scratched(swarm.node(0)), [1, 2]);
  });

  it('that were made and not taken go with the next step', async () => {
    const scratch = new MemoryBlobStore();
    const models = new Models(new MemoryBlobStore(), 'first', undefined, scratch);
    const made = [];
    for (const i of [1, 2, 3]) made.push(await models.make(bytesOfParts(wave(i, LENGTH))));
    const [a, b, c] = made as [(typeof made)[0], (typeof made)[0], (typeof made)[0]];
    models.keep(1, b.modelRoot, b.model);
    models.dropDrafts();
    assert.deepEqual(await Promise.all([a, b, c].map(({ modelRoot }) => scratch.has(modelRoot))), [false, true, false]);
    models.forgetAfter(0);
    assert.equal(await scratch.has(b.modelRoot), false);
  });

  it('are read in parts that are checked', async () => {
    const store = new MemoryBlobStore();
    const values = wave(0, LENGTH);
    const model: Model = { index: await store.putParts(bytesOfParts(values)), store };
    const lengths = [];
    for await (const part of partsOf(model)) lengths.push(part.length);
    assert.deepEqual(lengths, [65_536, 65_536, LENGTH - 2 * 65_536]);
    const rotten = {
      readChunk: async (root: string, i: number) => (await store.readChunk(root, i))?.map((byte, at) => byte ^ Number(i === 2 && at === 9)),
    };
    await assert.rejects(wholeOf({ ...model, store: rotten }), code('DATA_CORRUPT'));
    assert.equal(await modelRootOf(values), model.index.root);
  });
});
