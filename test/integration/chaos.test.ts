import assert from 'node:assert/strict';
import { Random } from '../../src/learning/random.ts';
import { World } from '../../src/simulation/index.ts';
import { Invariants } from '../../src/simulation/invariants.ts';

const NODES = 5;
const EVENTS = 25;

/** Kills, returns, partitions and heals at random moments over a link drawn from the seed, then peace. */
async function chaos(seed: number): Promise<{ readonly world: World; readonly invariants: Invariants }> {
  const random = Random.from(seed, 'soak');
  const link = { loss: 0.3 * random.uniform(), minDelayMs: 5, maxDelayMs: 20 + 200 * random.uniform(), duplication: 0.1 };
  const world = new World({ nodes: NODES, seed, link });
  // Whatever runs the clock, every event is followed by a look at what is final where.
  const invariants = new Invariants(world.nodes, () => world.clock.nowMs());
  const runUntil = world.clock.runUntil.bind(world.clock);
  world.clock.runUntil = (done, untilMs) =>
    runUntil(() => {
      invariants.observe();
      return done();
    }, untilMs);
  await world.boot(300_000);
  const peers = world.nodes.map((n) => n.identity.peerId);
  const bringBack = async (most: number): Promise<void> => {
    for (const node of world.nodes.filter((n) => n.engine === undefined).slice(0, most)) {
      await node.start();
      node.attachTrainer();
    }
  };
  for (let i = 0; i < EVENTS; i++) {
    await world.run(500 + 3_000 * random.uniform());
    const event = random.below(6);
    const node = world.node(random.below(NODES));
    if (event === 0 && node.engine !== undefined && world.running.length > 2) node.kill();
    else if (event <= 2) await bringBack(1);
    else if (event === 3) {
      const cut = 1 + random.below(NODES - 1);
      const order = [...random.permutation(NODES)].map((at) => peers[at] as string);
      world.network.partition(order.slice(0, cut), order.slice(cut));
    } else world.network.heal();
  }
  world.network.heal();
  await bringBack(NODES);
  return { world, invariants };
}

describe('a simulated swarm under kills and partitions', function () {
  this.timeout(120_000);

  // 31: a roster averaged over the head that has just replaced its base would be refused by everyone.
  for (const seed of [1, 31]) {
    it(`comes to one chain, with everyone in the roster and nothing lost (seed ${seed})`, async () => {
      const { world, invariants } = await chaos(seed);
      try {
        const engines = () => world.nodes.map((n) => n.up);
        const epochs = () => engines().map((e) => e.ctx.chain.head.state.epoch);
        const top = Math.max(...epochs());
        assert.ok(await world.reach(top + 5, 120_000), `after the last fault ${epochs()}`);
        assert.equal(new Set(engines().map((e) => e.ctx.chain.at(top + 5)?.stateRoot)).size, 1);

        const finals = () => engines().map((e) => e.ctx.chain.finalized.state.epoch);
        const complete = () => {
          const epoch = Math.min(...finals());
          return epoch >= top + 5 && engines().every((e) => e.ctx.chain.at(epoch)?.body?.roster.length === NODES);
        };
        assert.ok(await world.clock.runUntil(complete, world.clock.nowMs() + 60_000), 'every node is rostered again, in a final block');

        world.training = false;
        const acknowledged = world.nodes.flatMap((n) => n.acknowledged);
        const atRest = () =>
          new Set(engines().map((e) => e.ctx.chain.head.id)).size === 1 &&
          world.nodes.every((n) => acknowledged.every((id) => n.entries.has(id)));
        assert.ok(await world.clock.runUntil(atRest, world.clock.nowMs() + 60_000), 'every acknowledged entry is everywhere');
        assert.deepEqual(invariants.violations, [], 'no two blocks at one epoch, no final epoch taken back');
        for (const engine of engines()) {
          assert.deepEqual([...engine.ctx.evidence.votes()], [], 'no node voted twice');
          assert.deepEqual(engine.ctx.replica.graph.forks(), [], 'no node forked its chain');
          assert.equal(engine.ctx.refused.size, 0, 'no honest decision breaks a rule');
        }
      } finally {
        world.stop();
      }
    });
  }
});
