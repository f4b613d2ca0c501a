import assert from 'node:assert/strict';
import { optionOf } from '../../../src/consensus/index.ts';
import { contentOf, fromHex, openSegments, sealSegments, verifyComposite, verifyEd25519 } from '../../../src/crypto/index.ts';
import type { EpochPorts, StreamProtocol } from '../../../src/epoch/index.ts';
import { Random } from '../../../src/learning/random.ts';
import { Liars } from '../../../src/simulation/byzantine/index.ts';
import { VirtualClock } from '../../../src/simulation/clock.ts';
import { SimulatedNetwork } from '../../../src/simulation/network.ts';
import type { SimulatedNode } from '../../../src/simulation/node.ts';
import type { LiarKind } from '../../../src/simulation/scenario.ts';
import { ACCEPT, type EntryCore, type StarlingError, type Vote } from '../../../src/spec/index.ts';
import {
  decodeEntry,
  decodeKeysMessage,
  decodeMetaUpdate,
  decodeRosterBundle,
  decodeVotesBundle,
  decodeVotesMessage,
  encodeKeysMessage,
  encodeMetaUpdate,
  encodeRosterBundle,
  encodeVotesBundle,
  encodeVotesMessage,
  entryBytes,
  epochTopic,
  ledgerTopic,
  makeBlock,
  signMessage,
  signProposal,
  signVote,
  stanceBytes,
  UPDATE_CONTEXT,
  verifyMessage,
  verifyProposal,
  verifyVote,
  votesTopic,
} from '../../../src/wire/index.ts';
import { block, SWARM, vote } from '../wire/finalitySamples.ts';
import { alice, contributionCore, id, signedEntry } from '../wire/samples.ts';

const OPTIONS = { timeoutMs: 5_000, maxResponseBytes: 100_000 };
const TOPICS = [votesTopic(SWARM), ledgerTopic(SWARM), epochTopic(SWARM, contributionCore.body.epoch)];

/** One liar, alice, among four who write down what they are told. */
class Stage {
  readonly clock = new VirtualClock();
  readonly network = new SimulatedNetwork(this.clock, Random.from('byzantine test'), {
    loss: 0,
    minDelayMs: 1,
    maxDelayMs: 2,
    duplication: 0,
  });
  readonly gossip = new Map<string, { readonly topic: string; readonly data: Uint8Array }[]>();
  readonly told = new Map<string, { readonly protocol: StreamProtocol; readonly payload: Uint8Array }[]>();
  readonly liars: Liars;
  readonly ports: EpochPorts;

  constructor(kind: LiarKind) {
    for (const peer of ['b', 'c', 'd', 'e']) {
      const port = this.network.attach(peer);
      this.gossip.set(peer, []);
      this.told.set(peer, []);
      for (const topic of TOPICS) port.subscribe(topic);
      port.onMessage(async (topic, data) => {
        this.gossip.get(peer)?.push({ topic, data });
        return ACCEPT;
      });
      for (const protocol of ['roster', 'keys', 'votes'] as const)
        port.handle(protocol, async (_from, payload) => {
          this.told.get(peer)?.push({ protocol, payload });
          return undefined;
        });
    }
    const own = this.network.attach('a');
    this.liars = new Liars([{ node: 0, kind }], 1);
    const node = { index: 0, identity: alice } as unknown as SimulatedNode;
    this.ports = this.liars.intercept(node, { gossip: own, streams: own } as unknown as EpochPorts, own, SWARM);
    for (const topic of TOPICS) this.ports.gossip.subscribe(topic);
    this.ports.gossip.onMessage(async () => ACCEPT);
  }

  /** The same with the lies begun and everyone connected. */
  async begun(): Promise<this> {
    await this.wait();
    this.liars.begin();
    return this;
  }

  async wait(ms = 50): Promise<void> {
    await this.clock.runUntil(() => false, this.clock.nowMs() + ms);
  }

  async publish(topic: string, data: Uint8Array): Promise<void> {
    await this.ports.gossip.publish(topic, data);
    await this.wait();
  }

