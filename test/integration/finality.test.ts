import assert from 'node:assert/strict';
import { World, type WorldOptions } from '../../src/simulation/index.ts';
import { Invariants } from '../../src/simulation/invariants.ts';
import type { SimulatedNode } from '../../src/simulation/node.ts';
import { votersOf } from '../../src/state/index.ts';
import type { BlockRecord } from '../../src/wire/index.ts';

const finalOf = (node: SimulatedNode): number => node.up.ctx.chain.finalized.state.epoch;
const headOf = (node: SimulatedNode): number => node.up.ctx.chain.head.state.epoch;

/** A world that is looked at after every event: two blocks at one epoch, unequal roots or a final epoch taken back fail it. */
class Watched {
  readonly world: World;
  readonly invariants: Invariants;

  constructor(options: WorldOptions) {
    this.world = new World({ trainMs: [20, 100], ...options });
    this.invariants = new Invariants(this.world.nodes, () => this.world.clock.nowMs());
  }

  async until(done: () => boolean, withinMs: number, what: string): Promise<void> {
    const { clock, nodes } = this.world;
    const reached = await clock.runUntil(() => {
      this.invariants.observe();
      return done();
    }, clock.nowMs() + withinMs);
    const stands = nodes.map((n) => (n.engine === undefined ? 'down' : `${headOf(n)} (${finalOf(n)} final)`));
    assert.ok(reached, `${what}: ${stands.join(', ')}`);
  }

  /** All of these nodes have the block of this epoch. */
  final(epoch: number, nodes: readonly SimulatedNode[] = this.world.running, withinMs = 30_000): Promise<void> {
    return this.until(() => nodes.every((n) => n.started && finalOf(n) >= epoch), withinMs, `block ${epoch}`);
  }

  /** At rest nothing is lost, nothing was ever contradicted, and nobody is accused of anything. */
  async close(): Promise<void> {
    this.world.training = false;
    await this.until(() => this.invariants.lost().size === 0, 30_000, 'every acknowledged entry is everywhere');
    assert.deepEqual(this.invariants.violations, []);
    for (const { up } of this.world.running) {
      assert.deepEqual([...up.ctx.evidence.votes()], [], 'no honest voter signed twice');
      assert.deepEqual(up.ctx.replica.graph.forks(), []);
      assert.ok(up.ctx.chain.finalized.state.members.every((m) => m.status === 'active'));
    }
  }
}

