import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import {
  contentOf,
  fromHex,
  hashWithDomain,
  type Identity,
  identityFromSeeds,
  nativeMldsa,
  sealSegments,
  utf8,
} from '../../../src/crypto/index.ts';
import { isKind } from '../../../src/ledger/index.ts';
import { World, type WorldOptions } from '../../../src/simulation/index.ts';
import { type AnyEntryCore, MAX_JOINS, type NodeClass, type SignedEntry } from '../../../src/spec/index.ts';
import {
  decodeCore,
  encodeKeysMessage,
  encodeMetaUpdate,
  encodeRosterBundle,
  encodeUpdate,
  epochTopic,
  makeCertificate,
  updateHash,
} from '../../../src/wire/index.ts';
import { signed } from '../../support/epochWorld.ts';

const identityOf = (name: string): Identity => {
  const seed = (part: string) => hashWithDomain('starling/test/strangers', utf8(`${name}/${part}`));
  return identityFromSeeds({ mldsaSeed: seed('mldsa'), ed25519Seed: seed('ed25519') }, nativeMldsa);
};

function joinOf(world: World, identity: Identity, nodeClass: NodeClass): SignedEntry {
  const core = { v: 1, swarm: world.swarm, author: identity.fingerprint, seq: 0, prev: null, lam: 1, epochSeen: 0, deps: [] };
  const body = { certificate: makeCertificate(identity, nodeClass, []), invite: null };
  return signed(identity, { ...core, anchorBlock: world.swarm, kind: 'join', body } as AnyEntryCore);
}

/** A contribution of three in every place, after `prev`, sealed under a key that is known. */
function contributionOf(world: World, identity: Identity, prev: SignedEntry, epoch: number, anchorBlock: string) {
  const ints = bytesOf(new Int16Array(world.initialModel.length).fill(3));
  const salt = new Uint8Array(32).fill(7);
  const body = {
    epoch,
    updateHash: updateHash(salt, ints),
    sizeBytes: ints.length,
    samples: 10,
    maxAbs: [3],
    metrics: {},
    commitment: null,
    staleness: 0,
    links: [],
  };
  const next = { seq: prev.core.seq + 1, prev: prev.id, lam: prev.core.lam + 1, epochSeen: epoch - 1, anchorBlock };
  const entry = signed(identity, { ...prev.core, ...next, kind: 'contribution', body } as AnyEntryCore);
  const key = new Uint8Array(32).fill(9);
  const sealed = sealSegments(key, fromHex(entry.id), encodeUpdate({ salt, encoding: 'dense', dtype: 'int16', payload: ints }));
  const grant = { id: entry.id, key, cipherRoot: contentOf(sealed).root, cipherBytes: sealed.length };
  return {
    entry,
    sealed,
    grant,
    manifest: encodeMetaUpdate({ entry, cipherRoot: grant.cipherRoot, cipherBytes: sealed.length, inline: sealed }),
  };
}

