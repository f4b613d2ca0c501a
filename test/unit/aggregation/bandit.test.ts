import assert from 'node:assert/strict';
import { NeighbourBandit } from '../../../src/aggregation/index.ts';
import { picker } from '../../support/exchanges.ts';

const peers = Array.from({ length: 8 }, (_, i) => `peer ${i}`);

/** Uses two neighbours a round; what each gives is its speed with noise of a third. Returns how often each was used. */
function use(bandit: NeighbourBandit, speeds: readonly number[], rounds: number, seed: number): number[] {
  const pick = picker(seed);
  const uniform = (): number => pick(2 ** 24) / 2 ** 24;
  const used = speeds.map(() => 0);
  for (let round = 0; round < rounds; round++) {
    for (const peer of bandit.pick(peers, 2, uniform)) {
      const i = peers.indexOf(peer);
      used[i] = (used[i] as number) + 1;
      bandit.measured(peer, 1_000 * (speeds[i] as number) * (2 / 3 + (2 / 3) * uniform()), 1_000);
    }
  }
  return used;
}

describe('the choice of neighbours', () => {
  const speeds = [1, 2, 3, 10, 1, 2, 9, 1];

  it('comes to use the fast ones, and goes on trying every other', () => {
    const bandit = new NeighbourBandit();
    const used = use(bandit, speeds, 1_000, 1);
    const fast = (used[3] as number) + (used[6] as number);
    const slow = Math.max(...used.filter((_, i) => i !== 3 && i !== 6));
    assert.ok(fast > 2.5 * slow, used.join(' '));
    const bySpeed = used.reduce((sum, n, i) => sum + n * (speeds[i] as number), 0) / 2_000;
    assert.ok(bySpeed > 1.4 * (29 / 8), `${bySpeed} on average, ${29 / 8} by chance`);
    assert.ok(Math.min(...used) >= 20, used.join(' '));
  });

  it('notices within a few hundred uses that speeds have changed', () => {
    const bandit = new NeighbourBandit();
    use(bandit, speeds, 500, 2);
    use(bandit, [...speeds].reverse(), 250, 3);
    const used = use(bandit, [...speeds].reverse(), 500, 4);
    assert.deepEqual(
      used
        .map((n, i) => [n, i] as const)
        .sort(([a], [b]) => b - a)
        .slice(0, 2)
        .map(([, i]) => i)
        .sort(),
      [1, 4],
    );
  });

  it('tries those unknown first, in the order drawn, and forgets who is gone', () => {
    const bandit = new NeighbourBandit();
    let draws = 0;
    assert.deepEqual(
      bandit.pick(peers, 3, () => 1 - draws++ / 10),
      ['peer 7', 'peer 6', 'peer 5'],
    );
    for (const peer of peers) bandit.measured(peer, 1_000, 10);
    bandit.forget('peer 4');
    assert.deepEqual(
      bandit.pick(peers, 1, () => 0),
      ['peer 4'],
    );
    assert.deepEqual(
      bandit.pick([], 3, () => 0),
      [],
    );
  });
});
