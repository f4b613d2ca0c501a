import assert from 'node:assert/strict';
import fc from 'fast-check';
import { HeightVotes } from '../../../src/consensus/heightVotes.ts';
import { faultsOf } from '../../../src/consensus/index.ts';
import { VoteSet } from '../../../src/consensus/voteSet.ts';
import { MAX_ROUNDS, type Vote, type VoteStep } from '../../../src/spec/index.ts';

const VOTERS = Array.from({ length: 7 }, (_, i) => `v${i}`);
const fresh = (n = 7): HeightVotes => new HeightVotes(1, VOTERS.slice(0, n), () => new VoteSet(n));
const vote = (voter: number, round: number, block: string | null = 'a', step: VoteStep = 'prevote'): Vote => ({
  epoch: 1,
  round,
  step,
  block,
  voter: `v${voter}`,
  signature: new Uint8Array(0),
});

describe('HeightVotes', () => {
  it('ignores strangers, other epochs and rounds out of bounds', () => {
    const votes = fresh();
    for (const bad of [{ voter: 'stranger' }, { epoch: 2 }, { round: -1 }, { round: 0.5 }, { round: MAX_ROUNDS }, { round: Number.NaN }])
      assert.equal(votes.add({ ...vote(0, 0), ...bad }), false, JSON.stringify(bad));
    assert.deepEqual(votes.rounds(), []);
  });

  it('votes ahead wait and are counted when their round comes', () => {
    const votes = fresh();
    votes.add(vote(0, 3));
    assert.equal(votes.at(3).prevote.voters, 0);
    votes.advance(3);
    assert.equal(votes.at(3).prevote.voters, 1);
    assert.equal(votes.add(vote(0, 3)), false);
  });

  it('keeps the highest few votes of a voter that floods, and forgets rounds far behind', () => {
    const votes = fresh();
    for (let round = 1; round < MAX_ROUNDS; round += 3)
      for (const step of ['prevote', 'precommit'] as const) votes.add(vote(6, round, 'x', step));
    votes.add(vote(0, 5));
    votes.advance(5);
    assert.equal(votes.at(5).prevote.voters, 1);
    for (let round = 6; round < 200; round++) {
      for (let voter = 0; voter < 4; voter++) votes.add(vote(voter, round));
      votes.advance(round);
    }
    assert.ok(votes.rounds().length <= 17);
    assert.equal(votes.at(7).prevote.voters, 0);
    assert.equal(votes.add(vote(5, 20)), false);
    assert.equal(votes.add(vote(5, 20), true), true);
  });

  it('skips to the highest round that f + 1 voters have reached', () => {
    const rounds = fc.array(fc.tuple(fc.nat(6), fc.integer({ min: 0, max: 40 })), { maxLength: 40 });
    fc.assert(
      fc.property(fc.constantFrom(1, 3, 4, 7), fc.integer({ min: 0, max: 10 }), rounds, (n, current, cast) => {
        const votes = fresh(n);
        votes.advance(current);
        for (const [voter, round] of cast) votes.add(vote(voter, round));
        // Brute force: the largest round with more than f voters at it or beyond.
        let expected: number | undefined;
        for (let round = current + 1; round <= 40; round++)
          if (new Set(cast.filter(([voter, at]) => voter < n && at >= round).map(([voter]) => voter)).size > faultsOf(n)) expected = round;
        const skip = votes.skip();
        assert.equal(skip?.round, expected);
        if (skip !== undefined) assert.ok(skip.votes.length === faultsOf(n) + 1 && skip.votes.every(({ round }) => round >= skip.round));
      }),
      { numRuns: 300 },
    );
  });

  it('convicts a voter once, by two values in one place, also ahead', () => {
    for (const round of [0, 9]) {
      const votes = fresh();
      for (const block of ['a', 'a', 'b', null, 'c']) votes.add(vote(2, round, block));
      assert.deepEqual(votes.takeConflicts(), [{ first: vote(2, round, 'a'), second: vote(2, round, 'b') }]);
      votes.add(vote(2, 0, 'z', 'precommit'));
      votes.add(vote(2, 0, 'y', 'precommit'));
      assert.deepEqual(votes.takeConflicts(), []);
    }
  });

  it('two rounds, two steps are no conflict', () => {
    const votes = fresh();
    votes.add(vote(2, 0, 'a'));
    votes.add(vote(2, 1, 'b'));
    votes.add(vote(2, 0, null, 'precommit'));
    votes.advance(1);
    assert.deepEqual(votes.takeConflicts(), []);
  });
});
