import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import { heldHashes, heldHeader, keepHeader } from '../../../src/epoch/aggregates.ts';
import { auditRoster } from '../../../src/epoch/audit.ts';
import { type EntryOf, isKind } from '../../../src/ledger/index.ts';
import { World, type WorldOptions } from '../../../src/simulation/index.ts';
import { type AggregateHeader, type SignedEntry, WEIGHT_TOTAL } from '../../../src/spec/index.ts';
import { aggregateHash } from '../../../src/wire/index.ts';
import { signed } from '../../support/epochWorld.ts';

const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;
const [SNAPSHOT, RETAIN] = [3, 5];
const RULES = { minDeadlineMs: 100, snapshotEpochs: SNAPSHOT, retainEpochs: RETAIN } as const;

async function inWorld(options: Partial<WorldOptions>, body: (world: World) => Promise<void>): Promise<void> {
  const world = new World({ nodes: 4, seed: 3, rules: RULES, ...options });
  try {
    await world.boot();
    await body(world);
  } finally {
    world.stop();
  }
}

const chainOf = (world: World, i: number) => world.node(i).up.ctx.chain;
const finals = (world: World, epoch: number, nodes: readonly number[], withinMs = 60_000): Promise<boolean> =>
  world.clock.runUntil(() => nodes.every((i) => chainOf(world, i).finalized.state.epoch >= epoch), world.clock.nowMs() + withinMs);

/** Epochs whose model this node can make from its disk alone, each checked against the root of its block. */
async function epochsAtHand(world: World, i: number): Promise<number[]> {
  const chain = chainOf(world, i);
  const found: number[] = [];
  for (let epoch = 0; epoch <= chain.finalized.state.epoch; epoch++) {
    chain.models.forgetAfter(0);
    try {
      assert.equal(contentOf(bytesOf(await chain.model(epoch))).root, chain.modelRootAt(epoch));
      found.push(epoch);
    } catch (error) {
      if (!code('AGGREGATE_MISSING')(error)) throw error;
    }
  }
  return found;
}

