import assert from 'node:assert/strict';
import { GOSSIP } from '../../../src/network/limits.ts';
import { Penalties } from '../../../src/network/penalties.ts';

describe('penalties', () => {
  it('add up and halve with time', () => {
    let nowMs = 1_000;
    const penalties = new Penalties(() => nowMs);
    assert.equal(penalties.of('a'), 0);
    penalties.add('a', 8);
    nowMs += GOSSIP.penaltyHalfLifeMs;
    assert.equal(penalties.of('a'), 4);
    penalties.add('a', 4);
    nowMs += 2 * GOSSIP.penaltyHalfLifeMs;
    assert.equal(penalties.of('a'), 2);
    assert.equal(penalties.of('b'), 0);
  });

  it('forget the peer that was quiet longest when there are too many', () => {
    const penalties = new Penalties(() => 0);
    for (let i = 0; i < 4_096; i++) penalties.add(`peer ${i}`, 1);
    penalties.add('peer 0', 1);
    penalties.add('one more', 1);
    assert.deepEqual([penalties.of('peer 0'), penalties.of('peer 1'), penalties.of('peer 2'), penalties.of('one more')], [2, 0, 1, 1]);
  });
});
