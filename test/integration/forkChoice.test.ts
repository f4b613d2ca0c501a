import assert from 'node:assert/strict';
import { hashWithDomain, type Identity, identityFromSeeds, nativeMldsa, utf8, ZERO_HASH } from '../../src/crypto/index.ts';
import { World } from '../../src/simulation/index.ts';
import type { AnyEntryCore, DecisionBody, NodeClass, SignedEntry } from '../../src/spec/index.ts';
import { decisionId, makeCertificate } from '../../src/wire/index.ts';
import { signed } from '../support/epochWorld.ts';

/** An identity that anyone can make: it signs entries by the book and runs no node. */
class Stranger {
  readonly identity: Identity;
  readonly #world: World;
  #tip: SignedEntry;

  constructor(world: World, name: string, nodeClass: NodeClass) {
    const seed = (part: string) => hashWithDomain('starling/test/stranger', utf8(`${name}/${part}`));
    this.identity = identityFromSeeds({ mldsaSeed: seed('mldsa'), ed25519Seed: seed('ed25519') }, nativeMldsa);
    this.#world = world;
    const core = { v: 1, swarm: world.swarm, author: this.identity.fingerprint, seq: 0, prev: null, lam: 1, epochSeen: 0, deps: [] };
    const body = { certificate: makeCertificate(this.identity, nodeClass, []), invite: null };
    this.#tip = signed(this.identity, { ...core, anchorBlock: world.swarm, kind: 'join', body } as AnyEntryCore);
    this.#tell();
  }

  decide(body: DecisionBody): void {
    const { id, core } = this.#tip;
    const next = { ...core, seq: core.seq + 1, prev: id, lam: core.lam + 1, anchorBlock: body.prev, kind: 'decision', body };
    this.#tip = signed(this.identity, next as AnyEntryCore);
    this.#tell();
  }

  #tell(): void {
    for (const { up } of this.#world.running) up.ctx.replica.offer([this.#tip]);
  }
}

const epochsOf = (world: World): number[] => world.nodes.map((n) => n.up.ctx.chain.head.state.epoch);
const membersOf = (world: World): number => world.node(0).up.ctx.chain.head.state.members.length;

/** What hashes of aggregates begin with that nobody has. */
const GROUND = 'eeeeeeee';

describe('who may choose between branches', function () {
  this.timeout(30_000);
  let world: World;
  afterEach(() => world.stop());

  async function swarm(epochs: number): Promise<World> {
    world = new World({ nodes: 4, seed: 2, trainMs: [100, 300] });
    await world.boot();
    assert.ok(await world.reach(epochs, 60_000));
    return world;
  }

  for (const nodeClass of ['observer', 'core'] as const) {
    it(`is not any number of newcomers of class ${nodeClass} who sign another past`, async () => {
      const { nodes } = await swarm(8);
      const past = nodes.map((n) => n.up.ctx.chain.at(5)?.id);
      const { swarm: prev } = world;
      const many = Array.from({ length: 5 }, (_, i) => new Stranger(world, `${nodeClass} ${i}`, nodeClass));
      // Newcomers of class core hold seats once they are admitted: more than there were before them.
      if (nodeClass === 'core') assert.ok(await world.clock.runUntil(() => membersOf(world) === 9, world.clock.nowMs() + 20_000));
      const least = Math.min(...epochsOf(world));
      for (const stranger of many) stranger.decide({ epoch: 1, prev, roster: [], weights: [], aggregateHash: ZERO_HASH, dropped: [] });
      await world.run(1_000);
      assert.ok(Math.min(...epochsOf(world)) >= least, `${epochsOf(world)} after ${least}`);
      assert.ok(await world.reach(least + 3, 30_000), `it goes on: ${epochsOf(world)}`);
      assert.deepEqual(
        nodes.map((n) => n.up.ctx.chain.at(5)?.id),
        past,
      );
    });
  }

  it('is not one who grinds the lowest hash over an aggregate that nobody has', async () => {
    await swarm(4);
    const [first] = world.nodes;
    const stranger = new Stranger(world, 'grinder', 'observer');
    const port = world.network.attach(stranger.identity.peerId);
    let asked = 0;
    // It is a peer, and keeps whoever asks it waiting: also for what others decided, which is asked of any peer now and then.
    for (const protocol of ['head', 'content'] as const)
      port.handle(protocol, (_from, payload) => {
        if (Buffer.from(payload).toString('hex').includes(GROUND)) asked++;
        return new Promise(() => undefined);
      });
    const from = Math.min(...epochsOf(world));
    const ground = new Set<string>();
    const grind = (): void => {
      const head = first?.up.ctx.chain.head ?? assert.fail('node 0');
      if (ground.has(head.id)) return;
      ground.add(head.id);
      const body = { epoch: head.state.epoch + 1, prev: head.id, roster: [], weights: [], dropped: [] };
      const [lowest] = Array.from({ length: 16 }, (_, k) => ({ ...body, aggregateHash: k.toString(16).padStart(64, GROUND) }))
        .map((b) => ({ b, id: decisionId(b) }))
        .sort((a, b) => (a.id < b.id ? -1 : 1));
      stranger.decide(lowest?.b ?? assert.fail('sixteen bodies'));
    };
    const done = await world.clock.runUntil(() => {
      grind();
      return Math.min(...epochsOf(world)) >= from + 10;
    }, world.clock.nowMs() + 12_000);
    assert.ok(done, `ten epochs in twelve seconds, as without it: ${from} to ${epochsOf(world)}`);
    assert.ok(ground.size >= 10);
    assert.equal(asked, 0);
    for (const { up } of world.nodes) assert.deepEqual([up.ctx.refused.size, up.ctx.unavailable.size], [0, 0]);
  });
});
