import assert from 'node:assert/strict';
import { MAX_ROUNDS } from '../../../src/spec/index.ts';
import { certificateOf, firstQuorum, of, VotingRig, voteOf } from './votingRig.ts';

/** Voter 1 of four, so that round 0 is another's to propose; four voters need three votes. */
const started = (n = 4, self: number | null = 1): VotingRig => {
  const rig = new VotingRig(n, self);
  rig.start();
  return rig;
};

describe('Tendermint: a committee', () => {
  it('of one decides alone at once', () => {
    const rig = new VotingRig(1);
    rig.start();
    rig.offer('a');
    assert.equal(of(rig.judged('a', 0), 'decided')[0]?.certificate.block, 'a');
  });

  for (const n of [2, 3, 4, 7, 16])
    it(`of ${n} decides with q precommits and no fewer`, () => {
      const rig = started(n, n - 1);
      rig.propose(0, 'a');
      const others = firstQuorum(n)
        .slice(1)
        .map((i) => i - 1);
      rig.votes(others, 0, 'prevote', 'a');
      assert.equal(rig.said(0, 'precommit'), 'a');
      rig.votes(others.slice(1), 0, 'precommit', 'a');
      assert.equal(rig.machine.step, 'precommit');
      rig.vote(others[0] as number, 0, 'precommit', 'a');
      assert.equal(rig.machine.step, 'decided');
    });

  for (const self of [null, 9])
    it(`is followed by a node that has no vote (${self ?? 'no identity'}): it says nothing and decides`, () => {
      const rig = started(4, self);
      rig.offer('mine');
      rig.propose(0, 'a');
      rig.votes([0, 1, 2], 0, 'prevote', 'a');
      rig.votes([0, 1, 2], 0, 'precommit', 'a');
      assert.equal(rig.machine.step, 'decided');
      assert.deepEqual([...of(rig.log, 'vote'), ...of(rig.log, 'propose')], []);
    });

  it('ignores strangers, other heights and endless rounds', () => {
    const rig = started();
    const before = rig.machine.votes().length;
    for (const bad of [{ voter: 'v9' }, { epoch: 2 }, { round: MAX_ROUNDS }, { round: -1 }])
      assert.deepEqual(rig.run(rig.machine.onVote({ ...voteOf(0, 0, 'prevote', 'a'), ...bad })), []);
    assert.equal(rig.machine.votes().length, before);
  });

  it('gives two votes of one voter in one place as evidence, once', () => {
    const rig = started();
    rig.vote(3, 0, 'prevote', 'a');
    const [evidence] = of(rig.vote(3, 0, 'prevote', null), 'evidence');
    assert.deepEqual([evidence?.first.block, evidence?.second.block], ['a', null]);
    assert.deepEqual(of(rig.votes([3, 3], 0, 'precommit', 'b'), 'evidence'), []);
    assert.deepEqual(of(rig.vote(3, 0, 'precommit', 'c'), 'evidence'), []);
  });

  it('a certificate shows who contradicts itself', () => {
    const rig = started();
    rig.vote(3, 0, 'prevote', null);
    assert.equal(of(rig.certificate(certificateOf(0, 'prevote', 'a', [0, 2, 3])), 'evidence').length, 1);
  });

  it('a certificate counts whatever else its voters signed: other values, later rounds', () => {
    const rig = started();
    for (const block of ['x', 'y']) rig.vote(0, 0, 'prevote', block);
    rig.propose(0, 'a');
    rig.timer('prevote', 0);
    rig.certificate(certificateOf(0, 'prevote', 'a', [0, 2, 3]));
    assert.equal(rig.machine.saved().valid?.block, 'a');
    // Without a vote of its own, which would do for the one that the flood pushed out.
    const follower = started(4, null);
    for (let round = 100; round < 200; round++) follower.vote(3, round, 'prevote', null);
    follower.certificate(certificateOf(4, 'prevote', 'b', [0, 2, 3]));
    follower.propose(4, 'b');
    assert.equal(follower.machine.saved().valid?.block, 'b');
  });

  it('stays in the last round there is', () => {
    const rig = started();
    rig.votes([0, 2, 3], MAX_ROUNDS - 1, 'precommit', null);
    assert.equal(rig.machine.round, MAX_ROUNDS - 1);
    assert.deepEqual(rig.timer('precommit', MAX_ROUNDS - 1), []);
    assert.equal(rig.machine.round, MAX_ROUNDS - 1);
  });

  it('does not ask again about the block it is locked on, however many rounds ago', () => {
    // Without turns of its own, in which it would propose the block again.
    const rig = started(4, null);
    rig.propose(0, 'a');
    rig.votes([0, 1, 2], 0, 'prevote', 'a');
    for (let round = 1; round <= 40; round++) rig.votes([2, 3], round, 'prevote', null);
    assert.deepEqual(of(rig.propose(40, 'a', certificateOf(0, 'prevote', 'a', [0, 1, 2]), false), 'judge'), []);
    assert.equal(rig.machine.step, 'prevote');
  });

  it('stays small under a flood of rounds, values and proposals', () => {
    const rig = started();
    for (let i = 0; i < 3_000; i++) {
      rig.vote(3, i, 'prevote', `x${i}`);
      rig.vote(3, 0, 'precommit', `y${i}`);
      rig.propose(3, `z${i}`, null, false);
    }
    assert.ok(rig.machine.votes().length <= 4);
    assert.equal(of(rig.log, 'judge').length, 0, 'nothing of a later round is judged yet');
    rig.votes([0, 3], 3, 'prevote', null);
    assert.ok(of(rig.log, 'judge').length <= 2);
  });
});

