import assert from 'node:assert/strict';
import type { ErrorCode } from '../../src/spec/index.ts';
import {
  decode,
  encode,
  encodeEntry,
  encodeMetaUpdate,
  encodeUpdate,
  epochTopic,
  ledgerTopic,
  type MetaUpdate,
  parameterCount,
} from '../../src/wire/index.ts';
import { type Author, type Contribution, random, sealed } from '../support/author.ts';
import { type Daemon, decide, Nest, until, untilAveraged } from '../support/daemons.ts';
import { type HostilePeer, joinAsHostile } from '../support/hostilePeer.ts';

/** The same CBOR value with its array header in two bytes where one does. */
const longHeader = (bytes: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(0x98, (bytes[0] as number) & 0x1f), bytes.subarray(1)]);
/** The same CBOR map with its pairs in another order than the canonical one. */
const unsorted = (bytes: Uint8Array): Uint8Array => {
  const pairs = Object.entries(decode(bytes, 'map', bytes.byteLength) as object).map(([key, value]) =>
    encode({ [key]: value }).subarray(1),
  );
  return Buffer.concat([bytes.subarray(0, 1), ...pairs.reverse()]);
};
/** A manifest that says of its entry what is not so. */
const lying = ({ entry, manifest }: Contribution): Uint8Array => {
  const honest = Buffer.from(encodeMetaUpdate(manifest));
  const at = honest.indexOf('update_hash') + 'update_hash'.length + 2;
  assert.equal(honest.subarray(at, at + 32).toString('hex'), entry.core.body.updateHash);
  return honest.fill(0xee, at, at + 32);
};

/** What decodes to nothing. */
const NOISE = new Uint8Array(500).fill(0xff);

type Message = readonly [topic: string, data: Uint8Array];