/** Contents of the chain's models and sums on disk. */
async function contents(world: World, i: number): Promise<number> {
  const chain = chainOf(world, i);
  const roots = new Set<string>();
  for (let epoch = 1; epoch <= chain.head.state.epoch; epoch++) {
    const applied = chain.at(epoch);
    if (applied !== undefined) roots.add(applied.state.modelRoot);
    if (applied?.header !== undefined) roots.add(applied.header.sumRoot);
  }
  const held = await Promise.all([...roots].map((root) => world.node(i).disk.blobs.has(root)));
  return held.filter(Boolean).length;
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

describe('pruning', function () {
  this.timeout(60_000);

  it('keeps what gives every model since its base, and of all behind it an archive', async () => {
    await inWorld({ nodes: 1 }, async (world) => {
      assert.ok(await finals(world, 16, [0]));
      const chain = chainOf(world, 0);
      const { epoch: base, treeSize } = chain.base.state;
      const newest = chain.finalized.state.epoch;
      assert.ok(base <= newest - RETAIN && base > newest - RETAIN - 2 * SNAPSHOT && base % SNAPSHOT === 0, `${base} of ${newest}`);
      assert.deepEqual(await epochsAtHand(world, 0), [0, ...Array.from({ length: newest - base + 1 }, (_, n) => base + n)]);

      const { disk } = world.node(0);
      const left = [...disk.entries.all()];
      assert.ok(left.length > 0 && left.every(({ id }) => (chain.find(id)?.index ?? Number.POSITIVE_INFINITY) >= treeSize));
      assert.equal(disk.blocks.get(base), undefined);
      assert.ok(disk.blocks.get(base + 1) !== undefined && disk.blocks.base()?.epoch === base);
      const archived = [...disk.blocks.segments()].flatMap(({ leaves }) => leaves);
      assert.deepEqual(
        archived.map(({ id }) => id),
        chain.order.slice(0, treeSize).map(({ entry }) => entry.id),
      );

      const before = await contents(world, 0);
      assert.ok(await finals(world, newest + 9, [0]));
      const after = await contents(world, 0);
      // A model a snapshot, a sum an epoch: as many as `retainEpochs` and one snapshot's distance hold.
      assert.ok(Math.max(before, after) <= RETAIN + 2 * SNAPSHOT + 4, `${before}, then ${after} contents`);
      const aggregates = heldHashes(world.node(0).up.ctx).length;
      assert.ok(aggregates <= RETAIN + 2 * SNAPSHOT + 4, `${aggregates} headers`);
    });
  });

  it('a node starts again, is rolled back and is audited on what is left, and a newcomer takes it', async () => {
    await inWorld({ nodes: 4, late: new Set([3]) }, async (world) => {
      const three = [0, 1, 2];
      assert.ok(await finals(world, 11, three));
      world.node(2).kill();
      await world.node(2).start();
      world.node(2).attachTrainer();
      await world.node(3).start();
      const next = chainOf(world, 0).finalized.state.epoch + 3;
      assert.ok(await finals(world, next, [0, 1, 2, 3]), `stand at ${[2, 3].map((i) => chainOf(world, i).finalized.state.epoch)}`);
      assert.equal(new Set([0, 1, 2, 3].map((i) => chainOf(world, i).at(next)?.stateRoot)).size, 1);
      assert.equal(world.node(3).fatal, undefined);
      const base = chainOf(world, 2).base.state.epoch;
      assert.ok(chainOf(world, 3).base.state.epoch >= 3, 'the newcomer replayed nothing that others had archived');
      const order = (i: number) =>
        chainOf(world, i)
          .order.slice(0, chainOf(world, 0).base.state.treeSize)
          .map(({ entry, void: isVoid, epoch }) => [entry.id, isVoid, epoch, entry.core.author, entry.core.seq, entry.core.lam]);
      assert.deepEqual(order(3), order(0));

      await meanwhile(world, world.node(2).up.desk.rollbackTo(base));
      assert.equal(chainOf(world, 2).head.state.epoch, base);
      await assert.rejects(meanwhile(world, world.node(2).up.desk.rollbackTo(base - 1)), code('NOT_FOUND'));
      assert.equal(chainOf(world, 2).head.state.epoch, base);
    });
  });

  it('one that was away for longer than anything is kept whole takes the archive, and keeps what it had said', async () => {
    await inWorld({ nodes: 4 }, async (world) => {
      assert.ok(await finals(world, 4, [0, 1, 2, 3]));
      world.node(3).kill();
      const held = [...world.node(3).disk.entries.all()].map(({ id }) => id);
      assert.ok(await finals(world, chainOf(world, 0).finalized.state.epoch + 4 * RETAIN, [0, 1, 2]));
      await world.node(3).start();
      world.node(3).attachTrainer();
      const next = chainOf(world, 0).finalized.state.epoch + 3;
      assert.ok(await finals(world, next, [0, 1, 2, 3]), `stands at ${chainOf(world, 3).finalized.state.epoch}`);
      assert.ok(chainOf(world, 3).base.state.epoch > 4 + RETAIN);
      assert.equal(new Set([0, 3].map((i) => chainOf(world, i).at(next)?.stateRoot)).size, 1);
      for (const id of held) assert.ok(world.node(3).up.ctx.replica.graph.has(id), `lost ${id}`);
      const { graph } = world.node(3).up.ctx.replica;
      const { self } = world.node(3).up.ctx;
      const contributes = () => graph.contributionsOf(chainOf(world, 3).head.state.epoch).some((e) => e.core.author === self);
      assert.ok(await world.clock.runUntil(contributes, world.clock.nowMs() + 60_000), 'and contributes again');
    });
  });

  it('a crash between the archive and what it takes the place of leaves nothing behind', async () => {
    await inWorld({ nodes: 1 }, async (world) => {
      assert.ok(await finals(world, 16, [0]));
      const { disk } = world.node(0);
      const { graph } = world.node(0).up.ctx.replica;
      const { treeSize } = chainOf(world, 0).base.state;
      const [join] = [...graph.entries()];
      world.node(0).kill();
      disk.entries.append([join as SignedEntry]);
      const size = disk.entries.size();
      await world.node(0).start();
      assert.equal(disk.entries.size(), size - 1);
      assert.equal(chainOf(world, 0).base.state.treeSize, treeSize);
      assert.ok(await finals(world, 20, [0]));
    });
  });

  it('keeps a model that a motion may bring back', async () => {
    await inWorld({ nodes: 3 }, async (world) => {
      assert.ok(await finals(world, 5, [0, 1, 2]));
      const ballot = { action: 'restore', subject: null, epoch: 4 } as const;
      const wanted = chainOf(world, 0).at(4)?.state.modelRoot as string;
      await world.node(0).up.desk.ballot(ballot);
      assert.ok(await finals(world, 13, [0, 1, 2]));
      assert.deepEqual(await Promise.all([0, 1, 2].map((i) => world.node(i).disk.blobs.has(wanted))), [true, true, true]);
      assert.ok(chainOf(world, 0).base.state.epoch > 4);
      await assert.rejects(
        world.node(2).up.desk.ballot({ ...ballot, epoch: 5 }),
        code('AGGREGATE_MISSING'),
        'what nobody asked for is gone',
      );
      await world.node(2).up.desk.ballot(ballot);
      const restored = (i: number) => chainOf(world, i).at(chainOf(world, i).finalized.state.epoch)?.state.modelRoot === wanted;
      assert.ok(await world.clock.runUntil(() => [0, 1, 2].some(restored), world.clock.nowMs() + 30_000));
      assert.ok(await finals(world, chainOf(world, 0).finalized.state.epoch + 3, [0, 1, 2]), 'and the swarm learns on from it');
    });
  });

  it('leaves contributions to later epochs alone that no block holds, whatever an archived one names', async () => {
    await inWorld({ nodes: 1 }, async (world) => {
      assert.ok(await finals(world, 6, [0]));
      const { ctx } = world.node(0).up;
      const { graph } = ctx.replica;
      const late = [...graph.entries()].filter((e): e is EntryOf<'contribution'> => isKind(e, 'contribution'));
      const [old] = late as [EntryOf<'contribution'>];
      const { epoch } = old.core.body;
      const other = signed(world.node(0).identity, { ...old.core, epochSeen: old.core.epochSeen + 1 });
      graph.add(other);
      graph.forget([old.id]);
      assert.deepEqual(graph.contributionsOf(epoch), [other]);
      // Whoever rosters what is archived breaks a rule, here as on a node that holds it whole.
      const { state } = ctx.chain.finalized;
      const body = {
        epoch: state.epoch + 1,
        prev: state.decision,
        roster: [old.id],
        weights: [WEIGHT_TOTAL],
        aggregateHash: 'ab'.repeat(32),
        dropped: [],
      };
      assert.throws(() => auditRoster(ctx, state, body), code('INCOMPATIBLE'));
    });
  });

  it('forgets aggregates that no block took, and no others', async () => {
    await inWorld({ nodes: 1 }, async (world) => {
      assert.ok(await finals(world, 6, [0]));
      const { ctx } = world.node(0).up;
      const lost: AggregateHeader = {
        v: 1,
        epoch: 2,
        weightTotal: 1,
        sumRoot: 'ab'.repeat(32),
        sumBytes: 256,
        distances: ['1'],
        opening: null,
      };
      const late = { ...lost, epoch: 1_000 };
      for (const header of [lost, late]) keepHeader(ctx, aggregateHash(header), header);
      assert.ok(await finals(world, 16, [0]));
      assert.equal(heldHeader(ctx, aggregateHash(lost)), undefined);
      assert.deepEqual(heldHeader(ctx, aggregateHash(late)), late);
      const base = ctx.chain.base.state.epoch;
      const final = Array.from({ length: 16 - base }, (_, n) => ctx.chain.at(base + n + 1)?.body?.aggregateHash ?? '');
      for (const hash of final) assert.ok(/^0+$/.test(hash) || heldHeader(ctx, hash) !== undefined);
    });
  });
});
