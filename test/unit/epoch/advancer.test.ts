import assert from 'node:assert/strict';
import { Advancer } from '../../../src/epoch/advancer.ts';
import { Committee } from '../../../src/epoch/committee.ts';
import type { EpochContext } from '../../../src/epoch/context.ts';
import { servedBlobs } from '../../../src/epoch/fetch.ts';
import { serveContent } from '../../../src/epoch/served.ts';
import { Timers } from '../../../src/epoch/timers.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { decodeContentRequest } from '../../../src/wire/index.ts';
import type { TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { certify, committee, draftOf, give, judgeAll, wave } from '../../support/finalSteps.ts';

/** The chain's side of a node. `moved` lists the epochs that it was told of. */
function advancerOf(node: TestNode) {
  const { ctx } = node;
  const moved: number[] = [];
  let base = ctx.chain.head.id;
  const timers = new Timers(ctx.ports.clock);
  const votes = { finalNews: () => undefined, reachChanged: () => undefined, behind: () => undefined, fatal: () => undefined };
  const seat = new Committee(ctx, timers, Promise.resolve(), votes);
  const advancer = new Advancer(ctx, seat, node.residual, timers, {
    get base() {
      return base;
    },
    moved: (applied) => {
      base = ctx.chain.head.id;
      moved.push(...applied.map(({ state }) => state.epoch));
    },
    askAround: () => undefined,
  });
  return { advancer, moved };
}

/** One epoch of a swarm of three, of which the third takes nothing. Returns what its peers would hand it. */
async function epochWithout(swarm: TestSwarm, seed: number) {
  const others = swarm.nodes.slice(0, 2);
  const ids = await swarm.contribute([wave(seed), wave(seed + 1)]);
  await judgeAll(swarm, ids, others);
  const { block, aggregate } = await draftOf(swarm.node(0), ids);
  const record = { block, certificate: certify(block, others) };
  for (const node of others) await give(node, record, aggregate.header);
  return { record, header: aggregate.header ?? null };
}

const modelAt = async ({ chain }: EpochContext, epoch: number) => [...(await chain.model(epoch))];

describe('advancing while the newest model is pulled', () => {
  it('goes on with the blocks that come, whose sums lead from the pulled model to the newest', async () => {
    const swarm = committee(3);
    const node = swarm.node(2);
    const { ctx } = node;
    const row = ctx.updates.row.bind(ctx.updates);
    const { advancer, moved } = advancerOf(node);
    // The rows of the first epoch never came: its model is pulled, and the pull takes longer than two epochs.
    ctx.updates.row = () => undefined;
    const gate = Promise.withResolvers<void>();
    const wanted: string[] = [];
    for (const donor of swarm.nodes.slice(0, 2))
      donor.handlers.set('content', async (from, payload) => {
        wanted.push(decodeContentRequest(payload).root);
        await gate.promise;
        return await serveContent(servedBlobs(donor.ctx))(from, payload);
      });
    const first = await epochWithout(swarm, 0);
    ctx.finals.add(first, 0);
    const firstRun = advancer.advance();
    await swarm.clock.runUntil(() => wanted.length > 0, 1_000);
    ctx.updates.row = row;
    for (const seed of [3, 6]) {
      ctx.finals.add(await epochWithout(swarm, seed), ctx.chain.finalized.state.epoch);
      void advancer.advance();
      const epoch = ctx.chain.finalized.state.epoch + 1;
      assert.ok(await swarm.clock.runUntil(() => moved.includes(epoch), swarm.clock.nowMs() + 1_000), `epoch ${epoch} waits for the model`);
    }
    assert.deepEqual(moved, [1, 2, 3]);
    await assert.rejects(ctx.chain.model(3), (e: unknown) => e instanceof StarlingError && e.code === 'AGGREGATE_MISSING');
    gate.resolve();
    await firstRun;
    const root = first.record.block.header.modelRoot;
    assert.ok(await swarm.clock.runUntil(() => ctx.chain.models.byRoot(root) !== undefined, swarm.clock.nowMs() + 1_000));
    assert.deepEqual(await modelAt(ctx, 3), await modelAt(swarm.node(0).ctx, 3));
    assert.deepEqual([...new Set(wanted)], [first.record.block.header.modelRoot], 'nothing but the model that was begun is pulled');
  });

  it('waits for the model where nothing else comes, and fails with the store and not with a peer', async () => {
    const swarm = committee(3);
    const node = swarm.node(2);
    const { ctx } = node;
    const { advancer, moved } = advancerOf(node);
    const row = ctx.updates.row;
    ctx.updates.row = () => undefined;
    ctx.finals.add(await epochWithout(swarm, 0), 0);
    await advancer.advance();
    assert.deepEqual(moved, [1]);
    assert.deepEqual(await modelAt(ctx, 1), await modelAt(swarm.node(0).ctx, 1));
    ctx.updates.row = row;
    const open = ctx.chain.openModel.bind(ctx.chain);
    ctx.finals.add(await epochWithout(swarm, 3), 1);
    ctx.chain.openModel = (epoch) => (epoch === 2 ? Promise.reject(new StarlingError('DATA_CORRUPT', 'rotten')) : open(epoch));
    await assert.rejects(advancer.advance(), (e: unknown) => e instanceof StarlingError && e.code === 'DATA_CORRUPT');
  });
});
