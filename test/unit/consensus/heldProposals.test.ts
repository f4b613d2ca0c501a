import assert from 'node:assert/strict';
import { HeldProposals, type ProposalView } from '../../../src/consensus/heldProposals.ts';
import { MAX_ROUNDS } from '../../../src/spec/index.ts';
import { certificateOf } from './votingRig.ts';

const PROPOSERS = ['v0', 'v1', 'v2', 'v3'];
const proposal = (round: number, block = 'a', validRound = -1): ProposalView => ({
  round,
  proposer: PROPOSERS[round % 4] as string,
  block,
  validRound,
  prevotes: validRound < 0 ? null : certificateOf(validRound, 'prevote', block, [0, 1, 2]),
});

describe('HeldProposals', () => {
  it('keeps proposals of the recent past and of one turn of each voter to come', () => {
    const held = new HeldProposals(PROPOSERS);
    const taken = [0, 83, 84, 99, 100, 104, 105, 5_000].filter((round) => held.add(proposal(round), 100, false));
    assert.deepEqual(taken, [84, 99, 100, 104]);
    assert.equal(held.add(proposal(100), 100, false), false, 'once');
    for (const round of [-1, 0.5, MAX_ROUNDS]) assert.equal(held.add({ ...proposal(0), round }, 0, true), false);
    for (const validRound of [-2, 0.5, 100, 101]) assert.equal(held.add({ ...proposal(100, 'b', 7), validRound }, 100, true), false);
  });

  it('keeps two of a round, and more when an honest voter stands on them', () => {
    const held = new HeldProposals(PROPOSERS);
    for (const block of ['a', 'b']) assert.equal(held.add(proposal(0, block), 0, false), true);
    assert.equal(held.add(proposal(0, 'c'), 0, false), false);
    assert.equal(held.add(proposal(0, 'c'), 0, true), true);
    assert.deepEqual(
      held.of(0).map(({ block }) => block),
      ['a', 'b', 'c'],
    );
  });

  it('asks about a block once a round, once more after a refusal that a quorum overrules, never after a yes', () => {
    const held = new HeldProposals(PROPOSERS);
    assert.equal(held.ask('a', 0, -1), false, 'not held');
    held.add(proposal(0), 0, false);
    assert.equal(held.ask('a', 0, -1), true);
    assert.equal(held.ask('a', 0, -1), false);
    assert.equal(held.ask('a', 0, 0), false, 'no second question while the first is open');
    held.judged('a', 0, false);
    assert.equal(held.of(0)[0]?.refused, true);
    assert.equal(held.ask('a', 0, 0), true);
    assert.equal(held.ask('a', 1, -1), true);
    held.judged('a', 1, true);
    assert.equal(held.isValid('a'), true);
    assert.equal(held.ask('a', 2, 1), false);
  });

  it('believes no answer to what it did not ask', () => {
    const held = new HeldProposals(PROPOSERS);
    held.judged('a', 0, true);
    held.add(proposal(0), 0, false);
    held.judged('a', 0, true);
    assert.equal(held.isValid('a'), false);
  });

  it('forgets what is far behind, but for the blocks to keep', () => {
    const held = new HeldProposals(PROPOSERS);
    for (const block of ['a', 'b']) {
      held.add(proposal(0, block), 0, false);
      held.ask(block, 0, -1);
      held.judged(block, 0, true);
    }
    held.advance(16, []);
    assert.equal(held.of(0).length, 2);
    held.advance(17, ['b', undefined]);
    assert.deepEqual([held.of(0).length, held.isValid('a'), held.isValid('b')], [0, false, true]);
  });
});
