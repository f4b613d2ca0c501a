import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parse } from 'smol-toml';
import { lastFaultMs, planOf, skewOf } from '../../../src/simulation/plan.ts';
import { formatScenario, LIAR_KINDS, parseScenario, type Scenario } from '../../../src/simulation/scenario.ts';
import { loadScenario, scenarioNames } from '../../../src/simulation/scenarios.ts';
import type { StarlingError } from '../../../src/spec/index.ts';

const scenario = (table: object = {}): Scenario => parseScenario({ name: 'test', ...table }, 'a test');
const fails = (run: () => unknown, code: string, words: RegExp): void =>
  assert.throws(run, (e) => (e as StarlingError).code === code && words.test((e as StarlingError).message));

const faults = fc.record({
  within_ms: fc.integer({ min: 0, max: 60_000 }),
  partitions: fc.nat(5),
  crashes: fc.nat(5),
  wipes: fc.nat(3),
  joins: fc.nat(5),
  byzantine: fc.oneof(fc.nat(3), fc.constant('f' as const)),
});

describe('a scenario', () => {
  it('of this package is one of the promised, and reads', () => {
    const promised = ['byzantine', 'calm', 'churn', 'crash', 'everything', 'lossy', 'partition'];
    assert.deepEqual(scenarioNames(), promised);
    for (const name of promised) assert.equal(loadScenario(name).name, name);
    const { nodes, epochs } = loadScenario('calm', { nodes: 9, epochs: 3 });
    assert.deepEqual([nodes, epochs], [9, 3]);
  });

  it('everything.toml names every key there is', () => {
    const keysOf = (value: object, at = ''): string[] =>
      Object.entries(value).flatMap(([key, v]) =>
        typeof v === 'object' && !Array.isArray(v) ? keysOf(v, `${at}${key}.`) : [`${at}${key}`],
      );
    const known = keysOf(scenario()).filter((key) => !['events', 'byzantine', 'forgetful'].includes(key));
    const table = loadScenario('everything');
    assert.deepEqual(
      keysOf(table)
        .filter((key) => !['events', 'byzantine', 'forgetful'].includes(key))
        .sort(),
      known.sort(),
    );
  });

  it('says what is wrong with it', () => {
    fails(() => scenario({ nodes: 0 }), 'BAD_CONFIG', /nodes/);
    fails(() => scenario({ name: 'Not this' }), 'BAD_CONFIG', /name/);
    fails(() => scenario({ link: { loss: 2 } }), 'BAD_CONFIG', /link\.loss/);
    fails(() => scenario({ link: { min_delay_ms: 9 } }), 'BAD_CONFIG', /min_delay_ms/);
    fails(() => scenario({ faults: { colour: 1 } }), 'BAD_CONFIG', /colour/);
    fails(() => scenario({ train_ms: [5, 2] }), 'BAD_CONFIG', /train_ms/);
    fails(() => scenario({ nodes: 3, byzantine: [{ node: 3, kind: 'silent' }] }), 'BAD_CONFIG', /node 3 of 3/);
    fails(() => scenario({ events: [{ kind: 'join', at_ms: 1, node: 7 }] }), 'BAD_CONFIG', /node 7 of 4/);
    fails(() => scenario({ byzantine: [{ node: 1, kind: 'rude' }] }), 'BAD_CONFIG', /byzantine/);
    fails(() => loadScenario('no-such'), 'BAD_USAGE', /no-such/);
    fails(() => loadScenario('calm', { nodes: 10_000 }), 'BAD_USAGE', /nodes/);
  });

  it('is the same again after it was written down, plans included', () => {
    fc.assert(
      fc.property(faults, fc.integer({ min: 1, max: 12 }), fc.nat(1000), (drawn, nodes, seed) => {
        const plan = planOf(scenario({ nodes, faults: drawn }), seed);
        assert.deepEqual(parseScenario(parse(formatScenario(plan)), 'again'), plan);
      }),
    );
  });
});

