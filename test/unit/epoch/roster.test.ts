import assert from 'node:assert/strict';
import { Negotiation, optionOf } from '../../../src/consensus/index.ts';
import { RosterTalk } from '../../../src/epoch/roster.ts';
import { type PeerId, StarlingError } from '../../../src/spec/index.ts';
import {
  type Attest,
  attestBytes,
  decodeRosterBundle,
  type Have,
  haveBytes,
  ROSTER_BUNDLE_MAX_BYTES,
  type RosterBundle,
  type Stance,
  signMessage,
  stanceBytes,
} from '../../../src/wire/index.ts';
import { identityOf, type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { hashOf } from '../ledger/entries.ts';

const BAD_SIGNATURE = (e: unknown): boolean => e instanceof StarlingError && e.code === 'BAD_SIGNATURE';
const swarmOf = (nodes: number): TestSwarm => new TestSwarm({ nodes }).joined();

function talkOf(node: TestNode): RosterTalk {
  const seats = node.swarm.nodes.map((n) => n.identity.fingerprint);
  return new RosterTalk(node.ctx, new Negotiation({ epoch: 1, base: node.swarm.id, self: node.identity.fingerprint, seats }));
}

const about = (node: TestNode) => ({ epoch: 1, base: node.swarm.id, node: node.identity.fingerprint });
const haveOf = (node: TestNode, seq: number, trainers = 1): Have =>
  signMessage(haveBytes, { ...about(node), seq, ids: [], trainers }, node.identity);
const attestOf = (node: TestNode, ids: readonly string[]): Attest => signMessage(attestBytes, { ...about(node), ids }, node.identity);
function stanceOf(node: TestNode, seq: number, ids: readonly string[]): Stance {
  const { digest } = optionOf(new Set(ids));
  return signMessage(
    stanceBytes,
    { ...about(node), seq, option: digest, optionIds: [...ids].sort(), prefs: [[digest, 65_535]] },
    node.identity,
  );
}

/** What `node` told since the last time, by peer. */
function told(node: TestNode): { readonly peer: PeerId; readonly bundle: RosterBundle; readonly bytes: number }[] {
  return node.notified.splice(0).map(({ peer, payload }) => ({ peer, bundle: decodeRosterBundle(payload), bytes: payload.byteLength }));
}

const peersOf = (all: readonly { readonly peer: PeerId }[]): PeerId[] => all.map(({ peer }) => peer).sort();

/** Virtual time goes on. */
const wait = (swarm: TestSwarm, ms: number): Promise<boolean> => swarm.clock.runUntil(() => false, swarm.clock.nowMs() + ms);

describe('the talk about a roster', () => {
  it('takes what a member signed, tells of news once, and nothing else', () => {
    const swarm = swarmOf(3);
    const [self, ann, ben] = swarm.nodes as [TestNode, TestNode, TestNode];
    const talk = talkOf(self);
    const have = haveOf(ann, 5, 2);
    assert.equal(talk.receive(have, 'have'), have);
    assert.equal(talk.receive(have, 'have'), undefined, 'again');
    assert.equal(talk.receive(haveOf(ann, 4, 0), 'have'), undefined, 'older');
    assert.throws(() => talk.receive({ ...haveOf(ben, 1), trainers: 9 }, 'have'), BAD_SIGNATURE, 'changed on the way');
    assert.throws(
      () => talk.receive({ ...haveOf(ben, 1), node: ann.identity.fingerprint, seq: 9 }, 'have'),
      BAD_SIGNATURE,
      'signed by another',
    );
    assert.deepEqual([...talk.haves], [have]);
    const attest = attestOf(ann, [hashOf('x')]);
    assert.throws(() => talk.receive({ ...attest, ids: [hashOf('y')] }, 'attest'), BAD_SIGNATURE);
    assert.equal(talk.attesters, 0);
    talk.receive(attest, 'attest');
    assert.deepEqual([talk.attesters, talk.holders(hashOf('x')), talk.holders(hashOf('y'))], [1, [ann.identity.fingerprint], []]);
    const stance = stanceOf(ben, 1, [hashOf('x')]);
    assert.throws(() => talk.receive({ ...stance, seq: 2 }, 'stance'), BAD_SIGNATURE);
    assert.deepEqual(talk.negotiation.known().stances, []);
    talk.receive(stance, 'stance');
    assert.deepEqual(talk.negotiation.known().stances, [stance]);
  });

  it('does not know strangers, nor what others say in its own name', () => {
    const swarm = swarmOf(2);
    const self = swarm.node(0);
    const talk = talkOf(self);
    const stranger = { ...self, identity: identityOf(9), swarm } as TestNode;
    talk.receive(haveOf(stranger, 1), 'have');
    talk.receive(attestOf(stranger, []), 'attest');
    talk.receive(attestOf(self, [hashOf('x')]), 'attest');
    talk.receive(haveOf(self, 2 ** 50), 'have');
    assert.deepEqual([[...talk.haves], talk.attesters], [[], 0]);
  });

  it('does not let one node that floods silence the others', () => {
    const swarm = swarmOf(3);
    const [self, ann, ben] = swarm.nodes as [TestNode, TestNode, TestNode];
    const talk = talkOf(self);
    for (let seq = 1; seq <= 4_200; seq++) talk.receive(haveOf(ann, seq), 'have');
    assert.deepEqual(
      [...talk.haves].map((h) => h.seq),
      [4_096],
    );
    const have = haveOf(ben, 1);
    assert.equal(talk.receive(have, 'have'), have);
  });

  it('tells everyone at once what it says, and after a while what others said and no peer is known to hold', async () => {
    const swarm = swarmOf(4);
    const [self, ann, ben, cid] = swarm.nodes as [TestNode, TestNode, TestNode, TestNode];
    const talk = talkOf(self);
    talk.announce(2);
    talk.negotiation.hold(hashOf('x'));
    talk.attest(talk.negotiation.freeze(0) ?? assert.fail('no seat'));
    const [attest, stance] = [attestOf(ann, [hashOf('x')]), stanceOf(ann, 3, [hashOf('x')])];
    talk.receive(attest, 'attest', ann.peer);
    talk.receive(attest, 'attest', ben.peer);
    talk.receive(stance, 'stance', ann.peer);
    self.notified.length = 0;
    talk.tell();
    const first = told(self);
    assert.deepEqual(peersOf(first), [ann.peer, ben.peer, cid.peer].sort());
    for (const { bundle } of first) {
      assert.deepEqual(
        bundle.haves.map((h) => [h.node, h.trainers]),
        [[self.identity.fingerprint, 2]],
      );
      assert.deepEqual([bundle.attests.map((a) => a.node), bundle.stances], [[self.identity.fingerprint], []]);
    }
    await wait(swarm, 100);
    talk.tell();
    assert.deepEqual(told(self), [], 'told lately');
    await wait(swarm, 301);
    talk.tell();
    const heard = told(self);
    const passedOn = (peer: PeerId) =>
      heard
        .filter((t) => t.peer === peer)
        .flatMap(({ bundle }) => [...bundle.attests, ...bundle.stances].filter((m) => m.node !== talk.negotiation.config.self));
    assert.deepEqual([passedOn(ann.peer), passedOn(ben.peer), passedOn(cid.peer)], [[], [stance], [attest, stance]]);
  });

  it('passes on at once where it is not connected to every seat', () => {
    const swarm = swarmOf(4);
    const [self, ann, ben] = swarm.nodes as [TestNode, TestNode, TestNode];
    const talk = talkOf(self);
    self.connected = [ann.peer, ben.peer];
    const have = haveOf(ann, 1);
    talk.receive(have, 'have', ann.peer);
    self.notified.length = 0;
    talk.tell();
    assert.deepEqual(
      told(self).map(({ peer, bundle }) => [peer, bundle.haves]),
      [[ben.peer, [have]]],
    );
  });

  it('tells again after longer and longer pauses, never what the peer has told itself, and all of it to one that comes back', async () => {
    const swarm = swarmOf(2);
    const [self, ann] = swarm.nodes as [TestNode, TestNode];
    const talk = talkOf(self);
    talk.announce(1);
    const [own] = [...talk.haves] as [Have];
    const times: number[] = [];
    const startMs = swarm.clock.nowMs();
    const watch = async (forMs: number) => {
      for (let i = 0; i < forMs / 100; i++) {
        self.notified.length = 0;
        talk.tell();
        if (told(self).length > 0) times.push(Math.round((swarm.clock.nowMs() - startMs) / 100));
        await wait(swarm, 100);
      }
    };
    await watch(30_000);
    assert.deepEqual(times, [0, 4, 12, 28, 60, 92, 124, 156, 188, 220, 252, 284]);
    talk.receive(own, 'have', ann.peer);
    times.length = 0;
    await watch(20_000);
    assert.deepEqual(times, [], 'it holds it');
    talk.greet(ann.peer);
    self.notified.length = 0;
    talk.tell();
    assert.deepEqual(
      told(self).map(({ bundle }) => bundle.haves),
      [[own]],
    );
  });

  it('tells one again that stood elsewhere, once it speaks here, and one that has decided nothing', async () => {
    const swarm = swarmOf(3);
    const [self, ann, ben] = swarm.nodes as [TestNode, TestNode, TestNode];
    const talk = talkOf(self);
    talk.announce(1);
    talk.tell();
    talk.partFrom(ann.peer);
    self.notified.length = 0;
    talk.receive(haveOf(ann, 1), 'have', ann.peer);
    talk.receive(haveOf(ben, 1), 'have', ben.peer);
    talk.tell();
    assert.deepEqual(peersOf(told(self)), [ann.peer]);
    await wait(swarm, 1_000);
    talk.tell((node) => node === ann.identity.fingerprint);
    assert.deepEqual(peersOf(told(self)), [ben.peer]);
  });

  it('goes on with what others said where it begins again over the same head, and tells what it says itself anew', () => {
    const swarm = swarmOf(3);
    const [self, ann] = swarm.nodes as [TestNode, TestNode];
    const before = talkOf(self);
    before.announce(1);
    const [have, attest, stance] = [haveOf(ann, 1), attestOf(ann, [hashOf('x')]), stanceOf(ann, 1, [hashOf('x')])];
    before.receive(have, 'have');
    before.receive(attest, 'attest');
    before.receive(stance, 'stance');
    const talk = talkOf(self);
    talk.goOnFrom(before);
    assert.deepEqual([[...talk.haves], talk.negotiation.known()], [[have], { attests: [attest], stances: [stance] }]);
    assert.equal(talk.receive(have, 'have'), undefined, 'not news');
  });

  it('is ready for a tick at two thirds of the attestations, of the stances, and twice when all stand on one', () => {
    const swarm = swarmOf(4);
    const talk = talkOf(swarm.node(0));
    const others = swarm.nodes.slice(1);
    const readyAfter = (message: (node: TestNode) => Attest | Stance, kind: 'attest' | 'stance') =>
      others.map((node) => {
        talk.receive(message(node), kind);
        return [talk.isReadyForTick(), talk.isReadyForTick(), talk.isReadyForTick()].filter(Boolean).length;
      });
    assert.deepEqual(
      readyAfter((node) => attestOf(node, [hashOf('x')]), 'attest'),
      [0, 0, 1],
    );
    assert.deepEqual(
      readyAfter((node) => stanceOf(node, 1, [hashOf(node === others[0] ? 'y' : 'x')]), 'stance'),
      [0, 0, 1],
    );
    assert.deepEqual(
      readyAfter((node) => stanceOf(node, 2, [hashOf('x')]), 'stance'),
      [0, 0, 0],
      'the own stance is one of them',
    );
  });

  it('tells eight neighbours, the same ones, and one more at random', async () => {
    const swarm = swarmOf(2);
    const self = swarm.node(0);
    const talk = talkOf(self);
    const peers = Array.from({ length: 30 }, (_, i) => `peer ${i}`);
    self.connected = peers;
    const rounds: string[][] = [];
    for (let i = 0; i < 20; i++) {
      talk.announce(1);
      self.notified.length = 0;
      talk.tell();
      rounds.push(told(self).map((t) => t.peer));
      await wait(swarm, 300);
    }
    const neighbours = peers.filter((p) => rounds.every((round) => round.includes(p)));
    assert.equal(neighbours.length, 8);
    for (const round of rounds) assert.deepEqual([round.length, new Set(round).size], [9, 9]);
    const others = new Set(rounds.flat().filter((p) => !neighbours.includes(p)));
    assert.ok(others.size >= 8, `${others.size} others in 20 rounds`);
    self.connected = peers.slice(0, 3);
    talk.announce(1);
    talk.tell();
    assert.equal(told(self).length, 3);
  });

  it('cuts what it has to say into bundles that fit', () => {
    const swarm = swarmOf(12);
    const [self, ...others] = swarm.nodes as [TestNode, ...TestNode[]];
    const talk = talkOf(self);
    const ids = Array.from({ length: 700 }, (_, i) => hashOf(`entry ${i}`)).sort();
    for (const node of others) {
      talk.receive(attestOf(node, ids), 'attest');
      talk.receive(stanceOf(node, 1, ids), 'stance');
    }
    self.connected = [others[0]?.peer as PeerId];
    talk.tell();
    const bundles = told(self);
    assert.ok(bundles.length > 1);
    for (const { bytes } of bundles) assert.ok(bytes <= ROSTER_BUNDLE_MAX_BYTES, `${bytes}`);
    const nodesIn = (kind: 'attests' | 'stances') => bundles.flatMap(({ bundle }) => bundle[kind].map((m) => m.node)).sort();
    const all = others.map((n) => n.identity.fingerprint).sort();
    assert.deepEqual([nodesIn('attests'), nodesIn('stances')], [all, all]);
  });

  it('announces under growing numbers, after a restart too', async () => {
    const swarm = swarmOf(2);
    const [self, other] = swarm.nodes as [TestNode, TestNode];
    const talk = talkOf(self);
    const seqs: number[] = [];
    const note = (t: RosterTalk) => seqs.push(...[...t.haves].map((h) => h.seq));
    for (let i = 0; i < 3; i++) {
      talk.announce(i);
      note(talk);
    }
    await wait(swarm, 1_000);
    self.restart();
    const again = talkOf(self);
    again.announce(7);
    note(again);
    assert.deepEqual(
      [...new Set(seqs)].sort((a, b) => a - b),
      seqs,
    );
    const [have] = [...again.haves];
    assert.equal(talkOf(other).receive(have as Have, 'have'), have, 'truly signed');
  });

  it('passes on what the rules of the negotiation refuse to whoever asked', () => {
    const swarm = swarmOf(2);
    const talk = talkOf(swarm.node(0));
    const wrong = signMessage(
      stanceBytes,
      { ...about(swarm.node(1)), seq: 1, option: hashOf('no digest'), optionIds: [], prefs: [] },
      swarm.node(1).identity,
    );
    assert.throws(
      () => talk.receive(wrong, 'stance'),
      (e) => e instanceof StarlingError && e.code === 'HASH_MISMATCH',
    );
    assert.doesNotThrow(() => talk.receive(wrong, 'stance'), 'judged once');
  });
});
