import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseScenario, type Scenario } from '../../../src/simulation/scenario.ts';
import { shrink, withoutNode } from '../../../src/simulation/shrink.ts';

const crash = (node: number, at_ms: number) => ({ kind: 'crash', at_ms, for_ms: 1_000, node, in_write: 0 }) as const;
const plan = (table: object): Scenario => parseScenario({ name: 'test', nodes: 8, epochs: 40, ...table }, 'a test');

describe('shrinking', () => {
  it('finds exactly the events that matter, among any others', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.uniqueArray(fc.nat(39), { minLength: 0, maxLength: 3 }),
        async (count, picked) => {
          const events = Array.from({ length: count }, (_, i) => crash(i % 8, i));
          const culprits = new Set(picked.filter((i) => i < count));
          const fails = async (p: Scenario) => [...culprits].every((at) => p.events.some((e) => e.at_ms === at));
          const short = await shrink(plan({ events }), fails, 1_000);
          assert.deepEqual(
            short.events.map((e) => e.at_ms).sort((a, b) => a - b),
            [...culprits].sort((a, b) => a - b),
          );
        },
      ),
    );
  });

  it('leaves out nodes, epochs, liars and the faults of the link where they do not matter', async () => {
    const long = plan({
      link: { loss: 0.2, duplication: 0.1, reordering: 0.1, delay: 'exponential' },
      clocks: { drift: 0.1 },
      disk: { write_ms: 5 },
      byzantine: [
        { node: 1, kind: 'silent' },
        { node: 6, kind: 'withholding' },
      ],
      events: [crash(3, 10), crash(7, 20)],
    });
    const fails = async (p: Scenario) =>
      p.epochs >= 5 &&
      p.nodes >= 3 &&
      p.link.reordering > 0 &&
      p.byzantine.some((l) => l.kind === 'withholding') &&
      p.events.some((e) => e.at_ms === 20);
    const short = await shrink(long, fails);
    assert.ok(await fails(short));
    assert.deepEqual([short.nodes, short.byzantine.length, short.events.length, short.epochs], [3, 1, 1, 5]);
    assert.deepEqual(
      [short.link.loss, short.link.duplication, short.link.delay, short.clocks.drift, short.disk.write_ms],
      [0, 0, 'uniform', 0, 0],
    );
    assert.ok(short.byzantine.every((l) => l.node < 3) && short.events.every((e) => e.kind === 'crash' && e.node < 3));
  });

  it('stops when it has run often enough, with something that fails', async () => {
    let runs = 0;
    const fails = async (p: Scenario) => {
      runs++;
      return p.events.length >= 7;
    };
    const short = await shrink(plan({ events: Array.from({ length: 30 }, (_, i) => crash(1, i)) }), fails, 10);
    assert.deepEqual([runs, short.events.length >= 7], [10, true]);
  });

  it('renames nodes when one is left out', () => {
    const p = plan({
      events: [{ kind: 'partition', at_ms: 1, for_ms: 1, groups: [[2], [0, 3, 7]] }, crash(2, 5), crash(5, 6)],
      byzantine: [{ node: 4, kind: 'silent' }],
      forgetful: [2, 6],
    });
    const less = withoutNode(p, 2);
    assert.deepEqual(less.events, [{ kind: 'partition', at_ms: 1, for_ms: 1, groups: [[0, 2, 6]] }, crash(4, 6)]);
    assert.deepEqual([less.nodes, less.byzantine, less.forgetful], [7, [{ node: 3, kind: 'silent' }], [5]]);
    assert.deepEqual(parseScenario(less, 'still sound'), less);
  });
});
