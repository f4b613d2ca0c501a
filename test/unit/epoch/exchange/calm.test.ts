import assert from 'node:assert/strict';
import type { Exchanges } from '../../../../src/epoch/exchange/index.ts';
import { type AverageOptions, AverageSwarm } from '../../../support/averageSwarm.ts';

/** Runs a swarm in which nothing fails; all end with the exact sum of all. */
async function calm(options: AverageOptions): Promise<AverageSwarm> {
  const swarm = new AverageSwarm(options);
  await swarm.clock.runUntil(() => false, 10);
  swarm.begin();
  assert.ok(await swarm.run(swarm.nodes), `not all ended: ${swarm.nodes.map(({ ended }) => ended)}`);
  assert.deepEqual(swarm.thrown, []);
  const expected = swarm.sumOf(swarm.roster);
  for (const { averaged, exchanges } of swarm.nodes) {
    assert.ok(averaged);
    assert.deepEqual(averaged.survivors, swarm.roster);
    assert.deepEqual([...averaged.sum], expected);
    assert.equal(averaged.attempt.number, 0);
    assert.ok(exchanges.attempt);
  }
  return swarm;
}

describe('a sum over streams where nothing fails', () => {
  for (const schedule of ['ring', 'grid', 'butterfly'] as const)
    for (const nodes of [1, 2, 3, 5, 6, 11]) it(`${schedule} of ${nodes}: everyone holds the exact sum`, () => calm({ nodes, schedule }));

  it('takes part of one element, of int8, of weights with zeros', async () => {
    await calm({ nodes: 3, elements: 1 });
    await calm({ nodes: 4, dtype: 'int8', weights: [0, 3, 65_000, 1], schedule: 'butterfly' });
    await calm({ nodes: 3, weights: [0, 0, 0] });
  });

  it('is let go once its block is final and all hold it and not before', async () => {
    const swarm = await calm({ nodes: 3 });
    const [first, ...others] = swarm.nodes.map(({ exchanges }) => exchanges) as [Exchanges, ...Exchanges[]];
    await first.rest(4);
    assert.ok(first.attempt, 'another epoch is over, not this one');
    let isOver = false;
    void first.rest(5).then(() => {
      isOver = true;
    });
    assert.ok(await swarm.clock.runUntil(() => isOver, swarm.clock.nowMs() + 5_000));
    assert.equal(first.attempt, undefined);
    for (const one of others) assert.ok(one.attempt);
  });

  it('gives the sum to voters that have no row', async () => {
    const swarm = await calm({ nodes: 5, members: 3 });
    assert.equal(swarm.roster.length, 3);
  });

  it('bears that words are lost', () => calm({ nodes: 4, loss: 0.1, minDeadlineMs: 4_000 }));
});
