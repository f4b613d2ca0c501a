import assert from 'node:assert/strict';
import { aggregate, applyAverage, distancesOfMoved } from '../../src/aggregation/index.ts';
import type { IntRow } from '../../src/compute/api.ts';
import { createReference } from '../../src/compute/index.ts';
import { residualOf } from '../../src/epoch/residual.ts';
import type { World } from '../../src/simulation/index.ts';
import { survivorsOf } from '../../src/spec/index.ts';
import { valuesOf } from '../support/residuals.ts';
import { epochs, rootsAt, withWorld } from '../support/simulated.ts';

/** The model after `epoch` from the updates that each node keeps of its own: weights, sum and step written out. */
async function plainModel(world: World, epoch: number): Promise<Float32Array> {
  const { chain, replica } = world.node(0).up.ctx;
  const { body, header } = chain.at(epoch) ?? assert.fail('not applied');
  const base = chain.at(epoch - 1)?.state ?? assert.fail('no base');
  assert.ok(body !== undefined && header !== undefined);
  const sum = new Int32Array(world.initialModel.length);
  let weightTotal = 0;
  for (const id of survivorsOf(body)) {
    const { author, body: said } = replica.graph.get(id)?.core ?? assert.fail('no entry');
    if (!('updateHash' in said)) continue;
    const node = world.nodes.find((n) => n.identity.fingerprint === author) ?? assert.fail('nobody');
    const own = (await residualOf(node.up.ctx).get(said.updateHash)) ?? assert.fail('its author does not keep it');
    const weight = body.weights[body.roster.indexOf(id)] as number;
    weightTotal += weight;
    own.integers.forEach((q, k) => {
      sum[k] = (sum[k] as number) + weight * q;
    });
  }
  assert.equal(header.weightTotal, weightTotal);
  const terms = { sum, weightTotal, eta: world.genesis.eta, exponents: base.scaleExponents };
  return applyAverage(await chain.model(epoch - 1), chain.spans, terms);
}

/** The same by the swarm's rule, from all rows at once. */
async function ruledModel(world: World, epoch: number): Promise<Float32Array> {
  const { chain, replica } = world.node(0).up.ctx;
  const { body, header } = chain.at(epoch) ?? assert.fail('not applied');
  const base = chain.at(epoch - 1)?.state ?? assert.fail('no base');
  assert.ok(body !== undefined && header !== undefined);
  const rows: IntRow[] = [];
  for (const id of survivorsOf(body)) {
    const { author, body: said } = replica.graph.get(id)?.core ?? assert.fail('no entry');
    const node = world.nodes.find((n) => n.identity.fingerprint === author) ?? assert.fail('nobody');
    if (!('updateHash' in said)) continue;
    rows.push(((await residualOf(node.up.ctx).get(said.updateHash)) ?? assert.fail('its author does not keep it')).integers);
  }
  const weights = body.weights.filter((_, i) => survivorsOf(body).includes(body.roster[i] as string));
  const { spans } = chain;
  const exponents = base.scaleExponents;
  const made = await aggregate(world.genesis.aggregation, createReference(), { rows, weights, spans, exponents });
  assert.equal(header.weightTotal, made.weightTotal);
  assert.deepEqual(header.distances, (await distancesOfMoved(rows, spans, exponents)).map(String));
  return applyAverage(await chain.model(epoch - 1), spans, { ...made, eta: world.genesis.eta, exponents });
}

