import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import { World, type WorldOptions } from '../../../src/simulation/index.ts';

const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;
const RULES = { minDeadlineMs: 100, snapshotEpochs: 3 } as const;

async function inWorld(options: Partial<WorldOptions>, body: (world: World) => Promise<void>): Promise<void> {
  const world = new World({ nodes: 4, seed: 7, rules: RULES, ...options });
  try {
    await world.boot();
    await body(world);
  } finally {
    world.stop();
  }
}

const finalEpoch = (world: World, i: number): number => world.node(i).up.ctx.chain.finalized.state.epoch;
const finals = (world: World, epoch: number, nodes: readonly number[], withinMs = 60_000): Promise<boolean> =>
  world.clock.runUntil(() => nodes.every((i) => finalEpoch(world, i) >= epoch), world.clock.nowMs() + withinMs);

/** Everything that a rollback must bring back, from what the node holds and not from what a block says. */
async function standOf(world: World, i: number): Promise<readonly unknown[]> {
  const { chain } = world.node(i).up.ctx;
  const { epoch, modelRoot } = chain.head.state;
  const held = contentOf(bytesOf(await chain.model(epoch))).root;
  assert.equal(held, modelRoot);
  return [epoch, chain.head.id, held, chain.order.size, chain.order.root(), chain.head.stateRoot];
}

describe('a local rollback', function () {
  this.timeout(60_000);

  it('restores model, tree and state of an epoch at once, holds over restarts, and ends with the roots of the others', async () => {
    await inWorld({}, async (world) => {
      assert.ok(await finals(world, 4, [0, 1, 2, 3]));
      await world.clock.runUntil(() => finalEpoch(world, 3) >= 4, world.clock.nowMs() + 1);
      const chain = () => world.node(3).up.ctx.chain;
      const then = chain().at(4);
      assert.ok(await finals(world, 8, [0, 1, 2, 3]));
      const engine = world.node(3).up;
      await engine.rollbackTo(4);

      const stood = await standOf(world, 3);
      assert.deepEqual(stood.slice(0, 2), [4, then?.id]);
      assert.deepEqual(stood.slice(3), [then?.state.treeSize, then?.state.treeRoot, then?.stateRoot]);
      await assert.rejects(
        engine.submit({ epoch: 5, kind: 'delta', samples: 1, metrics: {}, values: new Float32Array(64) }),
        code('PINNED'),
      );

      // The others go on without it, and their blocks do not move it.
      const there = finalEpoch(world, 0);
      assert.ok(await finals(world, there + 3, [0, 1, 2]));
      assert.deepEqual(await standOf(world, 3), stood);
      assert.equal(world.node(3).up.ctx.mayVote, false);

      world.node(3).kill();
      await world.node(3).start();
      await world.run(5_000);
      assert.deepEqual(await standOf(world, 3), stood, 'after a restart');

      await world.node(3).up.goOn();
      world.node(3).attachTrainer();
      const next = finalEpoch(world, 0) + 3;
      assert.ok(await finals(world, next, [0, 1, 2, 3]), `caught up to ${finalEpoch(world, 3)} of ${finalEpoch(world, 0)}`);
      for (let epoch = 1; epoch <= next; epoch++)
        assert.equal(new Set(world.nodes.map((node) => node.up.ctx.chain.at(epoch)?.stateRoot)).size, 1, `epoch ${epoch}`);
      assert.ok(await world.clock.runUntil(() => engineVotes(world, 3), world.clock.nowMs() + 30_000), 'it votes again');
      assert.equal(world.node(3).fatal, undefined);
    });
  });

  it('refuses an epoch that is not applied and changes nothing', async () => {
    await inWorld({}, async (world) => {
      assert.ok(await finals(world, 2, [0, 1, 2, 3]));
      const engine = world.node(1).up;
      await assert.rejects(engine.rollbackTo(1_000), code('NOT_FOUND'));
      assert.equal(engine.ctx.pinned, undefined);
      await engine.goOn();
      assert.ok(await finals(world, finalEpoch(world, 1) + 2, [0, 1, 2, 3]), 'all go on');
    });
  });

  it('refuses an epoch whose sums are gone, naming what is missing', async () => {
    await inWorld({ rules: { ...RULES, snapshotEpochs: 1_000 } }, async (world) => {
      assert.ok(await finals(world, 6, [0, 1, 2, 3]));
      const node = world.node(2);
      const { chain, ports } = node.up.ctx;
      for (let epoch = 1; epoch <= 6; epoch++) {
        const header = chain.at(epoch)?.header;
        if (header !== undefined) await ports.blobs.delete(header.sumRoot);
      }
      chain.models.forgetAfter(0);
      await assert.rejects(node.up.rollbackTo(2), code('AGGREGATE_MISSING'));
      assert.equal(node.up.ctx.pinned, undefined);
    });
  });

  it('drops provisional results at once', async () => {
    await inWorld({}, async (world) => {
      assert.ok(await finals(world, 2, [0, 1, 2, 3]));
      for (const i of [0, 1]) world.node(i).kill();
      const { chain } = world.node(3).up.ctx;
      const provisional = () => chain.head.state.epoch - chain.finalized.state.epoch;
      assert.ok(await world.clock.runUntil(() => provisional() >= 3, world.clock.nowMs() + 60_000), 'goes on without a quorum');
      const to = chain.head.state.epoch - 1;
      const wanted = chain.at(to);
      await world.node(3).up.rollbackTo(to);
      assert.equal(chain.head, wanted);
      assert.equal(chain.order.root(), wanted?.state.treeRoot);
      await world.run(5_000);
      assert.equal(chain.head, wanted, 'no provisional decision moves it');
    });
  });
});

function engineVotes(world: World, i: number): boolean {
  const { ctx, committee } = world.node(i).up;
  return ctx.mayVote && committee.voting.isVoter && !ctx.chain.isProvisional;
}
