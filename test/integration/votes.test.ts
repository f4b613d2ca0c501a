import assert from 'node:assert/strict';
import { type SavedVotes, Tendermint, type TendermintConfig } from '../../src/consensus/index.ts';
import { VoteSet } from '../../src/consensus/voteSet.ts';
import { LIAR_KINDS, type Machines, runCampaign, type VotesSummary, VotesWorld, votesPlan } from '../../src/simulation/votes/index.ts';
import type { QuorumCertificate } from '../../src/spec/index.ts';

/** Broken on purpose: what the simulation must be able to see. */
class Unlocked extends Tendermint {
  protected override lockAllows(): boolean {
    return true;
  }
}
class FirstVote extends VoteSet {
  protected override admits(): boolean {
    return false;
  }
}
class FirstVoteWins extends Tendermint {
  protected override newVoteSet(voters: number): VoteSet {
    return new FirstVote(voters);
  }
}
class Uncertified extends Tendermint {
  protected override proofOf(): QuorumCertificate | null {
    return null;
  }
}
class Forgetful extends Tendermint {
  constructor(config: TendermintConfig, saved?: SavedVotes) {
    super(config, saved === undefined ? undefined : { ...saved, votes: [], locked: null });
  }
}

const assertSound = (summary: VotesSummary): void => {
  assert.deepEqual([summary.conflicts, summary.unfinished, summary.failingSeeds], [0, 0, []]);
  assert.ok(summary.nonEmpty >= 0.95 * summary.healed, `${summary.nonEmpty} of ${summary.healed}`);
};

describe('votes on blocks in a hostile world', () => {
  it('5,000 heights: no conflict, nothing unfinished, nearly no empty block after a heal', function () {
    this.timeout(60_000);
    const summary = runCampaign({ epochs: 5_000 });
    assertSound(summary);
    assert.equal(summary.epochs, 5_000);
    // It must have been hostile.
    assert.deepEqual(
      [...summary.sizes.keys()].sort((a, b) => a - b),
      [4, 7, 10],
    );
    assert.ok(summary.withLiars > 0.4 * summary.runs && summary.withFaults > 0.5 * summary.runs);
    assert.ok(summary.healed > 0.4 * summary.epochs && summary.highestRound >= 3);
  });

  for (const kind of LIAR_KINDS)
    it(`f voters of kind ${kind} stop nothing`, function () {
      this.timeout(30_000);
      for (const nodes of [4, 7, 10]) {
        const liars = new Map(Array.from({ length: (nodes - 1) / 3 }, (_, i) => [3 * i, kind]));
        assertSound(runCampaign({ epochs: 200, firstSeed: 9_000, over: { nodes, liars } }));
      }
    });

  it('the same seed gives the same run', () => {
    for (const seed of [3, 35, 85]) assert.deepEqual(new VotesWorld(votesPlan(seed)).run(), new VotesWorld(votesPlan(seed)).run());
  });

  /** Heights in which each of the broken machines must have been found out. */
  const WITHIN = 8_000;
  const mutants: readonly [string, Machines, 'conflicts' | 'unfinished'][] = [
    ['no lock check', (config, saved) => new Unlocked(config, saved), 'conflicts'],
    ['the first vote of a voter wins', (config, saved) => new FirstVoteWins(config, saved), 'unfinished'],
    ['no certificate in a re-proposal', (config, saved) => new Uncertified(config, saved), 'unfinished'],
    ['votes forgotten in a crash', (config, saved) => new Forgetful(config, saved), 'conflicts'],
  ];
  for (const [name, machines, sign] of mutants)
    it(`sees a machine with ${name}`, function () {
      this.timeout(60_000);
      const summary = runCampaign({ epochs: WITHIN, machines, stopAtFailure: true });
      assert.ok(summary[sign] > 0, `${summary.epochs} heights, nothing seen`);
    });
});