  /** Each distinct message on a topic, with how many heard it. */
  heard(topic: string): Map<string, number> {
    const count = new Map<string, number>();
    for (const messages of this.gossip.values())
      for (const { topic: on, data } of messages) {
        const hex = Buffer.from(data).toString('hex');
        if (on === topic) count.set(hex, (count.get(hex) ?? 0) + 1);
      }
    return count;
  }

  async notifyAll(protocol: StreamProtocol, payload: Uint8Array): Promise<Uint8Array[]> {
    for (const peer of ['b', 'c', 'd', 'e']) this.ports.streams.notify(peer, protocol, payload);
    await this.wait();
    return [...this.told.values()].flat().flatMap((t) => (t.protocol === protocol ? [t.payload] : []));
  }

  /** How a question that `peer` asks the liar ends. */
  async ask(protocol: StreamProtocol, peer = 'b'): Promise<Uint8Array | string> {
    let answer: Uint8Array | string | undefined;
    const port = this.network.port(peer) ?? assert.fail(peer);
    port.request('a', protocol, Buffer.from('question'), OPTIONS).then(
      (bytes) => {
        answer = bytes;
      },
      (error: unknown) => {
        answer = (error as StarlingError).code;
      },
    );
    await this.clock.runUntil(() => answer !== undefined, this.clock.nowMs() + 10_000);
    return answer ?? 'nothing';
  }
}

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const self = alice.fingerprint;
const ownVote = (change: Partial<Vote> = {}): Vote => {
  const { signature: _, ...body } = { ...vote(), voter: self, ...change };
  return signVote(SWARM, body, alice);
};

/** A contribution of alice with its values inline, and the key that opens them. */
function ownUpdate() {
  const entry = signedEntry({ ...contributionCore, author: self } as EntryCore<'contribution'>);
  const key = new Uint8Array(32).fill(5);
  const inline = sealSegments(key, fromHex(entry.id), Buffer.from('some values'));
  const { root } = contentOf(inline);
  const grant = { id: entry.id, key, cipherRoot: root, cipherBytes: inline.byteLength };
  return { entry, key, grant, manifest: encodeMetaUpdate({ entry, cipherRoot: root, cipherBytes: inline.byteLength, inline }) };
}