describe('strangers and stragglers', function () {
  this.timeout(60_000);
  let world: World;
  afterEach(() => world.stop());

  async function swarm(options: Partial<WorldOptions> & { readonly nodes: number }): Promise<World> {
    world = new World({ seed: 3, ...options });
    await world.boot();
    return world;
  }
  const epochs = () => world.running.map((n) => n.up.ctx.chain.head.state.epoch);

  it('a flood of joins is taken in by and by, and nobody writes what others cannot read', async () => {
    await swarm({ nodes: 3, trainMs: [100, 200] });
    const joins = Array.from({ length: 300 }, (_, i) => joinOf(world, identityOf(`flood ${i}`), 'observer'));
    for (const { up } of world.nodes) up.ctx.replica.offer(joins);
    const { chain } = world.node(0).up.ctx;
    assert.ok(
      await world.clock.runUntil(() => chain.head.state.members.length === 303, world.clock.nowMs() + 60_000),
      `${chain.head.state.members.length}`,
    );
    for (let n = 1; n <= chain.head.state.epoch; n++) {
      const taken = (chain.at(n)?.body?.roster ?? []).filter((id) => world.node(0).up.ctx.replica.graph.get(id)?.core.kind === 'join');
      assert.ok(taken.length <= MAX_JOINS, `${taken.length} joins in epoch ${n}`);
    }
    for (const node of world.nodes) for (const entry of node.entries.all()) decodeCore(entry.coreBytes);
    assert.ok(await world.reach(Math.max(...epochs()) + 2, 30_000));
  });

  it('two joins with different classes divide nobody, whichever came first', async () => {
    await swarm({ nodes: 4, trainMs: [300, 600] });
    await world.reach(4, 60_000);
    const twoFaced = identityOf('two-faced');
    const port = world.network.attach(twoFaced.peerId);
    await world.run(50);
    const ready = () =>
      new Set(world.nodes.map((n) => n.up.ctx.chain.head.id)).size === 1 &&
      world.nodes.every((n) => n.up.state.phase === 'collecting' && n.up.state.facts.held.size === 3);
    assert.ok(await world.clock.runUntil(ready, world.clock.nowMs() + 20_000));
    const [core, observer] = [joinOf(world, twoFaced, 'core'), joinOf(world, twoFaced, 'observer')];
    world.nodes.forEach((n, i) => {
      n.up.ctx.replica.offer([i === 3 ? observer : core]);
    });
    const { state } = world.node(0).up.ctx.chain.head;
    const { manifest, grant } = contributionOf(world, twoFaced, core, state.epoch + 1, state.decision);
    for (const node of world.nodes.slice(0, 3))
      port.notify(node.identity.peerId, 'keys', encodeKeysMessage({ kind: 'push', keys: [grant] }));
    await port.publish(epochTopic(world.swarm, state.epoch + 1), manifest);
    await world.run(15_000);
    assert.deepEqual(
      world.nodes.map((n) => n.up.ctx.refused.size),
      [0, 0, 0, 0],
    );
    assert.equal(new Set(world.nodes.map((n) => n.up.ctx.chain.at(state.epoch + 1)?.id)).size, 1);
  });

  it('keeps the values of one update an author, and none of a class that does not contribute', async () => {
    await swarm({ nodes: 2 });
    world.training = false;
    await world.run(3_000);
    const { ctx } = world.node(0).up;
    const epoch = ctx.chain.head.state.epoch + 2;
    for (const [nodeClass, kept] of [
      ['observer', 0],
      ['core', 1],
    ] as const) {
      const author = identityOf(`hoarder ${nodeClass}`);
      const port = world.network.attach(author.peerId);
      let prev = joinOf(world, author, nodeClass);
      for (const { up } of world.nodes) up.ctx.replica.offer([prev]);
      const roots: string[] = [];
      for (let i = 0; i < 10; i++) {
        const { entry, grant, manifest } = contributionOf(world, author, prev, epoch, world.swarm);
        prev = entry;
        roots.push(grant.cipherRoot);
        await port.publish(epochTopic(world.swarm, epoch), manifest);
        await world.run(20);
      }
      assert.ok(ctx.replica.graph.has(prev.id), 'the entries themselves are on the ledger');
      assert.equal(roots.filter((root) => ctx.updates.sealed(root) !== undefined).length, kept, nodeClass);
    }
  });

  it('forged roster messages end the bundle they came in, for this epoch and the next', async () => {
    await swarm({ nodes: 2 });
    world.training = false;
    await world.run(3_000);
    const [self, other] = [world.node(0), world.node(1).identity.fingerprint];
    const { state } = self.up.ctx.chain.head;
    for (const ahead of [1, 2]) {
      const base = ahead === 1 ? state.decision : 'cd'.repeat(32);
      const have = { epoch: state.epoch + ahead, base, node: other, seq: 2 ** 52, ids: [], trainers: 1, signature: new Uint8Array(64) };
      const port = world.network.port(self.identity.peerId) ?? assert.fail('attached');
      await assert.rejects(port.serve('roster', 'stranger', encodeRosterBundle({ haves: [have], attests: [], stances: [] })), {
        code: 'BAD_SIGNATURE',
      });
    }
    assert.equal(self.up.activeTrainers, 2, 'what the node itself said stands');
  });

  it('a node that jumps over epochs leaves the topics it was on', async () => {
    await swarm({ nodes: 3, trainMs: [50, 100] });
    await world.reach(4, 60_000);
    world.node(2).kill();
    const held = new Set<string>();
    const attach = world.network.attach.bind(world.network);
    world.network.attach = (peer) => {
      const port = attach(peer);
      const [subscribe, unsubscribe] = [port.subscribe.bind(port), port.unsubscribe.bind(port)];
      port.subscribe = (topic) => {
        held.add(topic);
        subscribe(topic);
      };
      port.unsubscribe = (topic) => {
        held.delete(topic);
        unsubscribe(topic);
      };
      return port;
    };
    await world.reach(20, 60_000);
    await world.node(2).start();
    assert.ok(await world.reach(24, 60_000));
    const head = world.node(2).up.ctx.chain.head.state.epoch;
    const allowed = [head, head + 1, head + 2].map((n) => epochTopic(world.swarm, n));
    assert.deepEqual(
      [...held].filter((topic) => topic.includes('/epoch/') && !allowed.includes(topic)),
      [],
    );
  });

  it('trainers slower than the deadline has seen are waited for, and come to meet', async () => {
    await swarm({ nodes: 4, trainMs: [8_000, 8_200], rules: { epochDeadlineMs: 5_000, minDeadlineMs: 500 } });
    await world.run(200_000);
    const { chain } = world.node(0).up.ctx;
    const counts = new Map<string, number>();
    let averaged = 0;
    for (let n = 1; n <= chain.head.state.epoch; n++) {
      const body = chain.at(n)?.body;
      const contributions = body === undefined ? [] : chain.contributionsOf(body);
      if (contributions.length > 0) averaged++;
      for (const { core } of contributions) counts.set(core.author, (counts.get(core.author) ?? 0) + 1);
    }
    assert.ok(averaged >= 10, `${averaged} epochs`);
    for (const n of counts.values()) assert.ok(n >= 0.7 * averaged, `rostered ${[...counts.values()]} of ${averaged}`);
    assert.equal(counts.size, 4);
  });

  // Seed 9: a node that took part before its join was written began its chain with a decision, and nobody could read it.
  it('every chain begins with its join, however long that takes', async () => {
    const errors: string[] = [];
    const journal = {
      log: (level: string, _room: string, message: string) => void (level === 'error' && errors.push(message)),
      count: () => undefined,
      observe: () => undefined,
    };
    await swarm({ nodes: 10, seed: 9, link: { loss: 0.2, minDelayMs: 20, maxDelayMs: 120, duplication: 0.05 }, journal });
    assert.deepEqual(errors, [], 'no step failed on the way');
    for (const { up, identity } of world.nodes) {
      const [first] = up.ctx.replica.graph.at(identity.fingerprint, 0);
      const entry = up.ctx.replica.graph.get(first ?? '') ?? assert.fail('its chain has begun');
      assert.ok(isKind(entry, 'join'));
    }
  });
});
