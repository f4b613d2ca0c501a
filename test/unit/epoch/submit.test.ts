import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf, fromHex, openSegments, verifyComposite, verifyEd25519 } from '../../../src/crypto/index.ts';
import { publish } from '../../../src/epoch/publish.ts';
import type { UpdateSubmission } from '../../../src/epoch/submission.ts';
import { submit } from '../../../src/epoch/submit.ts';
import type { EntryOf } from '../../../src/ledger/index.ts';
import { type AnyEntryCore, type ContributionBody, INLINE_MESSAGE_MAX_BYTES, StarlingError } from '../../../src/spec/index.ts';
import {
  decodeKeysMessage,
  decodeMetaUpdate,
  decodeUpdate,
  entryBytes,
  epochTopic,
  UPDATE_CONTEXT,
  updateHash,
} from '../../../src/wire/index.ts';
import { signed, type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { valuesOf } from '../../support/residuals.ts';

const VALUES = Float32Array.from({ length: 8 }, (_, k) => (k - 4) / 8);
const code = (expected: string, field?: string) => (e: unknown) =>
  e instanceof StarlingError && e.code === expected && (field === undefined || e.facts.field === field);
const hand = (node: TestNode, change: Partial<UpdateSubmission> = {}) =>
  submit(node.ctx, node.residual, {
    epoch: node.ctx.chain.head.state.epoch + 1,
    kind: 'delta',
    samples: 100,
    metrics: { loss: 0.5 },
    values: VALUES.slice(),
    ...change,
  });

describe('submitting an update', () => {
  it('commits, then seals and announces what was committed to', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const node = swarm.node(0);
    const { ports } = node.ctx;
    let storedAtPublish = false;
    const gossip = ports.gossip.publish.bind(ports.gossip);
    ports.gossip.publish = (topic, data) => {
      storedAtPublish = node.entries.has(decodeMetaUpdate(data).entry.id) && node.notified.length === 2;
      return gossip(topic, data);
    };
    const done = await hand(node);
    assert.equal(storedAtPublish, true, 'durable, and the keys are on their way');
    const entry = node.ctx.replica.graph.get(done.contributionId) ?? assert.fail('not on the ledger');
    const body = entry.core.body as ContributionBody;
    assert.deepEqual(
      [body.epoch, body.updateHash, body.sizeBytes, body.samples, body.metrics],
      [1, done.updateHash, 16, 100, { loss: 0.5 }],
    );
    assert.equal(entry.core.anchorBlock, swarm.id);
    assert.ok(verifyEd25519(entryBytes(entry.coreBytes), entry.signature, node.identity.ed25519PublicKey));
    assert.ok(verifyComposite(UPDATE_CONTEXT, entryBytes(entry.coreBytes), entry.composite ?? new Uint8Array(), node.identity));
    // What went out opens to exactly what the entry names.
    const [{ topic, data }] = node.published as [{ topic: string; data: Uint8Array }];
    const manifest = decodeMetaUpdate(data);
    assert.deepEqual([topic, manifest.entry.id], [epochTopic(swarm.id, 1), entry.id]);
    const message = decodeKeysMessage((node.notified[0] as { payload: Uint8Array }).payload);
    assert.ok(message.kind === 'push' && manifest.inline !== null);
    const [key] = message.keys;
    assert.deepEqual([key?.cipherRoot, key?.cipherBytes], [manifest.cipherRoot, manifest.cipherBytes]);
    assert.equal(contentOf(manifest.inline).root, manifest.cipherRoot);
    const update = decodeUpdate(openSegments(key?.key ?? new Uint8Array(), fromHex(entry.id), manifest.inline, 10_000), 16);
    assert.equal(updateHash(update.salt, update.payload), body.updateHash);
    assert.deepEqual(
      [...new Int16Array(update.payload.slice().buffer)],
      [...VALUES].map((v) => v * 4_096),
    );
  });

  it('takes parameters for their difference from the model', async () => {
    const swarm = new TestSwarm({ nodes: 2 }).joined();
    await hand(swarm.node(0), { kind: 'parameters', values: swarm.initialModel.map((v, k) => v + (VALUES[k] as number)) });
    await hand(swarm.node(1));
    const [a, b] = swarm.nodes.map((n) => n.ctx.updates.row(n.ctx.replica.tip?.id ?? ''));
    assert.deepEqual(a, b);
  });

  it('names what is wrong with what it is handed, and writes nothing', async () => {
    const swarm = new TestSwarm({ nodes: 2, classes: ['core', 'relay'] }).joined();
    const node = swarm.node(0);
    const before = node.entries.size();
    await assert.rejects(hand(node, { epoch: 0 }), code('EPOCH_PAST', 'epoch'));
    await assert.rejects(hand(node, { epoch: 2 }), code('EPOCH_FAR', 'epoch'));
    for (const samples of [0, -1, 1.5, Number.NaN, 2 ** 60]) await assert.rejects(hand(node, { samples }), code('BAD_PARAMS', 'samples'));
    await assert.rejects(hand(node, { values: VALUES.subarray(1) }), code('BAD_SHAPE', 'values'));
    await assert.rejects(hand(node, { values: VALUES.map((v, k) => (k === 7 ? Number.NaN : v)) }), code('NON_FINITE', 'bias'));
    await assert.rejects(hand(swarm.node(1)), code('CLASS_FORBIDS', 'class'));
    assert.deepEqual([node.entries.size(), node.published.length], [before, 0]);
    await hand(node);
    await assert.rejects(hand(node), code('ALREADY_CONTRIBUTED', 'epoch'));
    for (const error of [await hand(node).catch((e) => e as StarlingError)])
      assert.match(`${(error as StarlingError).facts.fix}`, /wait for epoch 1/);
  });

  it('says so when its chain has forked, instead of contributing what nobody counts', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const node = swarm.node(0);
    const { replica, self } = node.ctx;
    await hand(node);
    const tip = replica.graph.get(replica.tip?.id ?? '') ?? assert.fail('it has contributed');
    const twin = signed(node.identity, { ...tip.core, epochSeen: tip.core.epochSeen + 1 } as AnyEntryCore);
    replica.graph.add(twin);
    assert.equal(replica.graph.forksOf(self).length, 1);
    await assert.rejects(hand(node), code('FORKED_AUTHOR', 'identity'));
  });

  it('claims no more samples than the genesis allows', async () => {
    const swarm = new TestSwarm({ nodes: 1 }).joined();
    await hand(swarm.node(0), { samples: 50_000 });
    assert.equal((swarm.node(0).ctx.replica.tip as EntryOf<'contribution'>).core.body.samples, 10_000);
  });

  it('leaves large updates to be pulled', async () => {
    const size = 40_000;
    const swarm = new TestSwarm({
      nodes: 2,
      genesis: { schedule: 'gossip', tensors: [{ name: 'a', shape: [size] }], clipNorm: 1e6 },
    }).joined();
    await hand(swarm.node(0), { values: Float32Array.from({ length: size }, (_, k) => Math.sin(k * k)) });
    const manifest = decodeMetaUpdate((swarm.node(0).published[0] as { data: Uint8Array }).data);
    assert.ok(manifest.cipherBytes > INLINE_MESSAGE_MAX_BYTES && manifest.inline === null);
    assert.equal(swarm.node(0).ctx.updates.sealed(manifest.cipherRoot)?.byteLength, manifest.cipherBytes);
  });

  it('sends inline by what the encoding takes, and what is left out goes into the next update', async () => {
    const size = 40_000;
    for (const encoding of ['topk', 'sign'] as const) {
      const tensors = [{ name: 'a', shape: [size] }];
      const swarm = new TestSwarm({ nodes: 2, genesis: { tensors, clipNorm: 1e6, encoding, topkShare: 0.05 } }).joined();
      const node = swarm.node(0);
      const { contributionId, updateHash: hash } = await hand(node, {
        values: Float32Array.from({ length: size }, (_, k) => Math.sin(k * k)),
      });
      const manifest = decodeMetaUpdate((node.published[0] as { data: Uint8Array }).data);
      assert.ok(manifest.inline !== null, encoding);
      const sent = node.ctx.updates.row(contributionId) ?? assert.fail('not held');
      assert.deepEqual((await node.residual.get(hash))?.integers, sent);
      assert.equal(
        updateHash((await node.residual.get(hash))?.salt ?? new Uint8Array(), bytesOf(sent)),
        hash,
        'the root covers the integers',
      );
      swarm.deliver(node);
      assert.deepEqual(swarm.node(1).ctx.updates.row(contributionId), sent);
      assert.equal((node.ctx.replica.tip as EntryOf<'contribution'>).core.body.sizeBytes, 2 * size);
      const before = await valuesOf(node.residual);
      await node.residual.settle(() => true, 1);
      const left = await valuesOf(node.residual);
      assert.ok(left.every((v, k) => v + (sent[k] as number) * 2 ** -12 === before[k]));
      assert.equal(left.filter((v) => v !== 0).length > 0.9 * size, true);
      await node.residual.settle(() => false, 1);
      assert.deepEqual(await valuesOf(node.residual), before, 'and back, to the bit');
    }
  });

  it('sends no values inline to so many that it adds up', async () => {
    const size = 4_000;
    const values = Float32Array.from({ length: size }, (_, k) => Math.sin(k * k));
    const inlineFor = async (peers: number): Promise<boolean> => {
      const swarm = new TestSwarm({ nodes: 1, genesis: { tensors: [{ name: 'a', shape: [size] }], clipNorm: 1e6 } }).joined();
      swarm.node(0).connected = Array.from({ length: peers }, (_, i) => `peer ${i}`);
      await hand(swarm.node(0), { values });
      return decodeMetaUpdate((swarm.node(0).published[0] as { data: Uint8Array }).data).inline !== null;
    };
    // About 8 KB each: 512 KiB are reached with 66 members.
    assert.deepEqual([await inlineFor(40), await inlineFor(90)], [true, false]);
  });

  it('draws a new key when it announces again: no nonce is used twice', async () => {
    const swarm = new TestSwarm({ nodes: 2 }).joined();
    const node = swarm.node(0);
    const { contributionId, updateHash: hash } = await hand(node);
    const first = node.ctx.updates.key(contributionId);
    const [entry] = node.ctx.replica.graph.contributionsOf(1);
    await publish(node.ctx, entry ?? assert.fail('no entry'), (await node.residual.get(hash)) ?? assert.fail('forgotten'));
    const second = node.ctx.updates.key(contributionId);
    assert.notDeepEqual(second?.key, first?.key);
    assert.deepEqual([node.ctx.updates.sealed(first?.cipherRoot ?? ''), node.published.length], [undefined, 2]);
    swarm.deliver(node);
    assert.deepEqual(swarm.node(1).ctx.updates.row(contributionId), node.ctx.updates.row(contributionId));
  });

  it('gives keys to members alone', async () => {
    const swarm = new TestSwarm({ nodes: 3 });
    for (const node of swarm.nodes.slice(0, 2)) node.join();
    swarm.share();
    await hand(swarm.node(0));
    assert.deepEqual(
      swarm.node(0).notified.map((n) => n.peer),
      [swarm.node(1).peer],
    );
  });

  describe('while the world goes on', () => {
    /** Runs `meanwhile` once, in the middle of the preparation. */
    const during = (node: TestNode, meanwhile: () => Promise<void> | void): void => {
      const { compute } = node.ctx.ports;
      const { sqNorm } = compute;
      compute.sqNorm = async (...args) => {
        compute.sqNorm = sqNorm;
        const norm = await sqNorm(...args);
        await meanwhile();
        return norm;
      };
    };

    it('is refused when a decision has come in', async () => {
      const swarm = new TestSwarm({ nodes: 1 }).joined();
      const node = swarm.node(0);
      during(node, async () => {
        await node.decide([]);
        await node.apply();
      });
      await assert.rejects(hand(node), code('EPOCH_PAST'));
      assert.equal(node.ctx.replica.graph.contributionsOf(1).length, 0);
    });

    it('is refused when a decision has just taken its part out of the residual', async () => {
      const swarm = new TestSwarm({ nodes: 1 }).joined();
      const node = swarm.node(0);
      const { contributionId, updateHash: hash } = await hand(node);
      await node.decide([contributionId]);
      await node.apply();
      // The head has moved, the residual not yet: it is settled while the next update is prepared.
      during(node, () => node.residual.settle((h) => h === hash, 1));
      await assert.rejects(hand(node), code('EPOCH_PAST', 'epoch'));
      await hand(node);
      await node.residual.settle(() => true, 2);
      for (const owed of await valuesOf(node.residual)) assert.ok(Math.abs(owed) < 2 ** -11, `${owed}: each delta counts once`);
    });
  });
});
