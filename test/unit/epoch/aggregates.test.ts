import assert from 'node:assert/strict';
import { keepAggregate } from '../../../src/epoch/aggregates.ts';
import { average } from '../../../src/epoch/average.ts';
import { sorted } from '../../support/epochWorld.ts';
import { committee, wave } from '../../support/finalSteps.ts';

describe('an aggregate that is kept', () => {
  it('is written once, however often it is kept, and again where its sum was pruned', async () => {
    const swarm = committee(3);
    const ids = sorted(await swarm.contribute([wave(0), wave(1), wave(2)]));
    const { ctx, blobs } = swarm.node(0);
    const aggregate = await average(ctx, ctx.chain.finalized.state, ids);
    const root = aggregate.header?.sumRoot ?? assert.fail('a sum');
    let writes = 0;
    const put = blobs.put.bind(blobs);
    blobs.put = (content) => {
      writes++;
      return put(content);
    };
    for (let n = 0; n < 3; n++) await keepAggregate(ctx, aggregate);
    assert.deepEqual([writes, await blobs.has(root)], [1, true]);
    await blobs.delete(root);
    await keepAggregate(ctx, aggregate);
    assert.deepEqual([writes, await blobs.has(root)], [2, true]);
  });
});
