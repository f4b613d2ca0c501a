import assert from 'node:assert/strict';
import { World } from '../../../src/simulation/index.ts';
import { asStarlingError } from '../../../src/spec/index.ts';

describe('a simulated trainer', () => {
  it('runs once an epoch, as the real one does', async () => {
    const world = new World({ nodes: 3, seed: 11, trainMs: [20, 100] });
    await world.boot();
    const runs = new Map<string, number>();
    const refused: string[] = [];
    for (const { index, up } of world.nodes) {
      const submit = up.submit.bind(up);
      up.submit = async (submission) => {
        const run = `node ${index} on ${up.ctx.chain.head.id}`;
        runs.set(run, (runs.get(run) ?? 0) + 1);
        return await submit(submission).catch((error: unknown) => {
          refused.push(asStarlingError(error).code);
          throw error;
        });
      };
    }
    const { clock } = world;
    const done = () => world.nodes.every(({ up }) => up.ctx.chain.finalized.state.epoch >= 6);
    assert.ok(await clock.runUntil(done, clock.nowMs() + 60_000));
    assert.deepEqual(
      [...runs].filter(([, times]) => times > 1),
      [],
    );
    assert.ok(runs.size >= 3 * 5, `${runs.size} runs`);
    assert.ok(!refused.includes('ALREADY_CONTRIBUTED'), `${refused}`);
    world.stop();
  });
});
