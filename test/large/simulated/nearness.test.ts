import assert from 'node:assert/strict';
import type { LinkCost } from '../../../src/aggregation/index.ts';
import { LINK_EXPONENT_MIN } from '../../../src/spec/index.ts';
import { AverageSwarm } from '../../support/averageSwarm.ts';

/** Ms of virtual time until all of 18 members in two sites, 1 ms within and 40 ms between, hold the exact sum. */
async function timeOf(isTold: boolean): Promise<number> {
  const swarm = new AverageSwarm({ nodes: 18, schedule: 'grid', apartMs: 40 });
  const siteOf = new Map(swarm.nodes.map(({ node, index }) => [node, index % 2]));
  const cost: LinkCost = (a, b) => 2 ** (siteOf.get(a) === siteOf.get(b) ? LINK_EXPONENT_MIN : 17);
  if (isTold) swarm.cost = cost;
  swarm.begin();
  assert.ok(await swarm.run(swarm.nodes));
  const sum = swarm.sumOf(swarm.roster);
  for (const { averaged } of swarm.nodes) {
    assert.equal(averaged?.attempt.number, 0);
    assert.deepEqual([...(averaged?.sum ?? [])], sum);
  }
  return Math.max(...swarm.nodes.map(({ doneMs }) => doneMs));
}

describe('a sum over links whose ends told what they cost', function () {
  this.timeout(120_000);

  it('takes less time than in the order of the beacon, by grid', async () => {
    const [near, plain] = [await timeOf(true), await timeOf(false)];
    assert.ok(near < 0.75 * plain, `${near} ms against ${plain}`);
  });
});
