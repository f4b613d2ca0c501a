import assert from 'node:assert/strict';
import { sha256, toHex, utf8 } from '../../src/crypto/index.ts';
import type { World } from '../../src/simulation/index.ts';
import { epochs, rootsAt, withWorld } from '../support/simulated.ts';

const LOSSY = { loss: 0.2, minDelayMs: 20, maxDelayMs: 120, duplication: 0.05 };

/** What every node applied, entry by entry: equal digests mean equal runs. */
function digestOf(world: World): string {
  const lines = world.nodes.map((node) => {
    const { chain, replica } = node.up.ctx;
    const applied = Array.from({ length: chain.head.state.epoch + 1 }, (_, n) => chain.at(n)?.stateRoot);
    return [...applied, ...[...replica.graph.entries()].map((e) => e.id)].join(' ');
  });
  return toHex(sha256(utf8(lines.join('\n'))));
}

/** Ids that a user was told are safe, and that some running node does not hold. */
const lostEntries = (world: World): string[] =>
  world.nodes.flatMap((n) => n.acknowledged).filter((id) => world.running.some((n) => !n.up.ctx.replica.graph.has(id)));

describe('a simulated swarm', function () {
  this.timeout(120_000);

  it('learns: four nodes reach one model, and it lies between what each would learn alone', async () => {
    await withWorld({ nodes: 4, seed: 1 }, async (world) => {
      const first = epochs(world)[0] ?? 0;
      assert.ok(await world.reach(first + 10, 60_000), `reached ${epochs(world)}`);
      assert.equal(rootsAt(world, first + 10).size, 1);
      const { chain } = world.node(0).up.ctx;
      const model = await chain.model(first + 10);
      const goals = world.nodes.map((n) => world.optimumOf(n.index));
      const distance = model.reduce((sum, v, k) => sum + Math.abs(v - goals.reduce((s, g) => s + (g[k] as number), 0) / goals.length), 0);
      assert.ok(distance / model.length < 0.1, `mean distance from the mean optimum ${distance / model.length}`);
      for (let n = first + 2; n <= first + 10; n++) assert.equal(chain.at(n)?.body?.roster.length, 4, `roster of epoch ${n}`);
    });
  });

  for (const aggregation of ['median', 'multi-krum', 'geometric-median'] as const) {
    it(`finalises by ${aggregation}: four nodes reach one model`, async () => {
      await withWorld({ nodes: 4, seed: 2, rules: { aggregation } }, async (world) => {
        const first = epochs(world)[0] ?? 0;
        assert.ok(await world.reach(first + 5, 60_000), `reached ${epochs(world)}`);
        assert.equal(rootsAt(world, first + 5).size, 1);
        const [one, ...others] = await Promise.all(world.nodes.map((n) => n.up.ctx.chain.model(first + 5)));
        assert.ok(one?.some((v) => v !== 0));
        for (const other of others) assert.deepEqual(other, one);
      });
    });
  }

  for (const [encoding, updateDtype] of [
    ['topk', 'int16'],
    ['topk', 'int8'],
    ['sign', 'int16'],
    ['sign', 'int8'],
  ] as const)
    it(`learns with updates as ${encoding} of ${updateDtype}: one root an epoch, and a model near the mean of all`, async () => {
      await withWorld({ nodes: 4, seed: 2, rules: { encoding, updateDtype, topkShare: 0.2 } }, async (world) => {
        const first = epochs(world)[0] ?? 0;
        const last = first + 25;
        assert.ok(await world.reach(last, 120_000), `reached ${epochs(world)}`);
        for (let n = first; n <= last; n++) assert.equal(rootsAt(world, n).size, 1, `epoch ${n}`);
        const { chain } = world.node(0).up.ctx;
        const goals = world.nodes.map((n) => world.optimumOf(n.index));
        const off = (model: Float32Array): number =>
          model.reduce((sum, v, k) => sum + Math.abs(v - goals.reduce((s, g) => s + (g[k] as number), 0) / goals.length), 0) / model.length;
        assert.ok(off(world.initialModel) > 0.5);
        const distance = off(await chain.model(last));
        assert.ok(distance < 0.15, `mean distance from the mean optimum ${distance}`);
        for (let n = first + 2; n <= last; n++) assert.equal(chain.at(n)?.body?.roster.length, 4, `roster of epoch ${n}`);
      });
    });

  it('survives the founder: the others go on, and it catches up when it returns', async () => {
    await withWorld({ nodes: 4, seed: 3, link: LOSSY }, async (world) => {
      const founder = world.node(0);
      const start = Math.max(...epochs(world));
      await world.reach(start + 2, 60_000);
      founder.kill();
      assert.ok(await world.reach(start + 6, 120_000), `without the founder ${epochs(world)}`);
      assert.equal(rootsAt(world, start + 6).size, 1);
      await founder.start();
      founder.attachTrainer();
      assert.ok(await world.reach(start + 9, 120_000), `with the founder back ${epochs(world)}`);
      assert.equal(rootsAt(world, start + 6).size, 1);
      assert.equal(rootsAt(world, start + 9).size, 1);
      world.training = false;
      assert.ok(
        await world.clock.runUntil(() => lostEntries(world).length === 0, world.clock.nowMs() + 30_000),
        `lost ${lostEntries(world)}`,
      );
    });
  });

  it('gives the same bytes from the same seed, and others from another', async () => {
    const run = async (seed: number): Promise<string> => {
      let digest = '';
      await withWorld({ nodes: 5, seed, link: LOSSY }, async (world) => {
        await world.run(8_000);
        digest = digestOf(world);
      });
      return digest;
    };
    const first = await run(7);
    assert.equal(await run(7), first);
    assert.notEqual(await run(8), first);
  });

  it('holds each class to its own: an edge contributes and has no seat, an observer follows without either', async () => {
    await withWorld({ nodes: 5, seed: 4, classes: ['core', 'core', 'core', 'edge', 'observer'] }, async (world) => {
      const first = Math.max(...epochs(world));
      assert.ok(await world.reach(first + 4, 60_000), `${epochs(world)}`);
      assert.equal(rootsAt(world, first + 4).size, 1);
      const edge = world.node(3);
      const observer = world.node(4);
      const authors = [...world.node(0).up.ctx.replica.graph.entries()]
        .filter((e) => e.core.kind !== 'join')
        .map((e) => `${e.core.kind} ${e.core.author}`);
      assert.ok(authors.includes(`contribution ${edge.identity.fingerprint}`));
      assert.ok(!authors.includes(`decision ${edge.identity.fingerprint}`));
      assert.ok(!authors.some((a) => a.endsWith(observer.identity.fingerprint)));
      await assert.rejects(observer.up.submit({ epoch: first + 5, kind: 'delta', samples: 1, metrics: {}, values: new Float32Array(64) }), {
        code: 'CLASS_FORBIDS',
      });
    });
  });
});