describe('bad input from a hostile peer', function () {
  this.timeout(60_000);
  let nest: Nest;
  let daemon: Daemon;
  const peers: HostilePeer[] = [];
  before(async () => {
    nest = new Nest();
    await nest.found('node');
    daemon = await nest.daemon('node');
    await decide(daemon);
    await decide(daemon);
  });
  afterEach(async () => {
    const { ok, problems } = await daemon.client.call('ledger_verify');
    assert.deepEqual({ ok, problems }, { ok: true, problems: [] });
    await decide(daemon);
    await Promise.all(peers.splice(0).map((peer) => peer.leave()));
  });
  after(() => nest.end());

  async function join(): Promise<HostilePeer> {
    const peer = await joinAsHostile(daemon);
    peers.push(peer);
    return peer;
  }

  /** An honest update of a peer becomes a part of the model. */
  const hear = (peer: HostilePeer): Promise<string[]> =>
    untilAveraged(daemon, peer.author.identity.fingerprint, async () => {
      const contribution = await craft(peer);
      peer.author.extend(contribution.entry);
      await peer.publish(contribution);
      return contribution.entry.core.body.epoch;
    });

  /** A right contribution to the epoch that is collected, or to one that many later. */
  async function craft({ author }: HostilePeer, later = 0, value = 1): Promise<Contribution> {
    const { epoch, applied } = await daemon.client.call('epoch_current');
    return author.contribution(epoch + later, applied.decision, value);
  }

  const isHeld = (id: string): Promise<boolean> =>
    daemon.client.call('ledger_get', { id }).then(
      () => true,
      () => false,
    );

  it('accepts an honest contribution from the same peer: what follows is refused for its fault alone', async () => {
    const peer = await join();
    await hear(peer);
  });

  /** Gossip that was not taken, by verdict and code. */
  async function refused(verdict: 'reject' | 'ignore', code: ErrorCode): Promise<number> {
    const metrics = (await daemon.client.call('metrics_get')) as {
      name: string;
      values: { value: number; labels: Record<string, string> }[];
    }[];
    const counter = metrics.find(({ name }) => name === 'starling_network_gossip_refused_total');
    return counter?.values.find(({ labels }) => labels.verdict === verdict && labels.code === code)?.value ?? 0;
  }

  /** Sends one message and waits until it is refused for this reason. */
  async function assertRefused(
    peer: HostilePeer,
    [topic, data]: Message,
    code: ErrorCode,
    verdict: 'reject' | 'ignore',
    what: string,
  ): Promise<void> {
    const before = await refused(verdict, code);
    await peer.gossip(topic, data);
    await until(
      () => `${what} is refused with ${code}; the daemon says:\n${daemon.process.tail}`,
      async () => (await refused(verdict, code)) === before + 1,
    );
  }

  type Case = readonly [what: string, code: ErrorCode, bend: (contribution: Contribution, author: Author) => Uint8Array];
  const entries: readonly Case[] = [
    ['an entry without a signature', 'MALFORMED', ({ entry }) => encode([entry.coreBytes, new Uint8Array(0), null])],
    ['an entry with a wrong signature', 'BAD_SIGNATURE', ({ entry }) => encodeEntry({ ...entry, signature: random(64) })],
    ['a contribution without its composite signature', 'BAD_SIGNATURE', ({ entry: { composite, ...rest } }) => encodeEntry(rest)],
    [
      'a contribution with a wrong composite signature',
      'BAD_SIGNATURE',
      ({ entry }) => encodeEntry({ ...entry, composite: random(3_373) }),
    ],
    ['CBOR with a longer integer than needed', 'MALFORMED', ({ entry }) => longHeader(encodeEntry(entry))],
    ['an entry of another swarm', 'WRONG_SWARM', ({ entry }, author) => encodeEntry(author.sign({ ...entry.core, swarm: 'f'.repeat(64) }))],
    ['an entry with a wrong Lamport time', 'BAD_LAMPORT', ({ entry }, author) => encodeEntry(author.sign({ ...entry.core, lam: 99 }))],
    ['bytes that are no entry', 'MALFORMED', () => NOISE],
    ['a message of 100 KiB', 'TOO_LARGE', () => random(100 * 1024)],
  ];
  it('refuses ledger entries that break a rule, each with the code of its rule', async () => {
    const peer = await join();
    const contribution = await craft(peer);
    for (const [what, code, bend] of entries) {
      await assertRefused(peer, [ledgerTopic(peer.author.swarm), bend(contribution, peer.author)], code, 'reject', what);
      assert.equal(await isHeld(contribution.entry.id), false, what);
    }
    // Ledger sync is the other way in, and as narrow.
    const { entry } = contribution;
    await peer.push({ ...entry, signature: random(64) });
    const line = await daemon.process.logged({ entry: entry.id, code: 'BAD_SIGNATURE' });
    assert.equal(line.peer, peer.author.identity.peerId);
    assert.equal(await isHeld(entry.id), false);
  });

  it('refuses manifests that lie, are not canonical or come at the wrong time', async () => {
    const peer = await join();
    const { author } = peer;
    const topicOf = async (later = 0) => epochTopic(author.swarm, (await daemon.client.call('epoch_current')).epoch + later);
    const say = async (manifest: MetaUpdate, later = 0): Promise<Message> => [await topicOf(later), encodeMetaUpdate(manifest)];
    const honest = await craft(peer);
    await assertRefused(peer, [await topicOf(), lying(honest)], 'HASH_MISMATCH', 'reject', 'a manifest whose hash lies');
    const unordered = unsorted(encodeMetaUpdate(honest.manifest));
    await assertRefused(peer, [await topicOf(), unordered], 'NON_CANONICAL', 'reject', 'CBOR with its keys out of order');
    const huge = { ...honest.manifest, cipherBytes: 1_000_000, inline: null };
    await assertRefused(peer, await say(huge), 'BOUNDS_EXCEEDED', 'reject', 'an update that no model of this swarm has');
    const far = await craft(peer, 3);
    await assertRefused(peer, await say(far.manifest), 'INCOMPATIBLE', 'reject', 'an update for a far epoch');
    assert.equal(await isHeld(honest.entry.id), false);
    assert.equal(await isHeld(far.entry.id), false);

    // From here on the entries are right and kept; it is what comes with them that is not.
    const past = await craft(peer, -1);
    author.extend(past.entry);
    await assertRefused(peer, await say(past.manifest, -1), 'EPOCH_REGRESSION', 'ignore', 'an update for a past epoch');
    const swapped = await craft(peer);
    author.extend(swapped.entry);
    const other = { ...swapped.manifest, inline: random(swapped.manifest.cipherBytes) };
    await assertRefused(peer, await say(other), 'HASH_MISMATCH', 'reject', 'other bytes than those named');
    assert.deepEqual([await isHeld(past.entry.id), await isHeld(swapped.entry.id)], [true, true]);
    assert.deepEqual(new Set(await decide(daemon)), new Set([daemon.info.fingerprint]));
  });

  it('averages no update that opens to something else than its entry names', async () => {
    const peer = await join();
    const size = 2 * parameterCount(peer.author.genesis.tensors);
    const update = (bytes: number) => encodeUpdate({ salt: random(32), encoding: 'dense', dtype: 'int16', payload: new Uint8Array(bytes) });
    const plaintexts: readonly (readonly [what: string, code: ErrorCode, plaintext: Uint8Array])[] = [
      ['other integers', 'HASH_MISMATCH', update(size)],
      ['another shape', 'MALFORMED', update(size - 2)],
      ['no update at all', 'MALFORMED', NOISE],
    ];
    for (const [what, code, plaintext] of plaintexts) {
      const { entry } = await craft(peer);
      peer.author.extend(entry);
      await peer.publish({ entry, ...sealed(entry, random(32), plaintext) });
      const line = await daemon.process.logged({ entry: entry.id, level: 40 });
      assert.equal(line.code, code, what);
      assert.deepEqual(new Set(await decide(daemon)), new Set([daemon.info.fingerprint]), what);
    }
  });

  it('keeps both entries of an author that signs two at one place, reports the fork, and averages nothing of it', async () => {
    const peer = await join();
    const { author } = peer;
    const [one, two] = [await craft(peer, 0, 1), await craft(peer, 0, 2)];
    await peer.push(one.entry, two.entry);
    for (const side of [one, two]) await peer.publish(side);
    author.extend(one.entry);
    assert.deepEqual(new Set(await decide(daemon)), new Set([daemon.info.fingerprint]));
    const next = await craft(peer);
    await peer.publish(next);
    await until(
      () => 'the entry after the fork is on the ledger',
      () => isHeld(next.entry.id),
    );
    assert.deepEqual(new Set(await decide(daemon)), new Set([daemon.info.fingerprint]));

    const { ok, forks } = await daemon.client.call('ledger_verify');
    const entries = [one.entry.id, two.entry.id].sort();
    assert.equal(ok, true);
    assert.deepEqual(
      forks.map((fork) => ({ ...fork, entries: [...fork.entries].sort() })),
      [{ author: author.identity.fingerprint, seq: 1, entries }],
    );
    for (const id of entries) assert.ok(await isHeld(id));
  });

  it('is not held up by a gossip message of 10 MiB: others are heard', async () => {
    const [flooder, other] = [await join(), await join()];
    await flooder.sendTenMiB();
    await hear(other);
  });
});