describe('dishonest nodes', () => {
  it('are honest until they begin', async () => {
    const stage = new Stage('silent');
    await stage.wait();
    await stage.publish(votesTopic(SWARM), Buffer.from('hello'));
    assert.deepEqual([...stage.heard(votesTopic(SWARM)).values()], [4]);
    assert.equal((await stage.notifyAll('roster', Buffer.from('x'))).length, 4);
    stage.ports.streams.handle('sync', async () => Buffer.from('truth'));
    assert.equal(Buffer.from(await stage.ask('sync')).toString(), 'truth');
  });

  it('that are silent say and answer nothing', async () => {
    const stage = await new Stage('silent').begun();
    stage.ports.streams.handle('sync', async () => Buffer.from('truth'));
    await stage.publish(votesTopic(SWARM), Buffer.from('hello'));
    assert.deepEqual([stage.heard(votesTopic(SWARM)).size, (await stage.notifyAll('roster', Buffer.from('x'))).length], [0, 0]);
    assert.equal(await stage.ask('sync'), 'PEER_TIMEOUT');
  });

  it('that equivocate in votes sign both values, and give each half of the others one', async () => {
    const topic = votesTopic(SWARM);
    const stage = await new Stage('equivocating-voter').begun();
    const honest = ownVote();
    await stage.publish(topic, encodeVotesMessage({ kind: 'vote', vote: honest }));
    const heard = stage.heard(topic);
    assert.deepEqual([...heard.values()], [2, 2]);
    const votes = [...heard.keys()].map((hex) => {
      const message = decodeVotesMessage(bytes(hex));
      assert.ok(message.kind === 'vote');
      assert.ok(verifyVote(SWARM, message.vote, alice.ed25519PublicKey));
      return message.vote;
    });
    const [one, other] = votes as [Vote, Vote];
    assert.notEqual(one.block, other.block);
    assert.deepEqual({ ...one, block: 0, signature: 0 }, { ...other, block: 0, signature: 0 });
    // A vote for nothing has a twin for a block that was proposed.
    await stage.network.port('b')?.publish(topic, encodeVotesMessage({ kind: 'proposal', proposal: proposalOf(0, 0) }));
    await stage.wait();
    await stage.publish(topic, encodeVotesMessage({ kind: 'vote', vote: ownVote({ block: null, round: 3 }) }));
    const blocks = [...stage.heard(topic).keys()].flatMap((hex) => {
      const message = decodeVotesMessage(bytes(hex));
      return message.kind === 'vote' && message.vote.round === 3 ? [message.vote.block] : [];
    });
    assert.deepEqual(blocks.sort(), [proposalOf(0, 0).block, null].sort());
    // Retelling repeats what others said, and none of its own.
    const others = { kind: 'vote', vote: vote({ voter: id(0x55) }) } as const;
    const retold = await stage.notifyAll('votes', encodeVotesBundle([others, { kind: 'vote', vote: honest }]));
    for (const payload of retold) assert.deepEqual(decodeVotesBundle(payload), [others]);
    assert.equal(retold.length, 4);
  });

  it('that equivocate in votes show a proposal to one half', async () => {
    const stage = await new Stage('equivocating-voter').begun();
    await stage.publish(votesTopic(SWARM), encodeVotesMessage({ kind: 'proposal', proposal: proposalOf(0, 0) }));
    assert.deepEqual([...stage.heard(votesTopic(SWARM)).values()], [2]);
  });

  it('that propose what is stale put the oldest block of the height in the place of their own', async () => {
    const topic = votesTopic(SWARM);
    const stage = await new Stage('stale-proposer').begun();
    const old = proposalOf(0, 0);
    await stage.network.port('b')?.publish(topic, encodeVotesMessage({ kind: 'proposal', proposal: old }));
    await stage.wait();
    const fresh = proposalOf(1, 1);
    await stage.publish(topic, encodeVotesMessage({ kind: 'proposal', proposal: fresh }));
    const told = [...stage.heard(topic).keys()].map((hex) => decodeVotesMessage(bytes(hex)));
    const proposals = told.flatMap((m) => (m.kind === 'proposal' && m.proposal.round === 1 ? [m.proposal] : []));
    assert.deepEqual(
      proposals.map((p) => p.block),
      [old.block],
    );
    for (const p of proposals) assert.ok(verifyProposal(SWARM, p, alice));
    assert.notEqual(fresh.block, old.block);
  });

  it('that equivocate as authors sign two sound contributions at one place, each open to its half', async () => {
    const stage = await new Stage('equivocating-author').begun();
    const { entry, key, grant, manifest } = ownUpdate();
    const topic = epochTopic(SWARM, contributionCore.body.epoch);
    await stage.notifyAll('keys', encodeKeysMessage({ kind: 'push', keys: [grant] }));
    await stage.publish(topic, manifest);
    const updates = [...stage.heard(topic)].map(([hex, count]) => ({ update: decodeMetaUpdate(bytes(hex)), count }));
    assert.deepEqual(
      updates.map((u) => u.count),
      [2, 2],
    );
    const twin = updates.map((u) => u.update).find((u) => u.entry.id !== entry.id) ?? assert.fail('no twin');
    assert.deepEqual([twin.entry.core.author, twin.entry.core.seq, twin.entry.core.prev], [self, entry.core.seq, entry.core.prev]);
    const message = entryBytes(twin.entry.coreBytes);
    assert.ok(verifyEd25519(message, twin.entry.signature, alice.ed25519PublicKey));
    assert.ok(verifyComposite(UPDATE_CONTEXT, message, twin.entry.composite ?? new Uint8Array(), alice));
    assert.equal(Buffer.from(openSegments(key, fromHex(twin.entry.id), twin.inline ?? new Uint8Array(), 100)).toString(), 'some values');
    assert.deepEqual(
      [...stage.heard(ledgerTopic(SWARM))].map(([hex, count]) => [decodeEntry(bytes(hex)).id, count]),
      [[twin.entry.id, 2]],
    );
    const granted = [...stage.told.values()].flat().flatMap(({ protocol, payload }) => {
      const keys = protocol === 'keys' ? decodeKeysMessage(payload) : undefined;
      return keys?.kind === 'push' ? keys.keys.map((k) => k.id) : [];
    });
    assert.equal(granted.filter((at) => at === twin.entry.id).length, 2);
  });

  it('that lie about their certainty are sure of two rosters at once, and change nobody else’s stance', async () => {
    const stage = await new Stage('certainty-liar').begun();
    const ids = [id(1), id(2), id(3)];
    const { digest } = optionOf(ids);
    const body = { epoch: 3, base: id(9), seq: 1, option: digest, optionIds: ids, prefs: [[digest, 30_000]] } as const;
    const own = signMessage(stanceBytes, { ...body, node: self }, alice);
    const other = signMessage(stanceBytes, { ...body, node: id(7) }, alice);
    const told = await stage.notifyAll('roster', encodeRosterBundle({ haves: [], attests: [], stances: [own, other] }));
    const stances = told.map((payload) => decodeRosterBundle(payload).stances);
    assert.equal(stances.length, 4);
    const lies = stances.map(([first, second]) => {
      assert.deepEqual(second, other);
      assert.ok(first !== undefined && verifyMessage(stanceBytes, first, alice.ed25519PublicKey));
      assert.deepEqual(first.prefs, [[optionOf(first.optionIds).digest, 65_535]]);
      return first.optionIds.join();
    });
    assert.deepEqual([...new Set(lies)].sort(), [ids.slice(0, 2).join(), ids.slice(1).join()].sort());
  });

  it('that withhold announce an update to some, without values and keys, and hand out nothing', async () => {
    const stage = await new Stage('withholding').begun();
    const { grant, manifest } = ownUpdate();
    const topic = epochTopic(SWARM, contributionCore.body.epoch);
    await stage.publish(topic, manifest);
    const [[hex, count] = ['', 0], ...more] = [...stage.heard(topic)];
    assert.deepEqual([decodeMetaUpdate(bytes(hex)).inline, count, more.length], [null, 2, 0]);
    assert.equal((await stage.notifyAll('keys', encodeKeysMessage({ kind: 'push', keys: [grant] }))).length, 0);
    for (const protocol of ['content', 'keys', 'head', 'blocks', 'sync'] as const)
      stage.ports.streams.handle(protocol, async () => Buffer.from('truth'));
    for (const protocol of ['content', 'keys', 'head', 'blocks'] as const) assert.equal(await stage.ask(protocol), 'PEER_REFUSED');
    assert.equal(Buffer.from(await stage.ask('sync')).toString(), 'truth');
  });

  it('that lie in a sync answer in every wrong way there is', async () => {
    const stage = await new Stage('lying-sync').begun();
    let asked = 0;
    for (const protocol of ['sync', 'roster'] as const)
      stage.ports.streams.handle(protocol, async () => Buffer.from(`truth ${String(asked++).padStart(4, '0')}`));
    const answers: string[] = [];
    for (let i = 0; i < 6; i++) {
      const answer = await stage.ask('sync');
      answers.push(typeof answer === 'string' ? answer : Buffer.from(answer).toString('latin1'));
    }
    const [junk, flipped, stale, empty, honest, never] = answers;
    assert.notEqual(junk, 'truth 0000');
    const damage = Buffer.from(flipped ?? '', 'latin1').reduce((n, b, i) => n + (b === 'truth 0001'.charCodeAt(i) ? 0 : 1), 0);
    assert.deepEqual([damage, stale, empty, honest, never], [1, 'truth 0000', '', 'truth 0004', 'PEER_TIMEOUT']);
    assert.equal(Buffer.from(await stage.ask('roster')).toString(), 'truth 0006');
  });
});

/** A proposal of alice for round `round`, of a block that differs by its time. */
function proposalOf(round: number, later: number) {
  const content = makeBlock({ ...block.header, timeMs: block.header.timeMs + later }, block.body);
  const body = { epoch: content.header.epoch, round, proposer: self, block: content.hash, validRound: -1 };
  return signProposal(SWARM, { ...body, content, prevotes: null }, alice);
}
