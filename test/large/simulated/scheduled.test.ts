import assert from 'node:assert/strict';
import { runScenario } from '../../../src/simulation/run.ts';
import { loadScenario } from '../../../src/simulation/scenarios.ts';

describe('a simulated swarm that averages by a schedule, under faults', function () {
  this.timeout(120_000);

  // Each once left the swarm waiting: voters that stood at numbers of attempts of their own, a roster of nobody but a silent liar.
  for (const [name, schedule, seed] of [
    ['churn', 'ring', 1],
    ['byzantine', 'grid', 6],
    ['everything', 'butterfly', 11],
  ] as const)
    it(`holds through ${name} by ${schedule}`, async () => {
      const { verdict, violations } = await runScenario({ ...loadScenario(name), schedule }, seed);
      assert.deepEqual([verdict, violations], ['held', []]);
    });
});
