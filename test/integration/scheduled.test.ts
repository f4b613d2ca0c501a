import assert from 'node:assert/strict';
import { applyAverage } from '../../src/aggregation/index.ts';
import { residualOf } from '../../src/epoch/residual.ts';
import { World, type WorldOptions } from '../../src/simulation/index.ts';
import { survivorsOf } from '../../src/spec/index.ts';

const epochs = (world: World): number[] => world.running.map((n) => n.up.ctx.chain.head.state.epoch);
const rootsAt = (world: World, epoch: number): Set<string | undefined> =>
  new Set(world.running.map((n) => n.up.ctx.chain.at(epoch)?.stateRoot));

async function withWorld(options: WorldOptions, body: (world: World) => Promise<void>): Promise<void> {
  const world = new World(options);
  try {
    await world.boot();
    await body(world);
  } finally {
    world.stop();
  }
}

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
    const own = residualOf(node.up.ctx).get(said.updateHash) ?? assert.fail('its author does not keep it');
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
});
