import assert from 'node:assert/strict';
import { parse } from 'smol-toml';
import { planOf } from '../../src/simulation/plan.ts';
import { type RunOutcome, runScenario } from '../../src/simulation/run.ts';
import { formatScenario, LIAR_KINDS, parseScenario, type Scenario } from '../../src/simulation/scenario.ts';
import { loadScenario, scenarioNames } from '../../src/simulation/scenarios.ts';
import { simulate } from '../../src/simulation/simulate.ts';

const EPOCHS = 4;
const QUIET = { epoch: () => undefined, done: () => undefined, shrinking: () => undefined };

/** A scenario with its faults packed into a few seconds: the same things happen, in less time. */
const packed = (name: string, nodes: number): Scenario => {
  const scenario = loadScenario(name, { nodes, epochs: EPOCHS });
  return { ...scenario, faults: { ...scenario.faults, within_ms: 6_000, partition_ms: [1_000, 4_000], down_ms: [300, 3_000] } };
};

function requireHeld(outcome: RunOutcome): void {
  assert.deepEqual([outcome.violations, outcome.lost, outcome.verdict], [[], 0, 'held']);
  assert.ok(outcome.epochs.length >= EPOCHS && outcome.recoveredMs !== null);
  const honest = outcome.nodes.filter((n) => n.dishonest === null);
  assert.ok(honest.every((n) => n.epoch >= EPOCHS));
  assert.ok(honest.some((n) => n.acknowledged > 0));
  // q of the voters stand behind every block (PROTOCOL section 2); late nodes make the committee grow meanwhile.
  for (const { epoch, votes, round } of outcome.epochs) assert.ok(votes.length >= 1 && round >= 0, `epoch ${epoch}`);
}

describe('simulated scenarios', function () {
  this.timeout(60_000);

  for (const name of scenarioNames()) {
    it(`${name}: nothing that must hold breaks`, async () => {
      requireHeld(await runScenario(packed(name, name === 'everything' ? 6 : 4), 7));
    });
  }

  for (const name of ['partition', 'everything'])
    it(`${name}, by nodes that diffuse without a quorum: nothing that must hold breaks`, async () => {
      requireHeld(await runScenario({ ...packed(name, 6), without_quorum: 'diffuse' }, 2));
    });

  for (const kind of LIAR_KINDS) {
    it(`four nodes bear one of kind ${kind}`, async () => {
      const scenario = parseScenario({ name: 'liar', nodes: 4, epochs: EPOCHS, byzantine: [{ node: 2, kind }] }, 'a test');
      const outcome = await runScenario(scenario, 3);
      requireHeld(outcome);
      assert.deepEqual(
        outcome.nodes.map((n) => n.dishonest),
        [null, null, kind, null],
      );
    });
  }

  it('repeat to the byte from a seed, and differ with another', async () => {
    const scenario = packed('crash', 4);
    const [one, again, other] = [await runScenario(scenario, 5), await runScenario(scenario, 5), await runScenario(scenario, 6)];
    assert.deepEqual(again, one);
    assert.notDeepEqual(other.epochs, one.epochs);
    assert.deepEqual(await runScenario(planOf(scenario, 5), 5), one, 'the written-out plan is the same run');
  });

  it('catch a disk that forgets, and shrink it to the one crash that shows it', async () => {
    const scenario = parseScenario(
      {
        name: 'planted',
        nodes: 4,
        epochs: 2,
        link: { loss: 0.02, max_delay_ms: 20 },
        faults: { within_ms: 2_000, partitions: 1, crashes: 2, down_ms: [300, 900], partition_ms: [300, 900] },
        events: [{ kind: 'crash', at_ms: 2_000, for_ms: 500, node: 3 }],
        forgetful: [3],
      },
      'a test',
    );
    const { summary, failure } = await simulate(scenario, { seed: 2, runs: 1 }, QUIET);
    assert.deepEqual([summary.failingSeeds, summary.conflicts > 0], [[2], true]);
    assert.ok(failure !== undefined);
    const { events, forgetful, nodes } = failure;
    assert.deepEqual([events.length, events[0]?.kind, forgetful.length, nodes < 4], [1, 'crash', 1, true]);
    assert.ok(events.every((e) => e.kind === 'crash' && e.node === forgetful[0]));
    const replay = parseScenario(parse(formatScenario(failure)), 'the written file');
    const { violations } = await runScenario(replay, replay.seed);
    assert.ok(violations.some((v) => v.kind === 'regress' && v.node === forgetful[0]));
  });

  it('say so when a swarm cannot go on', async () => {
    const byzantine = [1, 2].map((node) => ({ node, kind: 'silent' }));
    const scenario = parseScenario({ name: 'stuck', nodes: 4, epochs: 2, liveness_ms: 20_000, byzantine }, 'a test');
    const { violations, verdict, recoveredMs } = await runScenario(scenario, 1);
    assert.deepEqual([verdict, recoveredMs, [...new Set(violations.map((v) => v.kind))]], ['broken', null, ['unfinished']]);
  });
});
