import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fetchUpdate } from '../../../src/epoch/fetch.ts';
import { verifyGossip } from '../../../src/epoch/verify.ts';
import type { AnyEntryCore, ContributionBody, SignedEntry, Verdict } from '../../../src/spec/index.ts';
import { decode, decodeMetaUpdate, encode, encodeEntry, encodeMetaUpdate, epochTopic, ledgerTopic } from '../../../src/wire/index.ts';
import { identityOf, signed, type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { hashOf } from '../ledger/entries.ts';

const VALUES = new Float32Array(8).fill(0.5);
const told = (verdict: Verdict): string => (verdict.kind === 'accept' ? 'accept' : `${verdict.kind} ${verdict.code}`);

interface Published {
  readonly swarm: TestSwarm;
  readonly author: TestNode;
  readonly reader: TestNode;
  readonly topic: string;
  readonly manifest: Uint8Array;
  readonly entry: SignedEntry;
}

/** A contribution of node 0 on its way to node 1. */
async function published(swarm = new TestSwarm({ nodes: 2 }).joined()): Promise<Published> {
  const [author, reader] = [swarm.node(0), swarm.node(1)];
  const { contributionId } = await author.submit(VALUES);
  const [{ topic, data }] = author.published as [{ topic: string; data: Uint8Array }];
  return { swarm, author, reader, topic, manifest: data, entry: author.ctx.replica.graph.get(contributionId) as SignedEntry };
}

const judge = ({ reader, topic, manifest }: Published, data = manifest, on = topic): string =>
  told(verifyGossip(reader.ctx, on, data).verdict);

/** The manifest with other fields: what a liar in between can do. */
const changed = (manifest: Uint8Array, change: object): Uint8Array =>
  encode({ ...(decode(manifest, 'manifest', 65_536) as object), ...change });
const repacked = (manifest: Uint8Array, change: Partial<ReturnType<typeof decodeMetaUpdate>>): Uint8Array =>
  encodeMetaUpdate({ ...decodeMetaUpdate(manifest), ...change });

describe('a manifest', () => {
  it('is accepted, and its entry is on disk when that is said', async () => {
    const given = await published();
    const heard = verifyGossip(given.reader.ctx, given.topic, given.manifest);
    assert.equal(told(heard.verdict), 'accept');
    assert.equal(heard.update?.entry.id, given.entry.id);
    assert.equal(given.reader.entries.has(given.entry.id), true);
  });

  it('is ignored when its update is held', async () => {
    const given = await published();
    given.swarm.deliver(given.author);
    assert.equal(judge(given), 'ignore DUPLICATE');
  });

  it('is ignored when another of the same contribution came first, unless the key vouches for it; then the true bytes are asked for', async () => {
    const given = await published();
    const forged = repacked(given.manifest, { cipherRoot: 'a'.repeat(64), inline: null });
    assert.equal(judge(given, forged), 'accept');
    assert.equal(judge(given, repacked(given.manifest, { cipherRoot: 'b'.repeat(64), inline: null })), 'ignore DUPLICATE');
    assert.equal(judge(given, given.manifest), 'ignore DUPLICATE');
    assert.equal(judge(given, forged), 'accept', 'the same again');
    const key = given.author.ctx.updates.key(given.entry.id) ?? assert.fail('no key');
    const { updates } = given.reader.ctx;
    updates.expect(given.entry as never);
    updates.offerKey(key);
    assert.equal(judge(given, given.manifest), 'accept');
    const exponents = given.reader.ctx.chain.head.state.scaleExponents;
    assert.equal(await fetchUpdate(given.reader.ctx, given.entry.id, { holders: [given.author.peer] }, exponents), true);
  });

  it('is rejected when it says other than its entry', async () => {
    const given = await published();
    for (const lie of [
      { update_hash: Buffer.alloc(32, 1) },
      { ledger_block_id: Buffer.alloc(32, 1) },
      { node_fingerprint: Buffer.alloc(32, 1) },
      { federated_epoch: 2 },
    ])
      assert.equal(judge(given, changed(given.manifest, lie)), 'reject HASH_MISMATCH', `${Object.keys(lie)}`);
    assert.equal(given.reader.ctx.replica.graph.has(given.entry.id), false);
  });

  it('is rejected when it claims more bytes than any update has, before anything is asked for', async () => {
    const given = await published();
    assert.equal(judge(given, repacked(given.manifest, { inline: null, cipherBytes: 500_000_000 })), 'reject BOUNDS_EXCEEDED');
    const terabyte = changed(given.manifest, {
      payload: encode({
        ...(decode((decode(given.manifest, 'm', 65_536) as { payload: Uint8Array }).payload, 'p', 65_536) as object),
        inline: null,
        cipherBytes: 1e12,
      }),
    });
    assert.equal(judge(given, terabyte), 'reject MALFORMED');
    assert.equal(judge(given, repacked(given.manifest, { inline: new Uint8Array(5) })), 'reject MALFORMED');
    assert.deepEqual(given.reader.asked, []);
  });

  it('is rejected on the topic of another epoch, ignored on that of another swarm', async () => {
    const given = await published();
    const { ctx } = given.reader;
    assert.equal(judge(given, given.manifest, epochTopic(ctx.swarm, 2)), 'reject INCOMPATIBLE');
    assert.equal(judge(given, given.manifest, epochTopic(hashOf('another swarm'), 1)), 'ignore WRONG_SWARM');
    assert.match(judge(given, given.manifest, 'not a topic'), /^reject|^ignore/);
  });

  it('is rejected when it is larger than gossip, or no canonical CBOR', async () => {
    const given = await published();
    assert.equal(judge(given, new Uint8Array(10 * 2 ** 20)), 'reject TOO_LARGE');
    assert.equal(judge(given, Buffer.concat([given.manifest, Buffer.of(0)])), 'reject MALFORMED');
    // A map of five with its length in a byte of its own (RFC 8949 section 4.2.1 wants the shortest form).
    assert.equal(given.manifest[0], 0xa5);
    assert.match(judge(given, Buffer.concat([Buffer.of(0xb8, 5), given.manifest.subarray(1)])), /^reject (NON_CANONICAL|MALFORMED)$/);
  });

  it('is ignored when its epoch is over, yet its entry is kept', async () => {
    const given = await published();
    await given.reader.decide([]);
    await given.reader.apply();
    assert.equal(given.reader.ctx.chain.head.state.epoch, 1);
    assert.equal(judge(given), 'ignore EPOCH_REGRESSION');
    assert.equal(given.reader.ctx.replica.graph.has(given.entry.id), true);
  });

  it('is rejected when its author may not contribute this', async () => {
    const swarm = new TestSwarm({ nodes: 2, classes: ['core', 'core'] }).joined();
    const given = await published(swarm);
    const { core } = given.entry;
    const lies: Partial<ContributionBody>[] = [{ samples: 10_001 }, { sizeBytes: 14 }, { maxAbs: [1] }, { maxAbs: [1, 1, 1] }];
    for (const lie of lies) {
      const entry = signed(identityOf(1), { ...core, body: { ...core.body, ...lie } } as AnyEntryCore);
      assert.equal(judge(given, repacked(given.manifest, { entry })), 'reject INCOMPATIBLE', JSON.stringify(lie));
    }
    const observers = new TestSwarm({ nodes: 2, classes: ['observer', 'core'] }).joined();
    const observer = observers.node(0);
    const entry = signed(identityOf(1), {
      ...core,
      swarm: observers.id,
      prev: observer.ctx.replica.tip?.id,
      lam: 2,
      deps: [],
      anchorBlock: observers.id,
    } as AnyEntryCore);
    const heard = verifyGossip(observers.node(1).ctx, epochTopic(observers.id, 1), repacked(given.manifest, { entry }));
    assert.equal(told(heard.verdict), 'reject INCOMPATIBLE');
  });

  it('is rejected when its entry is not signed by both keys of its author', async () => {
    const given = await published();
    const { entry } = given;
    const flip = (bytes: Uint8Array, i: number): Uint8Array => bytes.map((b, k) => (k === i ? b ^ 1 : b));
    assert.equal(
      judge(given, repacked(given.manifest, { entry: { ...entry, signature: flip(entry.signature, 3) } })),
      'reject BAD_SIGNATURE',
    );
    const composite = entry.composite as Uint8Array;
    for (const at of [0, composite.length - 1]) {
      assert.equal(judge(given, repacked(given.manifest, { entry: { ...entry, composite: flip(composite, at) } })), 'reject BAD_SIGNATURE');
    }
    assert.equal(judge(given, repacked(given.manifest, { entry: signed(identityOf(2), entry.core) })), 'reject BAD_SIGNATURE');
    const { composite: _none, ...without } = entry;
    assert.equal(judge(given, repacked(given.manifest, { entry: without })), 'reject BAD_SIGNATURE');
    assert.equal(judge(given), 'accept', 'the true one is none the worse for it');
  });

  it('is accepted for the next epoch and over another base: whether it counts is seen then', async () => {
    const given = await published();
    const { core } = given.entry;
    const ahead = signed(identityOf(1), { ...core, body: { ...core.body, epoch: 2 } } as AnyEntryCore);
    assert.equal(judge(given, repacked(given.manifest, { entry: ahead }), epochTopic(given.swarm.id, 2)), 'accept');
    const elsewhere = signed(identityOf(1), { ...core, anchorBlock: hashOf('another base') } as AnyEntryCore);
    assert.equal(judge(given, repacked(given.manifest, { entry: elsewhere })), 'accept');
  });

  it('never brings a reader down, whatever its bytes are', async () => {
    const given = await published();
    const { reader } = given;
    fc.assert(
      fc.property(fc.nat(given.manifest.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        judge(
          given,
          given.manifest.map((b, k) => (k === at ? b ^ change : b)),
        );
      }),
      { numRuns: 150 },
    );
    for (const topic of [given.topic, ledgerTopic(given.swarm.id)])
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => assert.match(judge(given, bytes, topic), /^reject/)),
        { numRuns: 100 },
      );
    const known = new Set([given.entry, ...given.author.ctx.replica.graph.entries()].map((e) => e.id));
    for (const entry of reader.ctx.replica.graph.entries()) assert.ok(known.has(entry.id), 'nothing forged came in');
  });
});