describe('finality in a simulated swarm', function () {
  this.timeout(60_000);
  let watched: Watched;
  afterEach(() => watched.world.stop());

  async function swarm(options: WorldOptions): Promise<World> {
    watched = new Watched(options);
    await watched.world.boot();
    return watched.world;
  }

  it('four nodes finalise what they contribute, with equal roots', async () => {
    const world = await swarm({ nodes: 4, seed: 1 });
    const first = Math.max(...world.nodes.map(finalOf)) + 1;
    await watched.final(first + 6);
    for (let epoch = first; epoch <= first + 6; epoch++) {
      const agreed = watched.invariants.agreed[epoch - 1] ?? assert.fail(`block ${epoch}`);
      assert.equal(agreed.roster, 4, `roster of block ${epoch}`);
      for (const node of world.nodes) assert.equal(node.disk.blocks.get(epoch)?.block.hash, agreed.block);
    }
    for (const { up } of world.nodes) assert.equal(up.ctx.chain.isProvisional, false);
    await watched.close();
  });

  it('the side with the quorum goes on finally, the other provisionally, and takes the blocks after the heal', async () => {
    const world = await swarm({ nodes: 6, seed: 2, link: { loss: 0.05, minDelayMs: 5, maxDelayMs: 40 } });
    const [many, few] = [world.nodes.slice(0, 4), world.nodes.slice(4)];
    await watched.final(4);
    world.network.partition(
      many.map((n) => n.identity.peerId),
      few.map((n) => n.identity.peerId),
    );
    const apart = Math.max(...world.nodes.map(finalOf));
    await watched.until(() => few.every((n) => headOf(n) >= apart + 3 && n.up.ctx.chain.isProvisional), 60_000, 'the few go on');
    await watched.final(apart + 3, many);
    const left = Math.max(...few.map(finalOf));
    assert.ok(left <= apart + 1, `the few have no block of their own: ${few.map(finalOf)}`);
    assert.deepEqual([...new Set(few.map((n) => n.up.ctx.quorate))], [false]);
    const alone = few.flatMap((n) => n.acknowledged);

    world.network.heal();
    const healed = Math.max(...world.nodes.map(finalOf));
    await watched.final(healed + 2, world.nodes, 20_000);
    for (const { up } of few) {
      assert.deepEqual([up.ctx.quorate, up.ctx.chain.isProvisional], [true, false]);
      assert.equal(up.ctx.chain.at(healed)?.id, many[0]?.up.ctx.chain.at(healed)?.id);
    }
    // What the few learned alone was not averaged; their entries are final all the same.
    await watched.close();
    for (const id of alone) assert.notEqual(many[0]?.up.ctx.chain.find(id), undefined, 'an entry of the few is in no cut');
  });

  it('all are killed at once and start again: the same final head, and no vote against their own past', async () => {
    const world = await swarm({ nodes: 4, seed: 3 });
    await watched.final(4);
    for (let life = 0; life < 3; life++) {
      // In the middle of a vote, wherever it stands.
      const before = Math.max(...world.nodes.map(finalOf));
      await watched.until(() => world.nodes.some((n) => n.up.committee.voting.isRunning), 20_000, 'a vote');
      await world.run(3 * life);
      watched.invariants.observe();
      const heads = world.nodes.map((n) => [n.up.ctx.chain.finalized.id, n.up.ctx.chain.finalized.stateRoot]);
      for (const node of world.nodes) node.kill();
      for (const [i, node] of world.nodes.entries()) {
        await node.start();
        const { id, stateRoot } = node.up.ctx.chain.finalized;
        assert.deepEqual([id, stateRoot], heads[i], 'from disk alone');
        node.attachTrainer();
      }
      await watched.final(before + 2, world.nodes, 60_000);
    }
    await watched.close();
  });

  for (const [what, keep] of [
    ['a backup of some epochs ago', true],
    ['an empty disk', false],
  ] as const) {
    it(`a node that starts again over ${what} does no harm, and votes again`, async () => {
      const world = await swarm({ nodes: 4, seed: 7 });
      await watched.final(3);
      const node = world.node(3);
      const { entries, blocks } = node.disk;
      const old = {
        entries: [...entries.all()],
        blocks: Array.from({ length: blocks.head() }, (_, i) => blocks.get(i + 1) as BlockRecord),
      };
      await watched.final(7);
      await watched.until(() => node.up.committee.voting.isRunning, 20_000, 'it votes');
      node.kill();
      node.disk.wipe();
      watched.invariants.forget(node);
      if (keep) {
        node.disk.entries.append(old.entries);
        for (const record of old.blocks) node.disk.blocks.append(record);
      }
      await node.start();
      node.attachTrainer();
      await watched.final(Math.max(...world.nodes.map(finalOf)) + 1);
      // It is needed from here on: three of four are a quorum.
      await watched.until(() => node.up.ctx.mayVote, 20_000, 'it has its vote back');
      world.node(0).kill();
      await watched.final(Math.max(...world.running.map(finalOf)) + 2);
      await world.node(0).start();
      await watched.final(finalOf(node) + 1);
      await watched.close();
    });
  }

  it('three voters survive the crash of one, which comes back to the same chain', async () => {
    const world = await swarm({ nodes: 3, seed: 4 });
    await watched.final(3);
    const [gone, ...others] = world.nodes as [SimulatedNode, ...SimulatedNode[]];
    gone.kill();
    const before = Math.max(...others.map(finalOf));
    await watched.final(before + 3, others);
    assert.equal(votersOf(others[0]?.up.ctx.chain.finalized.state as never).length, 3, 'it is not removed for it');
    await gone.start();
    gone.attachTrainer();
    await watched.final(Math.max(...others.map(finalOf)) + 2, world.nodes);
    await watched.close();
  });

  it('of two nodes the founder alone finalises; the second has the right to vote and waits for a third', async () => {
    const world = await swarm({ nodes: 3, seed: 5, late: new Set([2]) });
    const [founder, second, third] = world.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
    await watched.final(4);
    const votes = (node: SimulatedNode) =>
      founder.up.ctx.chain.finalized.state.members.find((m) => m.fingerprint === node.identity.fingerprint)?.vote;
    assert.deepEqual([votes(founder), votes(second)], ['voter', 'granted']);
    second.kill();
    await watched.final(finalOf(founder) + 2);
    await second.start();
    second.attachTrainer();
    await third.start();
    await watched.until(() => votes(third) === 'voter', 30_000, 'the third is here');
    assert.deepEqual([votes(founder), votes(second)], ['voter', 'voter']);
    await watched.final(finalOf(founder) + 2);
    await watched.close();
  });

  it('a founder that is gone leaves the second of two without blocks: it learns on provisionally, and loses nothing', async () => {
    const world = await swarm({ nodes: 2, seed: 6 });
    const [founder, second] = world.nodes as [SimulatedNode, SimulatedNode];
    await watched.final(3);
    founder.kill();
    const final = finalOf(second);
    await watched.until(() => headOf(second) >= final + 3, 60_000, 'the second goes on');
    assert.ok(finalOf(second) <= final + 1);
    await founder.start();
    founder.attachTrainer();
    await watched.final(finalOf(second) + 2, world.nodes);
    await watched.close();
  });
});
