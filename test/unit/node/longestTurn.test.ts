import assert from 'node:assert/strict';
import { LongestTurn } from '../../../src/node/longestTurn.ts';
import { until } from '../../support/daemons.ts';

describe('the longest turn', () => {
  it('is as long as everything else waited', async () => {
    using turn = new LongestTurn();
    // It looks at the clock from here on.
    const isLooking = until(
      () => 'it looks',
      () => turn.ms > 0,
    );
    await isLooking;
    const endMs = performance.now() + 300;
    while (performance.now() < endMs);
    await until(
      () => `it is told; ${turn.ms} ms are`,
      () => turn.ms >= 250,
    );
    assert.ok(turn.ms < 10_000, `${turn.ms}`);
  });
});
