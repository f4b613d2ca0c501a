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

/** Virtual time goes on while something is done that may wait for others. */
async function meanwhile<T>(world: World, work: Promise<T>): Promise<T> {
  let isOver = false;
  const end = (): void => {
    isOver = true;
  };
  work.then(end, end);
  await world.clock.runUntil(() => isOver, world.clock.nowMs() + 30_000);
  return await work;
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
      await meanwhile(world, engine.desk.rollbackTo(4));

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

      await meanwhile(world, world.node(3).up.desk.goOn());
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
      await assert.rejects(meanwhile(world, engine.desk.rollbackTo(1_000)), code('NOT_FOUND'));
      assert.equal(engine.ctx.pinned, undefined);
      await meanwhile(world, engine.desk.goOn());
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
      await assert.rejects(meanwhile(world, node.up.desk.rollbackTo(2)), code('AGGREGATE_MISSING'));
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
      await meanwhile(world, world.node(3).up.desk.rollbackTo(to));
      assert.equal(chain.head, wanted);
      assert.equal(chain.order.root(), wanted?.state.treeRoot);
      await world.run(5_000);
      assert.equal(chain.head, wanted, 'no provisional decision moves it');
    });
  });
});

describe('a rollback by the committee', function () {
  this.timeout(60_000);

  it('brings back the model of an epoch with the block after the ballots of a quorum, and goes on from it', async () => {
    await inWorld({}, async (world) => {
      assert.ok(await finals(world, 6, [0, 1, 2, 3]));
      const to = 2;
      const before = finalEpoch(world, 0);
      const wanted = world.node(0).up.ctx.chain.at(to)?.state.modelRoot;
      const restored = (i: number) => {
        const { chain } = world.node(i).up.ctx;
        for (let epoch = before; epoch <= chain.finalized.state.epoch; epoch++)
          if (chain.at(epoch)?.restored !== undefined) return chain.at(epoch);
        return undefined;
      };
      for (const i of [0, 1]) await world.node(i).up.desk.ballot({ action: 'restore', subject: null, epoch: to });
      assert.ok(await finals(world, before + 4, [0, 1, 2, 3]));
      assert.equal(restored(3), undefined, 'two of four are no quorum');
      await assert.rejects(world.node(0).up.desk.ballot({ action: 'restore', subject: null, epoch: to }), code('DUPLICATE'));

      await world.node(2).up.desk.ballot({ action: 'restore', subject: null, epoch: to });
      assert.ok(await world.clock.runUntil(() => [0, 1, 2, 3].every((i) => restored(i) !== undefined), world.clock.nowMs() + 30_000));
      for (const i of [0, 1, 2, 3]) {
        assert.equal(restored(i)?.restored, to);
        assert.equal(restored(i)?.state.modelRoot, wanted);
        assert.equal(contentOf(bytesOf(await world.node(i).up.ctx.chain.model(restored(i)?.state.epoch ?? 0))).root, wanted);
      }
      assert.ok(await finals(world, finalEpoch(world, 0) + 2, [0, 1, 2, 3]), 'the swarm learns on');
      assert.notEqual(world.node(0).up.ctx.chain.finalized.state.modelRoot, wanted);
      assert.equal(new Set(world.nodes.map(({ up }) => up.ctx.chain.at(before + 5)?.stateRoot)).size, 1);
    });
  });

  it('hears voters alone, on what they hold and on what can still change', async () => {
    await inWorld({ classes: ['core', 'core', 'core', 'edge'] }, async (world) => {
      assert.ok(await finals(world, 2, [0, 1, 2, 3]));
      const edge = world.node(3);
      const voter = world.node(0).up;
      await assert.rejects(edge.up.desk.ballot({ action: 'restore', subject: null, epoch: 1 }), code('NOT_VOTER'));
      await assert.rejects(voter.desk.ballot({ action: 'restore', subject: null, epoch: 1_000 }), code('NOT_FOUND'));
      await assert.rejects(voter.desk.ballot({ action: 'admit', subject: 'f'.repeat(64), epoch: 0 }), code('NOT_FOUND'));
      await assert.rejects(voter.desk.ballot({ action: 'admit', subject: edge.identity.fingerprint, epoch: 0 }), code('BAD_USAGE'));
      await assert.rejects(voter.desk.ballot({ action: 'remove', subject: edge.identity.fingerprint, epoch: 0 }), code('BAD_USAGE'));
    });
  });

  it('a member leaves and comes back by its own word', async () => {
    await inWorld({}, async (world) => {
      assert.ok(await finals(world, 2, [0, 1, 2, 3]));
      const node = world.node(3);
      const standing = (i: number) =>
        world.node(i).up.ctx.chain.finalized.state.members.find((m) => m.fingerprint === node.identity.fingerprint);
      await assert.rejects(node.up.desk.membership('resume'), code('DUPLICATE'));
      await node.up.desk.membership('leave');
      assert.ok(await world.clock.runUntil(() => [0, 1, 2, 3].every((i) => standing(i)?.status === 'left'), world.clock.nowMs() + 30_000));
      assert.equal(standing(0)?.vote, 'none');
      await assert.rejects(node.up.desk.membership('leave'), code('DUPLICATE'));
      await node.up.desk.membership('resume');
      assert.ok(
        await world.clock.runUntil(() => [0, 1, 2, 3].every((i) => standing(i)?.status === 'active'), world.clock.nowMs() + 30_000),
      );
    });
  });
});

function engineVotes(world: World, i: number): boolean {
  const { ctx, committee } = world.node(i).up;
  return ctx.mayVote && committee.voting.isVoter && !ctx.chain.isProvisional;
}
