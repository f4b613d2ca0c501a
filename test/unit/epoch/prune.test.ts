import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import { heldHashes, heldHeader, keepHeader } from '../../../src/epoch/aggregates.ts';
import { pruned } from '../../../src/epoch/prune.ts';
import { checkEntry, isKind } from '../../../src/ledger/index.ts';
import { World, type WorldOptions } from '../../../src/simulation/index.ts';
import type { AggregateHeader, SignedEntry } from '../../../src/spec/index.ts';
import { aggregateHash } from '../../../src/wire/index.ts';

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
const contributionsOnDisk = (world: World, i: number): SignedEntry[] =>
  [...world.node(i).entries.all()].filter((e) => isKind(e, 'contribution'));
const epochOf = (entry: SignedEntry): number => (isKind(entry, 'contribution') ? entry.core.body.epoch : -1);

/** Epochs whose model this node can make from its disk alone, each checked against the root of its block. */
async function epochsAtHand(world: World, i: number): Promise<number[]> {
  const chain = chainOf(world, i);
  const found: number[] = [];
  for (let epoch = 0; epoch <= chain.finalized.state.epoch; epoch++) {
    chain.models.forgetAfter(-1);
    try {
      assert.equal(contentOf(bytesOf(await chain.model(epoch))).root, chain.at(epoch)?.state.modelRoot);
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

  it('keeps what gives every model since the oldest snapshot, and lets signatures and contents behind it go', async () => {
    await inWorld({ nodes: 1 }, async (world) => {
      assert.ok(await finals(world, 16, [0]));
      const { horizon, base } = pruned(world.node(0).disk.store);
      assert.ok(horizon >= 9 && base <= horizon && base > horizon - SNAPSHOT && base % SNAPSHOT === 0, `horizon ${horizon}, base ${base}`);
      const newest = chainOf(world, 0).finalized.state.epoch;
      assert.deepEqual(await epochsAtHand(world, 0), [0, ...Array.from({ length: newest - base + 1 }, (_, n) => base + n)]);

      const kept = contributionsOnDisk(world, 0);
      assert.ok(kept.some((e) => epochOf(e) <= horizon) && kept.some((e) => epochOf(e) > horizon));
      for (const entry of kept) assert.equal(entry.composite === undefined, epochOf(entry) <= horizon, `epoch ${epochOf(entry)}`);

      const before = await contents(world, 0);
      assert.ok(await finals(world, newest + 9, [0]));
      const after = await contents(world, 0);
      // A model a snapshot, a sum an epoch: as many as `retainEpochs` and one snapshot's distance hold.
      assert.ok(Math.max(before, after) <= RETAIN + 2 * SNAPSHOT + 4, `${before}, then ${after} contents`);
      const aggregates = heldHashes(world.node(0).up.ctx).length;
      assert.ok(aggregates >= newest - 3, `${aggregates} headers: a restart replays them all`);
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
      const { horizon, base } = pruned(world.node(2).disk.store);
      assert.ok(
        contributionsOnDisk(world, 3).some((e) => epochOf(e) <= horizon && e.composite === undefined),
        'came without',
      );
      assert.equal(world.node(3).fatal, undefined);

      await meanwhile(world, world.node(2).up.desk.rollbackTo(base));
      assert.equal(chainOf(world, 2).head.state.epoch, base);
      await assert.rejects(meanwhile(world, world.node(2).up.desk.rollbackTo(base - 1)), code('AGGREGATE_MISSING'));
      assert.equal(chainOf(world, 2).head.state.epoch, base);
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
      assert.ok(pruned(world.node(0).disk.store).base > 4);
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

  it('forgets aggregates that no block took, and no others', async () => {
    await inWorld({ nodes: 1 }, async (world) => {
      assert.ok(await finals(world, 6, [0]));
      const { ctx } = world.node(0).up;
      const lost: AggregateHeader = { v: 1, epoch: 2, weightTotal: 1, sumRoot: 'ab'.repeat(32), sumBytes: 256, distances: ['1'] };
      const late = { ...lost, epoch: 1_000 };
      for (const header of [lost, late]) keepHeader(ctx, aggregateHash(header), header);
      assert.ok(await finals(world, 16, [0]));
      assert.equal(heldHeader(ctx, aggregateHash(lost)), undefined);
      assert.deepEqual(heldHeader(ctx, aggregateHash(late)), late);
      const final = Array.from({ length: 16 }, (_, n) => ctx.chain.at(n + 1)?.body?.aggregateHash ?? '');
      for (const hash of final) assert.ok(/^0+$/.test(hash) || heldHeader(ctx, hash) !== undefined);
    });
  });

  it('a contribution without its composite signature is taken when it is old, and then still as its author signed it', async () => {
    await inWorld({ nodes: 1 }, async (world) => {
      assert.ok(await finals(world, 2, [0]));
      const { graph } = world.node(0).up.ctx.replica;
      const whole = [...graph.entries()].find((e) => isKind(e, 'contribution')) as SignedEntry;
      const { composite: _, ...bare } = whole;
      const rules = (isOld: boolean | undefined) => ({
        swarm: world.swarm,
        get: (id: string) => graph.get(id),
        certificateOf: (author: string) => graph.certificateOf(author),
        ...(isOld === undefined ? {} : { isOld: () => isOld }),
      });
      assert.equal(checkEntry(whole, rules(undefined)).kind, 'accept');
      assert.equal(checkEntry(bare, rules(undefined)).kind, 'reject');
      assert.equal(checkEntry(bare, rules(false)).kind, 'reject');
      assert.equal(checkEntry(bare, rules(true)).kind, 'accept');
      const signature = Uint8Array.from(bare.signature);
      signature[0] = (signature[0] as number) ^ 1;
      assert.equal(checkEntry({ ...bare, signature }, rules(true)).kind, 'reject');
      const composite = Uint8Array.from(whole.composite as Uint8Array);
      composite[9] = (composite[9] as number) ^ 1;
      assert.equal(checkEntry({ ...whole, composite }, rules(true)).kind, 'reject', 'one that is there must be right');
    });
  });
});
