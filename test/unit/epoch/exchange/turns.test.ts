/** A daemon that sums a model of a million values answers all else meanwhile: no turn of its event loop takes long. */
import assert from 'node:assert/strict';
import { AverageSwarm } from '../../../support/averageSwarm.ts';

/** Ms of processor time that a turn may take. */
const TURN_MS = 50;

/** Processor time of the longest turn of this thread until `stop` is called. Virtual time runs one event a turn. */
function watchTurns(): { readonly stop: () => number } {
  let [longest, running] = [0, true];
  let before = process.threadCpuUsage();
  const look = (): void => {
    const now = process.threadCpuUsage();
    longest = Math.max(longest, (now.user + now.system - before.user - before.system) / 1_000);
    before = now;
    if (running) setImmediate(look);
  };
  setImmediate(look);
  return {
    stop: () => {
      running = false;
      return longest;
    },
  };
}

describe('a sum of a million values', function () {
  this.timeout(60_000);
  for (const schedule of ['ring', 'butterfly'] as const)
    it(`${schedule}: takes no turn of ${TURN_MS} ms`, async () => {
      const swarm = new AverageSwarm({ nodes: 3, elements: 1_000_000, schedule });
      await swarm.clock.runUntil(() => false, 10);
      const turns = watchTurns();
      swarm.begin();
      assert.ok(await swarm.run(swarm.nodes));
      const longest = turns.stop();
      assert.deepEqual(swarm.thrown, []);
      assert.deepEqual(swarm.node(0).averaged?.survivors, swarm.roster);
      assert.ok(longest < TURN_MS, `a turn of ${longest} ms`);
    });

  it('looks for who made it wrong in turns as well', async () => {
    const swarm = new AverageSwarm({ nodes: 3, elements: 1_000_000, minDeadlineMs: 4_000 });
    await swarm.clock.runUntil(() => false, 10);
    const liar = swarm.node(1);
    liar.misstate(
      ({ lane, step }) => lane === 1 && step === 1,
      (bytes) => bytes.map((byte, i) => (i === 40_000 ? byte ^ 1 : byte)),
    );
    const turns = watchTurns();
    swarm.begin();
    assert.ok(await swarm.run(swarm.nodes));
    const longest = turns.stop();
    assert.ok(swarm.node(0).logged.some(({ facts }) => facts?.culprit === liar.node));
    assert.ok(longest < TURN_MS, `a turn of ${longest} ms`);
  });
});
