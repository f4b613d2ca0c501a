import assert from 'node:assert/strict';
import { VOTING } from '../../../src/spec/index.ts';
import { certificateOf, of, VotingRig } from './votingRig.ts';

/** Voter 1 of four, so that round 0 is another's to propose; four voters need three votes. */
const started = (n = 4, self: number | null = 1): VotingRig => {
  const rig = new VotingRig(n, self);
  rig.start();
  return rig;
};

describe('Tendermint: the rules of algorithm 1', () => {
  it('11: a round starts with its timer; its proposer proposes what it offers, others wait', () => {
    const rig = new VotingRig(4, 0);
    assert.equal(rig.machine.step, 'new');
    assert.deepEqual(rig.start(), [{ type: 'timer', step: 'propose', round: 0, afterMs: VOTING.proposeMs }]);
    assert.deepEqual(rig.start(), []);
    const effects = rig.offer('a');
    assert.deepEqual(of(effects, 'propose'), [{ type: 'propose', round: 0, validRound: -1, block: 'a', prevotes: null }]);
    assert.deepEqual(of(effects, 'judge'), [{ type: 'judge', round: 0, block: 'a', validRound: -1 }]);
    assert.deepEqual(of(rig.offer('b'), 'propose'), [], 'one proposal a round');
    assert.deepEqual(of(started().offer('a'), 'propose'), []);
  });

  it('begins without being told to where a proposal is acceptable, or f + 1 voters stand on a block or in later rounds; by nothing less', () => {
    const fresh = () => new VotingRig(4, 1);
    const refused = fresh();
    assert.equal(of(refused.propose(0, 'a', null, false), 'judge').length, 1, 'it is judged before');
    refused.judged('a', 0, false);
    refused.votes([0, 2, 3], 0, 'prevote', null);
    refused.votes([0, 2, 3], 0, 'precommit', null);
    refused.vote(0, 0, 'precommit', 'a');
    refused.vote(2, 0, 'precommit', 'b');
    refused.vote(0, 3, 'prevote', null);
    assert.equal(refused.machine.step, 'new', "a proposer's word, two voters for two blocks, one voter in a later round");
    assert.deepEqual(of(refused.log, 'timer'), []);
    refused.vote(2, 0, 'prevote', 'a');
    assert.notEqual(refused.machine.step, 'new');

    const late = fresh();
    late.vote(0, 3, 'prevote', null);
    assert.equal(late.machine.step, 'new');
    late.vote(2, 4, 'precommit', null);
    assert.deepEqual([late.machine.step, late.machine.round], ['propose', 3]);

    const valid = fresh();
    valid.propose(0, 'a');
    assert.deepEqual([valid.machine.step, valid.said(0, 'prevote')], ['prevote', 'a']);

    const certified = fresh();
    certified.propose(2, 'a', certificateOf(0, 'prevote', 'a', [0, 2, 3]), false);
    assert.notEqual(certified.machine.step, 'new');
    assert.deepEqual([certified.machine.saved().votes, certified.machine.round], [[], 0]);
  });

  it("11: an offer made before it is this node's turn is proposed when it is", () => {
    const rig = started();
    rig.offer('a');
    rig.offer('better');
    rig.votes([0, 2, 3], 0, 'precommit', null);
    assert.deepEqual(of(rig.timer('precommit', 0), 'propose'), [
      { type: 'propose', round: 1, validRound: -1, block: 'better', prevotes: null },
    ]);
  });

  it('11: proposes again when its turn comes round', () => {
    const rig = new VotingRig(4, 0);
    rig.start();
    rig.offer('a');
    rig.votes([2, 3], 4, 'prevote', null);
    assert.deepEqual(
      of(rig.log, 'propose').map(({ round, block }) => [round, block]),
      [
        [0, 'a'],
        [4, 'a'],
      ],
    );
  });

  it('22: prevotes a valid proposal, nobody for a refused one, nothing before it is judged', () => {
    const valid = started();
    assert.deepEqual(of(valid.propose(0, 'a', null, false), 'judge').length, 1);
    assert.equal(valid.said(0, 'prevote'), undefined);
    valid.judged('a', 0);
    assert.equal(valid.said(0, 'prevote'), 'a');
    const refused = started();
    refused.propose(0, 'a', null, false);
    refused.judged('a', 0, false);
    assert.equal(refused.said(0, 'prevote'), null);
  });

  it('22: only the proposer of the round is heard', () => {
    const rig = started();
    for (const proposer of ['v1', 'v2', 'stranger'])
      assert.deepEqual(rig.run(rig.machine.onProposal({ round: 0, proposer, block: 'a', validRound: -1, prevotes: null })), []);
  });

  it('22: locked on a block, prevotes no new one', () => {
    const rig = started();
    rig.propose(0, 'a');
    rig.votes([0, 2], 0, 'prevote', 'a');
    assert.equal(rig.said(0, 'precommit'), 'a');
    rig.votes([0, 2, 3], 1, 'precommit', null);
    assert.equal(rig.machine.round, 1);
    rig.timer('precommit', 1);
    rig.propose(2, 'b');
    assert.equal(rig.said(2, 'prevote'), null);
  });

  it('22: locked on a block, prevotes it again, whoever proposes it as if it were new', () => {
    const rig = started();
    rig.propose(0, 'a');
    rig.votes([0, 2], 0, 'prevote', 'a');
    rig.votes([0, 2, 3], 1, 'precommit', null);
    rig.timer('precommit', 1);
    rig.propose(2, 'a');
    assert.equal(rig.said(2, 'prevote'), 'a');
  });

  it('28: prevotes a re-proposal with the prevotes of its round, though the lock is older', () => {
    const rig = started();
    rig.propose(0, 'a');
    rig.votes([0, 2], 0, 'prevote', 'a');
    rig.votes([0, 2, 3], 1, 'precommit', null);
    rig.timer('precommit', 1);
    rig.propose(2, 'b', certificateOf(1, 'prevote', 'b', [0, 2, 3]));
    assert.equal(rig.said(2, 'prevote'), 'b');
  });

  it('28: an older certificate than the lock moves nothing', () => {
    const rig = started();
    rig.votes([0, 2, 3], 0, 'precommit', null);
    rig.timer('precommit', 0);
    rig.propose(1, 'a');
    rig.votes([0, 2], 1, 'prevote', 'a');
    assert.deepEqual(rig.machine.saved().locked, { round: 1, block: 'a' });
    rig.votes([0, 2, 3], 1, 'precommit', null);
    rig.timer('precommit', 1);
    rig.propose(2, 'b', certificateOf(0, 'prevote', 'b', [0, 2, 3]));
    assert.equal(rig.said(2, 'prevote'), null);
    assert.deepEqual(rig.machine.saved().locked, { round: 1, block: 'a' });
  });

  it('28: a re-proposal without its certificate, or with another, is not heard', () => {
    for (const prevotes of [
      null,
      certificateOf(1, 'prevote', 'b', [0, 2, 3]),
      certificateOf(0, 'prevote', 'other', [0, 2, 3]),
      certificateOf(0, 'precommit', 'b', [0, 2, 3]),
    ]) {
      const rig = started();
      rig.votes([0, 2, 3], 1, 'precommit', null);
      rig.timer('precommit', 1);
      assert.deepEqual(rig.run(rig.machine.onProposal({ round: 2, proposer: 'v2', block: 'b', validRound: 0, prevotes })), []);
    }
    const future = started();
    const certificate = certificateOf(0, 'prevote', 'b', [0, 2, 3]);
    assert.deepEqual(
      future.run(future.machine.onProposal({ round: 0, proposer: 'v0', block: 'b', validRound: 0, prevotes: certificate })),
      [],
    );
  });

  it('28: a certificate of fewer than q votes proves nothing', () => {
    const rig = started();
    rig.votes([0, 2, 3], 1, 'precommit', null);
    rig.timer('precommit', 1);
    rig.propose(2, 'b', certificateOf(0, 'prevote', 'b', [0, 2]));
    assert.equal(rig.said(2, 'prevote'), undefined);
  });

  it('34: after q prevotes of any kind it waits once, then precommits nobody', () => {
    const rig = started();
    rig.timer('propose', 0);
    assert.equal(rig.said(0, 'prevote'), null);
    rig.vote(0, 0, 'prevote', 'a');
    assert.deepEqual(of(rig.vote(2, 0, 'prevote', 'b'), 'timer'), [
      { type: 'timer', step: 'prevote', round: 0, afterMs: VOTING.prevoteMs },
    ]);
    assert.deepEqual(of(rig.vote(3, 0, 'prevote', 'c'), 'timer'), []);
    rig.timer('prevote', 0);
    assert.equal(rig.said(0, 'precommit'), null);
  });

  it('36: q prevotes for a judged block lock it and are answered by a precommit', () => {
    const rig = started();
    rig.propose(0, 'a');
    rig.vote(0, 0, 'prevote', 'a');
    assert.equal(rig.said(0, 'precommit'), undefined);
    rig.vote(2, 0, 'prevote', 'a');
    assert.equal(rig.said(0, 'precommit'), 'a');
    assert.deepEqual(rig.machine.saved().locked, { round: 0, block: 'a' });
    assert.equal(rig.machine.saved().valid?.certificate.votes.length, 3);
  });

  it('36: waits with its precommit until the block is judged', () => {
    const rig = started();
    rig.timer('propose', 0);
    rig.votes([0, 2, 3], 0, 'prevote', 'a');
    assert.equal(rig.said(0, 'precommit'), undefined);
    rig.propose(0, 'a', null, false);
    assert.equal(rig.said(0, 'precommit'), undefined);
    rig.judged('a', 0);
    assert.equal(rig.said(0, 'precommit'), 'a');
  });

  it('36: after its precommit a quorum makes the block the valid one, not the locked one', () => {
    const rig = started();
    rig.propose(0, 'a');
    rig.votes([0, 2], 0, 'prevote', null);
    rig.timer('prevote', 0);
    rig.votes([0, 2], 0, 'prevote', 'a');
    const { locked, valid } = rig.machine.saved();
    assert.deepEqual([locked, valid?.round, valid?.block], [null, 0, 'a']);
    rig.votes([0, 2, 3], 0, 'precommit', null);
    const [proposal] = of(rig.timer('precommit', 0), 'propose');
    assert.deepEqual([proposal?.block, proposal?.validRound, proposal?.prevotes?.votes.length], ['a', 0, 3]);
  });

  it('36: a quorum of prevotes overrules what a node held against the block in its round', () => {
    const rig = started();
    rig.propose(0, 'empty', null, false);
    rig.judged('empty', 0, false);
    const effects = rig.votes([0, 2, 3], 0, 'prevote', 'empty');
    assert.deepEqual(of(effects, 'judge'), [{ type: 'judge', round: 0, block: 'empty', validRound: 0 }]);
    rig.judged('empty', 0);
    assert.equal(rig.said(0, 'precommit'), 'empty');
  });

  it('44: q prevotes for nobody are answered at once', () => {
    const rig = started();
    rig.timer('propose', 0);
    rig.votes([0, 2], 0, 'prevote', null);
    assert.equal(rig.said(0, 'precommit'), null);
    assert.equal(rig.machine.saved().locked, null);
  });

  it('47 and 65: q precommits of any kind start the timer that ends the round', () => {
    const rig = started();
    rig.votes([0, 2], 0, 'precommit', null);
    assert.deepEqual(of(rig.vote(3, 0, 'precommit', 'a'), 'timer'), [
      { type: 'timer', step: 'precommit', round: 0, afterMs: VOTING.precommitMs },
    ]);
    rig.timer('precommit', 0);
    assert.equal(rig.machine.round, 1);
  });

  it('49: q precommits for a block decide, of any round, without the proposal', () => {
    const rig = started();
    rig.votes([2, 3], 0, 'precommit', 'a');
    rig.vote(0, 0, 'precommit', null);
    rig.timer('precommit', 0);
    assert.equal(rig.machine.step, 'propose');
    const [decided] = of(rig.vote(0, 0, 'precommit', 'a'), 'decided');
    assert.deepEqual(decided?.certificate, certificateOf(0, 'precommit', 'a', [0, 2, 3]));
    assert.equal(rig.machine.step, 'decided');
    assert.deepEqual(rig.timer('propose', 1), []);
    assert.deepEqual(rig.propose(1, 'b'), []);
  });

  it('49: a commit certificate decides at once, before the start and for a later round too', () => {
    for (const round of [0, 77]) {
      const rig = new VotingRig(4, 1);
      if (round > 0) rig.start();
      const certificate = certificateOf(round, 'precommit', 'a', [0, 2, 3]);
      assert.deepEqual(of(rig.certificate(certificate), 'decided'), [{ type: 'decided', certificate }]);
    }
    const rig = started();
    for (const other of [certificateOf(0, 'precommit', null, [0, 2, 3]), { ...certificateOf(0, 'precommit', 'a', [0, 2, 3]), epoch: 2 }])
      assert.deepEqual(of(rig.certificate(other), 'decided'), []);
  });

  it('55: f + 1 voters of later rounds take it along; f do not', () => {
    const rig = started(7);
    rig.votes([2, 3], 9, 'prevote', null);
    assert.equal(rig.machine.round, 0);
    rig.vote(4, 5, 'precommit', null);
    assert.equal(rig.machine.round, 5);
    assert.equal(rig.machine.step, 'propose');
    rig.timer('propose', 0);
    assert.equal(rig.machine.step, 'propose', 'timers of an earlier round are void');
  });

  it('55: a certificate of a later round takes it along', () => {
    const rig = started();
    rig.certificate(certificateOf(4, 'prevote', 'a', [0, 2, 3]));
    assert.equal(rig.machine.round, 4);
    rig.propose(4, 'a');
    assert.equal(rig.said(4, 'precommit'), 'a');
  });

  it('timeouts grow by the round and are capped', () => {
    const rig = started();
    rig.votes([2, 3], 3, 'prevote', null);
    assert.deepEqual(of(rig.log, 'timer').at(-1), {
      type: 'timer',
      step: 'propose',
      round: 3,
      afterMs: VOTING.proposeMs + 3 * VOTING.stepMs,
    });
    rig.votes([2, 3], 900, 'prevote', null);
    assert.equal(of(rig.log, 'timer').at(-1)?.afterMs, VOTING.maxMs);
  });
});