describe('an entry', () => {
  const onLedger = (reader: TestNode, entry: SignedEntry) => verifyGossip(reader.ctx, ledgerTopic(reader.swarm.id), encodeEntry(entry));

  it('is accepted once, and ignored the second time', async () => {
    const { reader, entry } = await published();
    assert.equal(told(onLedger(reader, entry).verdict), 'accept');
    assert.equal(told(onLedger(reader, entry).verdict), 'ignore DUPLICATE');
  });

  it('is ignored while a parent is missing, which is named', async () => {
    const swarm = new TestSwarm({ nodes: 2 }).joined();
    const [author, reader] = [swarm.node(0), swarm.node(1)];
    await author.decide([]);
    await author.decide([]);
    const first = author.ctx.replica.tip as SignedEntry;
    const heard = onLedger(reader, first);
    assert.equal(told(heard.verdict), 'ignore MISSING_PARENT');
    assert.deepEqual(heard.missing, [first.core.prev]);
  });

  it('is accepted though others wait for parents: strangers cannot stop the spread of what is good', async () => {
    const { swarm, reader, entry } = await published();
    const orphan = signed(identityOf(9), {
      ...entry.core,
      author: identityOf(9).fingerprint,
      prev: hashOf('nowhere'),
      seq: 5,
    } as AnyEntryCore);
    assert.equal(told(onLedger(reader, orphan).verdict), 'ignore MISSING_PARENT');
    const heard = onLedger(reader, entry);
    assert.deepEqual([told(heard.verdict), heard.missing], ['accept', []]);
    assert.equal(swarm.node(1).ctx.replica.graph.has(entry.id), true);
  });

  it('is accepted together with a child that came before it, even where that child waits for more', async () => {
    const { swarm, author, reader, entry } = await published();
    const child = signed(author.identity, {
      ...entry.core,
      kind: 'decision',
      body: { epoch: 1, prev: swarm.id, roster: [], weights: [], aggregateHash: '0'.repeat(64), dropped: [] },
      seq: 2,
      prev: entry.id,
      lam: 9,
      deps: [hashOf('nowhere')],
    } as AnyEntryCore);
    assert.equal(told(onLedger(reader, child).verdict), 'ignore MISSING_PARENT');
    const heard = onLedger(reader, entry);
    assert.deepEqual([told(heard.verdict), heard.missing], ['accept', [hashOf('nowhere')]]);
  });

  it('is rejected when it breaks a rule of the ledger', async () => {
    const { reader, entry } = await published();
    assert.equal(told(onLedger(reader, signed(identityOf(1), { ...entry.core, lam: 77 } as AnyEntryCore)).verdict), 'reject BAD_LAMPORT');
    assert.equal(
      told(onLedger(reader, signed(identityOf(1), { ...entry.core, swarm: hashOf('another') } as AnyEntryCore)).verdict),
      'reject WRONG_SWARM',
    );
  });

  it('of this very node, written by another process, is the end', async () => {
    const { swarm, author } = await published();
    const copy = signed(author.identity, { ...(author.ctx.replica.tip as SignedEntry).core, epochSeen: 1 } as AnyEntryCore);
    assert.throws(
      () => onLedger(author, copy),
      (e) => (e as { code?: string }).code === 'IDENTITY_IN_USE',
    );
    assert.equal(told(onLedger(swarm.node(1), copy).verdict), 'accept', 'others keep both sides of the fork');
  });
});
