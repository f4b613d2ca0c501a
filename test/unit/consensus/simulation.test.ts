import assert from 'node:assert/strict';
import { plainRule } from '../../support/plainRule.ts';
import { ATTACKS } from '../../support/rosterLiars.ts';
import { mostLiars, negotiate, type Result, type Scenario } from '../../support/rosterWorld.ts';

/** Runs of one scenario, by seed. */
async function runs(scenario: Omit<Scenario, 'seed'>, count: number): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (let seed = 1; seed <= count; seed++) results.push(await negotiate({ ...scenario, seed }));
  return results;
}

/** Seeds (from 1) for which `holds` is false. */
const failing = (results: readonly Result[], holds: (result: Result) => boolean): number[] =>
  results.flatMap((result, i) => (holds(result) ? [] : [i + 1]));

const oneRoster = ({ endings }: Result): boolean => new Set(endings.map(({ last }) => last)).size === 1;
const stoppedAlike = ({ options }: Result): boolean => options.size === 1;
const allStopped = ({ endings }: Result): boolean => endings.every(({ why }) => why === 'agreed');

describe('consensus: many nodes, losses of 5 to 20% and liars', function () {
  this.timeout(60_000);

  for (const [nodes, count] of [
    [4, 50],
    [7, 30],
    [10, 15],
    [25, 2],
  ] as const) {
    it(`${nodes} honest nodes agree within a second, all with one roster`, async () => {
      const results = await runs({ nodes }, count);
      assert.deepEqual(
        failing(results, (r) => stoppedAlike(r) && allStopped(r) && r.lastMs < 1_000),
        [],
      );
    });

    for (const attack of [...ATTACKS, 'silent'] as const) {
      const liars = mostLiars(nodes);
      it(`${nodes - liars} of ${nodes} agree while ${liars} ${attack === 'silent' ? 'say nothing' : `lie (${attack})`}`, async () => {
        const results = await runs({ nodes, liars, attack, late: 0.3 }, count);
        assert.deepEqual(
          failing(results, (r) => oneRoster(r) && allStopped(r)),
          [],
        );
        // A liar that times what it shows can make a node stop early; what the others then decide overrules it.
        if (attack !== 'withhold') assert.deepEqual(failing(results, stoppedAlike), []);
      });
    }
  }

  it('confident liars capture the plain rule, and not this one', async () => {
    const scenario = { nodes: 7, liars: mostLiars(7), attack: 'private' } as const;
    const captured = ({ endings, privateOption }: Result): boolean => endings.every(({ last }) => last === privateOption);
    assert.deepEqual(failing(await runs({ ...scenario, rule: plainRule }, 15), captured), []);
    const ours = await runs(scenario, 15);
    assert.deepEqual(
      failing(ours, (r) => oneRoster(r) && r.endings.every(({ last }) => last !== r.privateOption)),
      [],
    );
  });

  it('liars with two faces split the plain rule, and not this one', async () => {
    const scenario = { nodes: 10, liars: mostLiars(10), attack: 'equivocate' } as const;
    assert.ok(failing(await runs({ ...scenario, rule: plainRule }, 15), oneRoster).length >= 3);
    assert.deepEqual(failing(await runs(scenario, 15), oneRoster), []);
  });

  it('a partition that heals while attestations are awaited leaves one roster', async () => {
    for (const first of [1, 3, 5])
      assert.deepEqual(
        failing(await runs({ nodes: 10, partition: { first, healMs: 600 } }, 15), (r) => stoppedAlike(r) && allStopped(r)),
        [],
      );
  });

  it('a longer partition leaves one roster a side', async () => {
    for (const [nodes, first] of [
      [10, 3],
      [10, 4],
      [7, 3],
      [10, 5],
    ] as const) {
      const results = await runs({ nodes, partition: { first, healMs: 2_000 } }, 15);
      for (const side of [0, 1] as const) {
        const here = results.map(({ endings }) => endings.filter((ending) => ending.side === side));
        assert.ok(here.every((endings) => new Set(endings.map(({ option }) => option)).size === 1));
      }
    }
  });

  it('the same seed gives the same run', async () => {
    const scenario = { nodes: 7, liars: 2, attack: 'withhold', seed: 5 } as const;
    assert.deepEqual(await negotiate(scenario), await negotiate(scenario));
  });
});
