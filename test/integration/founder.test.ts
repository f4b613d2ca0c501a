import assert from 'node:assert/strict';
import { World } from '../../src/simulation/index.ts';
import { Invariants } from '../../src/simulation/invariants.ts';

/** Ms of virtual time: several times what a first sync waits for. */
const ALONE_MS = 20_000;
const HEALED_MS = 30_000;

describe('a founder that lost its disk', function () {
  this.timeout(60_000);
  let world: World;
  afterEach(() => world.stop());

  const finalOf = (i: number): number => world.node(i).up.ctx.chain.finalized.state.epoch;
  const until = (done: () => boolean, withinMs: number): Promise<boolean> => world.clock.runUntil(done, world.clock.nowMs() + withinMs);

  async function swarm(nodes: number, late: ReadonlySet<number> = new Set()): Promise<Invariants> {
    world = new World({ nodes, seed: 22, late });
    await world.boot();
    const present = nodes - late.size;
    assert.ok(await until(() => world.nodes.slice(0, present).every((_, i) => finalOf(i) >= 3), 60_000));
    return new Invariants(world.nodes, () => world.clock.nowMs());
  }

  it('cut off from all others, does not begin the swarm a second time; healed, it becomes whole and votes', async () => {
    const invariants = await swarm(4);
    const [founder, ...others] = world.nodes as [(typeof world.nodes)[0], ...typeof world.nodes];
    founder.kill();
    founder.disk.wipe();
    invariants.forget(founder);
    world.network.partition(
      [founder.identity.peerId],
      others.map((n) => n.identity.peerId),
    );
    await founder.start();
    founder.attachTrainer();
    await until(() => {
      invariants.observe();
      return false;
    }, ALONE_MS);
    assert.equal(finalOf(0), 0, 'no block of its own');
    assert.equal(founder.entries.size(), 0, 'it has signed nothing');

    world.network.heal();
    const goal = Math.max(...others.map((n) => finalOf(n.index))) + 2;
    assert.ok(await until(() => finalOf(0) >= goal && founder.up.ctx.mayVote, HEALED_MS), `stands at ${finalOf(0)} of ${goal}`);
    invariants.observe();
    assert.deepEqual(invariants.violations, []);
    const { graph } = world.node(1).up.ctx.replica;
    assert.deepEqual(graph.forks(), []);
    assert.equal(graph.at(founder.identity.fingerprint, 0).length, 1, 'one join');
    // Its vote counts: three of four are a quorum.
    world.node(3).kill();
    assert.ok(await until(() => finalOf(0) >= goal + 2, HEALED_MS));
  });

  it('in reach of a newcomer alone, which holds nothing, does not begin it with that one either', async () => {
    await swarm(5, new Set([4]));
    const [founder, late] = [world.node(0), world.node(4)];
    founder.kill();
    founder.disk.wipe();
    world.network.partition(
      [founder.identity.peerId, late.identity.peerId],
      [1, 2, 3].map((i) => world.node(i).identity.peerId),
    );
    await late.start();
    await founder.start();
    await world.run(ALONE_MS);
    assert.deepEqual([finalOf(0), finalOf(4)], [0, 0]);
    assert.ok([...founder.entries.all()].every(({ core }) => core.author !== founder.identity.fingerprint));
    world.network.heal();
    const goal = finalOf(1) + 2;
    assert.ok(await until(() => [0, 4].every((i) => finalOf(i) >= goal), HEALED_MS), `stand at ${[0, 4].map(finalOf)} of ${goal}`);
    assert.deepEqual(world.node(1).up.ctx.replica.graph.forks(), []);
  });

  it('before its first block it may begin alone after any restart', async () => {
    world = new World({ nodes: 1, seed: 3 });
    const founder = world.node(0);
    await founder.start();
    founder.kill();
    assert.equal(founder.disk.founding, true);
    await founder.start();
    founder.attachTrainer();
    assert.ok(await until(() => finalOf(0) >= 2, HEALED_MS));
    assert.equal(founder.disk.founding, false);
  });
});