describe('Tendermint: after a crash', () => {
  it('repeats its votes of the round, keeps its lock and signs nothing else', () => {
    const rig = started();
    rig.propose(0, 'a');
    rig.votes([0, 2], 0, 'prevote', 'a');
    const again = new VotingRig(4, 1, structuredClone(rig.machine.saved()));
    const said = of(again.start(), 'vote').map(({ vote }) => [vote.round, vote.step, vote.block]);
    assert.deepEqual(said, [
      [0, 'prevote', 'a'],
      [0, 'precommit', 'a'],
    ]);
    again.propose(0, 'b');
    again.timer('propose', 0);
    again.timer('prevote', 0);
    assert.equal(of(again.log, 'vote').length, 2);
    again.votes([0, 2, 3], 1, 'precommit', null);
    again.timer('precommit', 1);
    again.propose(2, 'b');
    assert.equal(again.said(2, 'prevote'), null);
  });

  it('proposes the same again, with its certificate, and nothing else in that round', () => {
    const rig = new VotingRig(4, 0);
    rig.start();
    rig.offer('a');
    const again = new VotingRig(4, 0, rig.machine.saved());
    assert.deepEqual(of(again.start(), 'propose'), [{ type: 'propose', round: 0, validRound: -1, block: 'a', prevotes: null }]);
    assert.deepEqual(of(again.offer('b'), 'propose'), []);
  });

  it('does not propose again what a newer quorum has overtaken: its certificate is gone', () => {
    const valid = { round: 1, block: 'b', certificate: certificateOf(1, 'prevote', 'b', [1, 2, 3]) };
    const saved = { epoch: 1, round: 4, locked: null, valid, proposed: { block: 'a', validRound: 0 }, votes: [], entry: [] };
    assert.deepEqual(of(new VotingRig(4, 0, saved).start(), 'propose'), []);
    const [same] = of(new VotingRig(4, 0, { ...saved, proposed: { block: 'b', validRound: 1 } }).start(), 'propose');
    assert.deepEqual([same?.block, same?.validRound, same?.prevotes], ['b', 1, valid.certificate]);
  });

  it('tells the votes of its round that brought it there', () => {
    const rig = started();
    rig.votes([2, 3], 5, 'prevote', null);
    const again = new VotingRig(4, 1, rig.machine.saved());
    again.start();
    assert.deepEqual([again.machine.round, again.machine.votes().length], [5, 2]);
  });

  it('tells the prevotes that its valid block rests on', () => {
    const rig = started();
    rig.propose(0, 'a');
    rig.votes([0, 2], 0, 'prevote', 'a');
    rig.votes([0, 2, 3], 8, 'precommit', null);
    const told = rig.machine.votes().filter(({ round, block }) => round === 0 && block === 'a');
    assert.deepEqual(
      told.map(({ voter }) => voter),
      ['v0', 'v1', 'v2'],
    );
    const other = started(4, 2);
    other.propose(0, 'a');
    for (const vote of told) other.run(other.machine.onVote(vote));
    assert.equal(other.machine.saved().valid?.block, 'a');
  });

  it('tells what let it into its round, so that who stayed behind can follow', () => {
    const rig = started();
    rig.votes([0, 2, 3], 0, 'precommit', null);
    rig.timer('precommit', 0);
    rig.timer('propose', 1);
    const again = new VotingRig(4, 1, rig.machine.saved());
    again.start();
    assert.equal(again.machine.round, 1);
    const behind = started(4, 2);
    for (const vote of again.machine.votes()) behind.run(behind.machine.onVote(vote));
    behind.timer('precommit', 0);
    assert.equal(behind.machine.round, 1);
  });
});