describe('a plan', () => {
  it('follows from scenario and seed, and a plan of a plan is itself', () => {
    const drawn = scenario({ nodes: 7, faults: { partitions: 2, crashes: 3, wipes: 1, joins: 1, byzantine: 'f' } });
    const plan = planOf(drawn, 5);
    assert.deepEqual(planOf(drawn, 5), plan);
    assert.deepEqual(planOf(plan, 5), plan);
    assert.notDeepEqual(planOf(drawn, 6).events, plan.events);
    assert.deepEqual(
      ['partition', 'crash', 'wipe', 'join'].map((kind) => plan.events.filter((e) => e.kind === kind).length),
      [2, 3, 1, 1],
    );
    assert.equal(plan.byzantine.length, 0, 'the lost disk counts as one, and six bear one');
  });

  it('never asks more of a committee than it bears, nor of a node that is not there', () => {
    fc.assert(
      fc.property(faults, fc.integer({ min: 1, max: 12 }), fc.nat(1000), (drawn, nodes, seed) => {
        const plan = planOf(scenario({ nodes, faults: drawn }), seed);
        const liars = plan.byzantine.map((l) => l.node);
        const joins = plan.events.filter((e) => e.kind === 'join').length;
        assert.equal(new Set(liars).size, liars.length, 'one kind a node');
        if (drawn.byzantine === 'f') assert.ok(liars.length <= Math.floor((nodes - joins - 1) / 3) - drawn.wipes || liars.length === 0);
        const late = plan.events.flatMap((e) => (e.kind === 'join' ? [e.node] : []));
        assert.ok(!late.includes(0) && (late.length === 0 || nodes - late.length >= 4));
        for (const event of plan.events) {
          assert.ok(event.at_ms >= 0 && event.at_ms <= drawn.within_ms);
          if (event.kind === 'crash' || event.kind === 'wipe') assert.ok(!late.includes(event.node) && !liars.includes(event.node));
          if (event.kind === 'partition')
            assert.deepEqual(
              event.groups.flat().sort((a, b) => a - b),
              [...Array(nodes).keys()],
            );
        }
      }),
    );
  });

  it('knows when the last fault is over', () => {
    const events = [
      { kind: 'partition', at_ms: 100, for_ms: 900, groups: [[0]] },
      { kind: 'join', at_ms: 500, node: 1 },
    ];
    assert.deepEqual([lastFaultMs(scenario()), lastFaultMs(scenario({ events }))], [0, 1_000]);
  });

  it('has as many liars as the quorum bears', () => {
    const liars = (nodes: number, joins = 0, wipes = 0) =>
      planOf(scenario({ nodes, faults: { byzantine: 'f', joins, wipes } }), 1).byzantine.length;
    assert.deepEqual(
      [liars(1), liars(3), liars(4), liars(7), liars(10), liars(8, 1), liars(7, 1), liars(7, 0, 1)],
      [0, 0, 1, 2, 3, 2, 1, 1],
    );
  });

  it('gives each kind of liar its turn', () => {
    const kinds = new Set(Array.from({ length: 60 }, (_, seed) => planOf(loadScenario('byzantine'), seed).byzantine[0]?.kind));
    assert.deepEqual([...kinds].sort(), [...LIAR_KINDS].sort());
  });

  it('skews clocks within its bounds, each its own way', () => {
    const plan = planOf(scenario({ clocks: { drift: 0.05, wall_ms: 1_000 } }), 3);
    const skews = Array.from({ length: 50 }, (_, i) => skewOf(plan, i));
    for (const { rate, wallOffsetMs } of skews) assert.ok(Math.abs(rate - 1) <= 0.05 && Math.abs(wallOffsetMs) <= 1_000);
    assert.ok(new Set(skews.map((s) => s.rate)).size === 50 && skews.some((s) => s.rate > 1.02) && skews.some((s) => s.rate < 0.98));
  });
});
