import assert from 'node:assert/strict';
import { ownBeat } from '../../../src/epoch/beats.ts';
import { Committee } from '../../../src/epoch/committee.ts';
import { Timers } from '../../../src/epoch/timers.ts';
import type { StarlingError, Vote, VoteBody } from '../../../src/spec/index.ts';
import {
  type BlockRecord,
  decodeVotesMessage,
  encodeVotesBundle,
  encodeVotesMessage,
  signBeat,
  votesTopic,
} from '../../../src/wire/index.ts';
import { type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { committee, finalise, give, voteOf } from '../../support/finalSteps.ts';

const OTHER = 'ab'.repeat(32);

interface Seated {
  readonly committee: Committee;
  readonly fatal: unknown[];
  reached: number;
}

/** The committee's side of a node, running; it learns of blocks only when the test says so. */
function seat(node: TestNode, heard: Promise<void> = Promise.resolve()): Seated {
  const { ctx } = node;
  const fatal: unknown[] = [];
  const seated: Seated = {
    reached: 0,
    fatal,
    committee: new Committee(ctx, new Timers(ctx.ports.clock), heard, {
      finalNews: () => undefined,
      reachChanged: () => {
        seated.reached++;
      },
      behind: () => undefined,
      fatal: (error) => fatal.push(error),
    }),
  };
  seated.committee.start();
  return seated;
}

/** Who asks `node` hears of these votes. Returns how often it was asked. */
function knows(node: TestNode, votes: readonly Vote[] = []): () => number {
  let asked = 0;
  node.handlers.set('votes', async () => {
    asked++;
    return encodeVotesBundle(votes.map((vote) => ({ kind: 'vote', vote })));
  });
  return () => asked;
}

const pass = (swarm: TestSwarm, ms: number) => swarm.clock.runUntil(() => false, swarm.clock.nowMs() + ms);

/** What `node` has published of its own votes. */
const votesOf = ({ published, swarm, identity }: TestNode): Vote[] =>
  published
    .filter(({ topic }) => topic === votesTopic(swarm.id))
    .map(({ data }) => decodeVotesMessage(data))
    .flatMap((m) => (m.kind === 'vote' && m.vote.voter === identity.fingerprint ? [m.vote] : []));

const begin = ({ voting }: Committee): void => voting.begin(voting.base.id, []);

const place = (epoch: number): Omit<VoteBody, 'voter'> => ({ epoch, round: 0, step: 'prevote', block: OTHER });

/** A swarm of four, of which the first starts to vote. */
function four(): { readonly swarm: TestSwarm; readonly node: TestNode } {
  const swarm = committee(4);
  const node = swarm.node(0);
  node.published.splice(0);
  return { swarm, node };
}

describe('the right to vote', () => {
  it('is a lone founder’s at once', async () => {
    const swarm = committee(1);
    seat(swarm.node(0));
    await pass(swarm, 301);
    assert.equal(swarm.node(0).ctx.mayVote, true);
  });

  it('of a lone founder waits until those in reach have told what they hold, and then for their answers', async () => {
    const swarm = new TestSwarm({ nodes: 2, classes: ['core', 'edge'] }).joined();
    const founder = swarm.node(0);
    const { ctx } = founder;
    ctx.quorate = true;
    // It voted in this height once, and its disk knows nothing of it.
    const asked = knows(swarm.node(1), [voteOf(founder, place(1))]);
    founder.published.splice(0);
    const { promise: heard, resolve } = Promise.withResolvers<void>();
    const { committee: seated } = seat(founder, heard);
    begin(seated);
    await pass(swarm, 4_900);
    assert.deepEqual([ctx.mayVote, asked()], [false, 0]);
    resolve();
    await pass(swarm, 1);
    begin(seated);
    await pass(swarm, 5_000);
    assert.deepEqual([ctx.mayVote, asked(), ctx.abstainEpoch, votesOf(founder)], [true, 1, 1, []]);
  });

  it('of a lone founder does not hang on a peer that answers nothing', async () => {
    const swarm = new TestSwarm({ nodes: 2, classes: ['core', 'edge'] }).joined();
    seat(swarm.node(0));
    await pass(swarm, 301);
    assert.deepEqual([swarm.node(0).ctx.mayVote, swarm.node(0).asked.length], [true, 1]);
  });

  it('is not given to one that a rollback holds by then', async () => {
    const { swarm, node } = four();
    for (const i of [1, 2])
      swarm.node(i).handlers.set('votes', async () => {
        node.ctx.pinned = 0;
        return encodeVotesBundle([]);
      });
    seat(node);
    await pass(swarm, 1_000);
    assert.equal(node.ctx.mayVote, false);
  });

  it('comes with the answers of q - 1 others, and nothing is signed before', async () => {
    const { swarm, node } = four();
    const { committee: seated } = seat(node);
    knows(swarm.node(1));
    await pass(swarm, 2_000);
    begin(seated);
    await pass(swarm, 5_000);
    assert.deepEqual([node.ctx.mayVote, votesOf(node)], [false, []]);
    knows(swarm.node(2));
    await pass(swarm, 301);
    assert.equal(node.ctx.mayVote, true);
    begin(seated);
    await pass(swarm, 1_501);
    assert.deepEqual(
      votesOf(node).map(({ epoch, round, step }) => [epoch, round, step]),
      [[1, 0, 'prevote']],
    );
  });

  it('is not for who has no vote', async () => {
    const swarm = committee(4);
    const { state } = swarm.node(0).ctx.chain.finalized;
    (state as { members: unknown }).members = state.members.map((m) =>
      m.fingerprint === swarm.node(0).identity.fingerprint ? { ...m, vote: 'none' } : m,
    );
    for (const other of swarm.nodes.slice(1)) knows(other);
    seat(swarm.node(0));
    await pass(swarm, 1_000);
    assert.equal(swarm.node(0).ctx.mayVote, false);
  });

  it('of a restored backup waits for the next height where peers know its vote in this one', async () => {
    const { swarm, node } = four();
    const seated = seat(node);
    for (const other of swarm.nodes.slice(1)) knows(other, [voteOf(node, place(1))]);
    await pass(swarm, 301);
    assert.deepEqual([node.ctx.mayVote, node.ctx.abstainEpoch, seated.fatal], [true, 1, []]);
    begin(seated.committee);
    await pass(swarm, 20_000);
    assert.deepEqual(votesOf(node), [], 'it signs nothing in this height');
    await finalise(swarm, [], [node]);
    seated.committee.blockApplied();
    begin(seated.committee);
    await pass(swarm, 1_501);
    assert.deepEqual([...new Set(votesOf(node).map((v) => v.epoch))], [2], 'and votes in the next');
    assert.deepEqual(seated.fatal, []);
  });

  for (const [how, heard] of [
    ['by their heartbeats', true],
    ['by the votes that they hold', false],
  ] as const)
    it(`of a restored backup that is behind, ${how}, waits until it has asked where the others stand`, async () => {
      const { swarm, node } = four();
      const others = swarm.nodes.slice(1);
      const record: BlockRecord = await finalise(swarm, [], others);
      // In an earlier life it voted on the second block already; its disk does not know the first.
      const before = voteOf(node, place(2));
      for (const other of others) knows(other, [before]);
      if (heard) for (const other of others) node.ctx.reach.hear(ownBeat(other.ctx, 0));
      const seated = seat(node);
      await pass(swarm, 2_000);
      assert.equal(node.ctx.mayVote, false, 'behind');
      await give(node, record);
      seated.committee.blockApplied();
      await pass(swarm, 301);
      assert.deepEqual([node.ctx.mayVote, node.ctx.abstainEpoch, seated.fatal], [true, 2, []]);
      begin(seated.committee);
      await pass(swarm, 5_000);
      assert.deepEqual(votesOf(node), []);
    });

  it('asks again where the others stand: what one knew of an earlier height is not enough', async () => {
    const { swarm, node } = four();
    const others = swarm.nodes.slice(1);
    const [first] = others as [TestNode];
    const record: BlockRecord = await finalise(swarm, [], others);
    const asked = knows(first);
    const seated = seat(node);
    await pass(swarm, 301);
    assert.deepEqual([node.ctx.mayVote, asked()], [false, 1], 'one of two answers');
    for (const other of others) node.ctx.reach.hear(ownBeat(other.ctx, 0));
    await pass(swarm, 301);
    await give(node, record);
    seated.committee.blockApplied();
    const before = voteOf(node, place(2));
    const again = knows(first, [before]);
    knows(others[1] as TestNode);
    await pass(swarm, 301);
    assert.deepEqual([again(), node.ctx.mayVote, node.ctx.abstainEpoch], [1, true, 2]);
  });

  it('of one whose log knows its votes is there at once: it says the same again', async () => {
    const { swarm, node } = four();
    for (const other of swarm.nodes.slice(1)) knows(other);
    const first = seat(node);
    await pass(swarm, 301);
    begin(first.committee);
    await pass(swarm, 1_501);
    const said = votesOf(node);
    assert.equal(said.length, 1);
    first.committee.stop();
    node.published.splice(0);
    node.restart();
    node.ctx.quorate = true;
    for (const other of swarm.nodes.slice(1)) knows(other, said);
    const second = seat(node);
    await pass(swarm, 301);
    assert.deepEqual([node.ctx.mayVote, node.ctx.abstainEpoch, second.fatal], [true, undefined, []]);
    begin(second.committee);
    await pass(swarm, 1);
    assert.deepEqual(
      votesOf(node).map(({ round, step, block }) => [round, step, block]),
      said.map(({ round, step, block }) => [round, step, block]),
    );
  });

  it('is lost, with the node, where somebody else votes with its identity', async () => {
    const { swarm, node } = four();
    for (const other of swarm.nodes.slice(1)) knows(other);
    const seated = seat(node);
    await pass(swarm, 301);
    begin(seated.committee);
    await pass(swarm, 1_501);
    const [own] = votesOf(node) as [Vote];
    seated.committee.gossip(encodeVotesMessage({ kind: 'vote', vote: own }), swarm.node(1).peer);
    assert.deepEqual(seated.fatal, [], 'its own, come round');
    seated.committee.gossip(encodeVotesMessage({ kind: 'vote', vote: voteOf(node, place(1)) }), swarm.node(1).peer);
    assert.deepEqual(
      seated.fatal.map((e) => (e as StarlingError).code),
      ['IDENTITY_IN_USE'],
    );
  });

  it('is not used for what was settled over another base: that is a roster of another height', async () => {
    const { node } = four();
    node.ctx.mayVote = true;
    const { committee: seated } = seat(node);
    seated.voting.begin(OTHER, []);
    assert.equal(seated.voting.isRunning, false);
    begin(seated);
    assert.equal(seated.voting.isRunning, true);
    seated.stop();
  });

  it('does not wait for one liar who says that it stands far ahead', async () => {
    const { swarm, node } = four();
    for (const other of swarm.nodes.slice(1)) knows(other);
    const liar = swarm.node(3);
    const { signature: _, ...beat } = ownBeat(liar.ctx, 0);
    node.ctx.reach.hear(signBeat(swarm.id, { ...beat, epoch: 10 ** 9 }, liar.identity));
    seat(node);
    await pass(swarm, 301);
    assert.equal(node.ctx.mayVote, true);
  });
});

describe('a quorum in reach', () => {
  it('comes with the heartbeats of q voters and goes with them, and is told once', async () => {
    const { swarm, node } = four();
    node.ctx.quorate = false;
    const seated = seat(node);
    const beat = (i: number) =>
      seated.committee.gossip(encodeVotesMessage({ kind: 'beat', beat: ownBeat(swarm.node(i).ctx, 0) }), swarm.node(i).peer);
    await pass(swarm, 100);
    beat(1);
    assert.equal(node.ctx.quorate, false);
    beat(2);
    assert.deepEqual([node.ctx.quorate, seated.reached], [true, 1]);
    beat(3);
    assert.equal(seated.reached, 1);
    await pass(swarm, 4_000);
    assert.deepEqual([node.ctx.quorate, seated.reached], [false, 2]);
  });

  it('makes the others remove one that missed too many epochs, and says so once', async () => {
    const swarm = committee(4, { missEpochs: 2 });
    const node = swarm.node(0);
    for (const other of swarm.nodes.slice(1)) knows(other);
    const seated = seat(node);
    const hear = (indices: readonly number[]) => {
      for (const i of indices) node.ctx.reach.hear(ownBeat(swarm.node(i).ctx, 0));
    };
    hear([1, 2, 3]);
    await pass(swarm, 301);
    const ballots = () => [...node.ctx.replica.graph.entries()].flatMap(({ core }) => (core.kind === 'ballot' ? [core.body] : []));
    for (let epoch = 1; epoch <= 5; epoch++) {
      await finalise(swarm, []);
      // Longer than a reboot in all: a node that is back within a minute has missed epochs, and nobody minds.
      await pass(swarm, 17_000);
      hear([1, 2]);
      node.ctx.quorate = true;
      seated.committee.blockApplied();
      if (epoch === 3) assert.deepEqual(ballots(), []);
    }
    assert.deepEqual(ballots(), [{ action: 'remove', subject: swarm.node(3).identity.fingerprint, epoch: 4 }]);
  });
});
