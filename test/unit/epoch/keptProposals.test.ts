import assert from 'node:assert/strict';
import { KeptProposals } from '../../../src/epoch/keptProposals.ts';
import type { Proposal } from '../../../src/spec/index.ts';

/** What these look at of a proposal. */
const proposal = (round: number, block: string, validRound = -1): Proposal =>
  ({ epoch: 1, round, proposer: 'p', block, validRound, prevotes: null, content: { hash: block } }) as unknown as Proposal;

describe('proposals that are kept', () => {
  it('tell the same block in another round, or with another valid round, from one that is held', () => {
    const kept = new KeptProposals(4);
    assert.ok(kept.add(proposal(3, 'b'), 0, undefined));
    assert.ok(kept.has(proposal(3, 'b')));
    assert.ok(!kept.has(proposal(0, 'b')), 'what one voter signs for its own round takes nothing from another round');
    assert.ok(!kept.has(proposal(3, 'b', 1)));
  });

  it('are of rounds near the present one', () => {
    const kept = new KeptProposals(4);
    assert.deepEqual(
      [4, 5, 9_001].map((round) => kept.isNear(proposal(round, 'b'), 0)),
      [true, false, false],
    );
    assert.ok(kept.isNear(proposal(0, 'b'), 16) && !kept.isNear(proposal(0, 'b'), 17));
  });

  it('are three a round, and of other rounds whatever one round is filled with', () => {
    const kept = new KeptProposals(4);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((block) => kept.add(proposal(1, block), 1, undefined)),
      [true, true, true, false],
    );
    assert.ok(kept.add(proposal(2, 'honest'), 1, undefined));
    assert.deepEqual(
      kept.of(1).map(({ block }) => block),
      ['a', 'b', 'c'],
    );
  });

  it('are forgotten once their round is far behind, but for the block that this node is bound to', () => {
    const kept = new KeptProposals(4);
    for (const block of ['bound', 'other']) kept.add(proposal(0, block), 0, undefined);
    kept.add(proposal(17, 'new'), 17, 'bound');
    assert.equal(kept.find('other'), undefined);
    assert.equal(kept.blockOf('bound')?.hash, 'bound');
    kept.add(proposal(18, 'bound', 0), 17, 'bound');
    assert.equal(kept.find('bound')?.round, 18);
  });
});
