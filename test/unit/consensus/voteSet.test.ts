import assert from 'node:assert/strict';
import fc from 'fast-check';
import { faultsOf, quorumOf } from '../../../src/consensus/index.ts';
import { VoteSet, votesOf } from '../../../src/consensus/voteSet.ts';
import type { Vote } from '../../../src/spec/index.ts';

const vote = (voter: number, block: string | null): Vote => ({
  epoch: 3,
  round: 1,
  step: 'prevote',
  block,
  voter: `v${voter}`,
  signature: Uint8Array.of(voter),
});

describe('VoteSet', () => {
  it('counts a voter once for each value it signed', () => {
    const set = new VoteSet(4);
    assert.equal(set.add(vote(0, 'a'), false), true);
    assert.equal(set.add(vote(0, 'a'), false), false);
    assert.equal(set.add(vote(0, null), false), true);
    assert.deepEqual([set.count('a'), set.count(null), set.count('b'), set.voters], [1, 1, 0, 1]);
    assert.equal(set.firstOf('v0')?.block, 'a');
    assert.equal(set.firstOf('v1'), undefined);
  });

  it('the vote that a liar hid behind another makes the quorum all the same', () => {
    const set = new VoteSet(4);
    for (const each of [vote(3, null), vote(0, 'a'), vote(1, 'a')]) set.add(each, false);
    assert.equal(set.reached, undefined);
    set.add(vote(3, 'a'), false);
    assert.equal(set.reached, 'a');
    assert.equal(set.isQuorum('a'), true);
  });

  it('takes a third value of a voter from a certificate, or once f + 1 others stand on it', () => {
    const set = new VoteSet(4);
    for (const block of ['x', 'y']) set.add(vote(3, block), false);
    assert.equal(set.add(vote(3, 'a'), false), false);
    set.add(vote(0, 'a'), false);
    assert.equal(set.add(vote(3, 'a'), false), false);
    set.add(vote(1, 'a'), false);
    assert.equal(set.add(vote(3, 'a'), false), true);
    assert.equal(set.reached, 'a');
    assert.equal(set.add(vote(3, 'b'), true), true);
  });

  it('a liar with endless values fills no memory', () => {
    const set = new VoteSet(10);
    for (let i = 0; i < 1_000; i++) for (let liar = 0; liar < 3; liar++) set.add(vote(liar, `junk ${i}`), false);
    assert.equal(set.votes().length, 6);
  });

  it('a certificate is q votes in order of voter; one voice each is told', () => {
    const set = new VoteSet(4);
    for (const i of [3, 1, 2]) set.add(vote(i, i === 3 ? null : 'a'), false);
    assert.equal(set.certificate('a'), undefined);
    assert.equal(set.voices().length, 3);
    for (const i of [3, 0]) set.add(vote(i, 'a'), false);
    const certificate = set.certificate('a');
    assert.ok(certificate !== undefined);
    assert.deepEqual(
      { ...certificate, votes: certificate.votes.map(({ voter }) => voter) },
      {
        epoch: 3,
        round: 1,
        step: 'prevote',
        block: 'a',
        votes: ['v0', 'v1', 'v2'],
      },
    );
    assert.deepEqual(votesOf(certificate), [vote(0, 'a'), vote(1, 'a'), vote(2, 'a')]);
  });

  it('with f liars it finds the quorums that counting everything finds', () => {
    const ballots = fc.integer({ min: 1, max: 10 }).chain((n) =>
      fc.tuple(
        fc.constant(n),
        // Honest voters say one thing; liars up to six, so more than is kept of each.
        fc.array(fc.constantFrom('a', 'b', null), { minLength: n - faultsOf(n), maxLength: n - faultsOf(n) }),
        fc.array(fc.array(fc.constantFrom('a', 'b', null, 'x', 'y', 'z'), { maxLength: 6 }), {
          minLength: faultsOf(n),
          maxLength: faultsOf(n),
        }),
        fc.infiniteStream(fc.nat()),
      ),
    );
    fc.assert(
      fc.property(ballots, ([n, honest, lies, dice]) => {
        const all = [
          ...honest.map((block, i) => vote(i, block)),
          ...lies.flatMap((said, i) => said.map((block) => vote(honest.length + i, block))),
        ];
        const shuffled = all.map((each) => ({ each, at: dice.next().value })).sort((a, b) => a.at - b.at);
        const set = new VoteSet(n);
        // Twice: what was refused for want of support is told again.
        for (let round = 0; round < 2; round++) for (const { each } of shuffled) set.add(each, false);
        for (const block of ['a', 'b', null]) {
          const voters = new Set(all.filter((each) => each.block === block).map(({ voter }) => voter));
          assert.equal(set.isQuorum(block), voters.size >= quorumOf(n), `${block} of ${n}`);
        }
      }),
      { numRuns: 500 },
    );
  });
});