describe('a simulated swarm that averages by a schedule', function () {
  this.timeout(120_000);

  for (const [schedule, nodes] of [
    ['ring', 4],
    ['grid', 6],
    ['butterfly', 5],
  ] as const)
    it(`learns by ${schedule}: one root an epoch, the sum of everyone's row, and no row elsewhere`, async () => {
      await withWorld({ nodes, seed: 4, rules: { schedule } }, async (world) => {
        const first = epochs(world)[0] ?? 0;
        assert.ok(await world.reach(first + 5, 120_000), `reached ${epochs(world)}`);
        for (let n = first + 1; n <= first + 5; n++) assert.equal(rootsAt(world, n).size, 1, `epoch ${n}`);
        const { chain, updates } = world.node(0).up.ctx;
        for (let n = first + 2; n <= first + 5; n++) {
          const { body, header } = chain.at(n) ?? assert.fail('not applied');
          assert.equal(body?.roster.length, nodes, `roster of epoch ${n}`);
          assert.deepEqual(body?.dropped, []);
          assert.notEqual(header?.opening, null);
          for (const id of body?.roster ?? []) assert.equal(updates.row(id), undefined);
        }
        assert.deepEqual(await chain.model(first + 4), await plainModel(world, first + 4));
      });
    });

  for (const rule of ['median', 'multi-krum', 'geometric-median'] as const)
    it(`learns by ${rule} over segments: one root an epoch, what the rule makes of all rows, and no row elsewhere`, async () => {
      await withWorld({ nodes: 5, seed: 4, rules: { schedule: 'butterfly', aggregation: rule } }, async (world) => {
        const first = epochs(world)[0] ?? 0;
        assert.ok(await world.reach(first + 5, 120_000), `reached ${epochs(world)}`);
        const { chain, updates } = world.node(0).up.ctx;
        for (let n = first + 2; n <= first + 5; n++) {
          assert.equal(rootsAt(world, n).size, 1, `epoch ${n}`);
          const { body, header } = chain.at(n) ?? assert.fail('not applied');
          assert.equal(body?.roster.length, 5, `roster of epoch ${n}`);
          assert.deepEqual(body?.dropped, []);
          assert.equal(header?.distances.length, 5);
          for (const id of body?.roster ?? []) assert.equal(updates.row(id), undefined);
        }
        assert.deepEqual(await chain.model(first + 4), await ruledModel(world, first + 4));
      });
    });

  it('leaves out who dies in the middle of a rule over segments', async () => {
    await withWorld({ nodes: 5, seed: 6, rules: { schedule: 'butterfly', aggregation: 'median' } }, async (world) => {
      const first = epochs(world)[0] ?? 0;
      assert.ok(await world.reach(first + 2, 60_000));
      const victim = world.node(4);
      assert.ok(await world.clock.runUntil(() => victim.up.ctx.sums.isRunning, world.clock.nowMs() + 60_000), 'it never averaged');
      const epoch = victim.up.ctx.chain.head.state.epoch + 1;
      victim.kill();
      assert.ok(await world.reach(epoch + 2, 90_000), `reached ${epochs(world)}`);
      for (let n = epoch; n <= epoch + 2; n++) assert.equal(rootsAt(world, n).size, 1);
      const { body } = world.node(0).up.ctx.chain.at(epoch) ?? assert.fail('not applied');
      assert.equal(body?.roster.length, 5);
      assert.equal(body?.dropped.length, 1);
    });
  });

  for (const schedule of ['ring', 'grid', 'butterfly'] as const)
    it(`names in the block who died in the middle of a ${schedule}, and its values travel on in its next update`, async () => {
      await withWorld({ nodes: 5, seed: 6, rules: { schedule } }, async (world) => {
        const first = epochs(world)[0] ?? 0;
        assert.ok(await world.reach(first + 2, 60_000));
        const victim = world.node(4);
        const { fingerprint } = victim.identity;
        assert.ok(await world.clock.runUntil(() => victim.up.ctx.sums.isRunning, world.clock.nowMs() + 60_000), 'it never averaged');
        const epoch = victim.up.ctx.chain.head.state.epoch + 1;
        victim.kill();
        assert.ok(await world.reach(epoch, 60_000), `reached ${epochs(world)}`);
        assert.equal(rootsAt(world, epoch).size, 1);
        const { chain, replica } = world.node(0).up.ctx;
        const { body, block, state } = chain.at(epoch) ?? assert.fail('not applied');
        assert.ok(body !== undefined && block !== undefined);
        assert.equal(body.roster.length, 5);
        const [drop, ...others] = body.dropped;
        assert.equal(others.length, 0);
        assert.equal(replica.graph.get(drop?.id ?? '')?.core.author, fingerprint);
        assert.ok(drop !== undefined && drop.why !== 'evidence' && drop.by.length > 0, JSON.stringify(drop));
        assert.notEqual(block.header.survivorsHash, block.header.rosterHash);
        const of = (node: string) => state.members.find((m) => m.fingerprint === node);
        assert.equal(of(fingerprint)?.lastEpoch, epoch - 1);
        assert.equal(of(world.node(1).identity.fingerprint)?.lastEpoch, epoch);
        assert.deepEqual(await chain.model(epoch), await plainModel(world, epoch));

        await victim.start();
        assert.ok(
          (await valuesOf(residualOf(victim.up.ctx))).some((v) => Math.abs(v) > 0.01),
          'it owes what was dropped',
        );
        const { length } = victim.acknowledged;
        victim.attachTrainer();
        assert.ok(await world.clock.runUntil(() => victim.acknowledged.length > length, world.clock.nowMs() + 60_000));
        const { core } = victim.up.ctx.replica.graph.get(victim.acknowledged[length] ?? '') ?? assert.fail('not on the ledger');
        assert.ok('staleness' in core.body && core.body.staleness === core.body.epoch - epoch, JSON.stringify(core.body));
        assert.ok(await world.reach(core.body.epoch + 1, 60_000), `reached ${epochs(world)}`);
        assert.deepEqual(chain.at(core.body.epoch)?.body?.dropped, []);
        assert.ok(
          (await valuesOf(residualOf(victim.up.ctx))).every((v) => Math.abs(v) < 0.01),
          'it owes no more than rounding leaves',
        );
        assert.equal(victim.fatal, undefined);
      });
    });

  it('sums a roster of one contribution, whose author is checked like any other', async () => {
    await withWorld({ nodes: 4, seed: 11, rules: { schedule: 'ring' } }, async (world) => {
      world.training = false;
      await world.run(5_000);
      const [author] = world.nodes;
      const before = author?.up.ctx.chain.head.state.epoch ?? assert.fail('a node');
      const values = Float32Array.from(world.initialModel, (_, k) => k / 64);
      await author?.up.submit({ epoch: before + 1, kind: 'delta', samples: 10, metrics: {}, values });
      assert.ok(await world.reach(before + 1, 60_000), `reached ${epochs(world)}`);
      const { body, header } = world.node(1).up.ctx.chain.at(before + 1) ?? assert.fail('not applied');
      assert.equal(body?.roster.length, 1);
      assert.notEqual(header?.opening, null);
      assert.deepEqual(await world.node(1).up.ctx.chain.model(before + 1), await plainModel(world, before + 1));
    });
  });

  it('is a swarm of one, too: its row is the sum', async () => {
    await withWorld({ nodes: 1, seed: 7, rules: { schedule: 'ring' } }, async (world) => {
      assert.ok(await world.reach(3, 60_000), `reached ${epochs(world)}`);
      const applied = world.node(0).up.ctx.chain.at(3);
      assert.equal(applied?.body?.roster.length, 1);
      assert.equal(applied?.header?.opening, null);
    });
  });

  it('goes on where all processes die in the middle of an epoch, with the contributions that were made', async () => {
    await withWorld({ nodes: 4, seed: 8, rules: { schedule: 'butterfly' } }, async (world) => {
      const first = epochs(world)[0] ?? 0;
      assert.ok(await world.reach(first + 2, 60_000));
      assert.ok(await world.clock.runUntil(() => world.nodes.every((n) => n.up.ctx.sums.isRunning), world.clock.nowMs() + 60_000));
      const epoch = world.node(0).up.ctx.chain.head.state.epoch + 1;
      const made = world.nodes.map((n) => n.acknowledged.at(-1) ?? assert.fail('it contributed')).sort();
      for (const node of world.nodes) node.kill();
      await world.run(3_000);
      for (const node of world.nodes) await node.start();
      assert.ok(await world.reach(epoch, 120_000), `reached ${epochs(world)}`);
      assert.equal(rootsAt(world, epoch).size, 1);
      assert.deepEqual(world.node(0).up.ctx.chain.at(epoch)?.body?.roster, made);
      for (const node of world.nodes) assert.equal(node.fatal, undefined);
    });
  });

  it('takes in a newcomer that has none of the rows, and prunes what opened old sums', async () => {
    const rules = { schedule: 'ring', snapshotEpochs: 2, retainEpochs: 2 } as const;
    await withWorld({ nodes: 5, seed: 9, late: new Set([4]), rules }, async (world) => {
      const first = epochs(world)[0] ?? 0;
      assert.ok(await world.reach(first + 2, 120_000), `reached ${epochs(world)}`);
      const { chain } = world.node(0).up.ctx;
      const oldest = chain.at(first + 2)?.header?.opening ?? assert.fail('an opening');
      assert.ok(await world.reach(first + 9, 120_000), `reached ${epochs(world)}`);
      assert.ok(chain.base.state.epoch >= first + 2, 'something is pruned');
      const held = chain.at(chain.base.state.epoch + 1)?.header?.opening ?? assert.fail('an opening');
      assert.equal(await world.node(0).up.ctx.ports.blobs.has(held.root), true);
      assert.equal(await world.node(0).up.ctx.ports.blobs.has(oldest.root), false);
      const late = world.node(4);
      await late.start();
      late.attachTrainer();
      const joined = await world.clock.runUntil(
        () => late.acknowledged.length > 1 && late.up.ctx.chain.head.state.epoch === chain.head.state.epoch,
        world.clock.nowMs() + 120_000,
      );
      assert.ok(joined, `reached ${epochs(world)}`);
      const now = Math.min(...epochs(world));
      assert.ok(await world.reach(now + 2, 60_000), `reached ${epochs(world)}`);
      assert.equal(rootsAt(world, now + 2).size, 1);
      assert.equal(chain.at(now + 2)?.body?.roster.length, 5);
    });
  });

  it('lets relays vote, and observers follow, that have no row', async () => {
    const classes = ['core', 'core', 'core', 'relay', 'relay', 'observer'] as const;
    await withWorld({ nodes: 6, seed: 10, classes, rules: { schedule: 'ring' } }, async (world) => {
      const first = epochs(world)[0] ?? 0;
      assert.ok(await world.reach(first + 5, 120_000), `reached ${epochs(world)}`);
      assert.equal(rootsAt(world, first + 5).size, 1);
      assert.equal(world.node(0).up.ctx.chain.at(first + 5)?.body?.roster.length, 3);
    });
  });
});
