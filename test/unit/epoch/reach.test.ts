import assert from 'node:assert/strict';
import { Reach } from '../../../src/epoch/reach.ts';
import { VirtualClock } from '../../../src/simulation/clock.ts';
import { BEAT, type Beat } from '../../../src/spec/index.ts';

const beat = (node: string, seq = 1): Beat => ({
  node,
  seq,
  epoch: 4,
  block: 'b',
  treeRoot: 't',
  modelRoot: 'm',
  signature: new Uint8Array(64),
});

describe('who is in reach', () => {
  let clock: VirtualClock;
  let reach: Reach;
  beforeEach(() => {
    clock = new VirtualClock();
    reach = new Reach(clock);
  });
  const pass = (ms: number) => clock.runUntil(() => false, clock.nowMs() + ms);

  it('is whoever beat within the last three beats and half a second', async () => {
    reach.hear(beat('a'));
    const windowMs = BEAT.missed * BEAT.everyMs + 500;
    await pass(windowMs);
    assert.equal(reach.isHere('a'), true);
    await pass(1);
    assert.equal(reach.isHere('a'), false);
    reach.hear(beat('a', 2));
    assert.equal(reach.isHere('a'), true, 'the next beat brings it back');
    assert.equal(reach.isHere('b'), false, 'one that never beat is not here');
  });

  it('leaves with its connection, and comes back with a beat over others', () => {
    reach.hear(beat('a'));
    reach.lose('a');
    reach.lose('nobody');
    assert.deepEqual([reach.isHere('a'), reach.beats().length, reach.of('a')?.epoch], [false, 0, 4]);
    reach.hear(beat('a', 2));
    assert.deepEqual([reach.isHere('a'), reach.beats().map((b) => b.seq)], [true, [2]]);
  });

  it('knows what is news', () => {
    assert.equal(reach.isNews(beat('a', 0)), true);
    reach.hear(beat('a', 5));
    assert.deepEqual(
      [4, 5, 6].map((seq) => reach.isNews(beat('a', seq))),
      [false, false, true],
    );
    assert.equal(reach.isNews(beat('b', 1)), true);
  });

  it('beats more slowly the more members there are, and waits as much longer', async () => {
    assert.equal(reach.everyMs, 1_000);
    reach.setMembers(40);
    assert.equal(reach.everyMs, 1_000);
    reach.setMembers(200);
    assert.equal(reach.everyMs, 5_000);
    reach.hear(beat('a'));
    await pass(15_500);
    assert.equal(reach.isHere('a'), true);
    await pass(1);
    assert.equal(reach.isHere('a'), false);
  });

  // Voters, quorum (PROTOCOL section 2), with this node one of the voters.
  for (const [voters, quorum] of [
    [1, 1],
    [3, 2],
    [4, 3],
    [6, 4],
    [7, 5],
    [10, 7],
  ] as const) {
    it(`has a quorum of ${voters} with ${quorum} of them`, () => {
      const names = Array.from({ length: voters }, (_, i) => `v${i}`);
      for (let here = 1; here <= voters; here++) {
        if (here > 1) reach.hear(beat(`v${here - 1}`));
        assert.equal(reach.isQuorate(names, 'v0'), here >= quorum, `${here}`);
      }
      assert.equal(reach.isQuorate(names, 'an observer'), voters - 1 >= quorum, 'an observer does not count itself');
    });
  }
});
