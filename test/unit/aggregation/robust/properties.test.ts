import assert from 'node:assert/strict';
import fc from 'fast-check';
import { aggregate, bytesOf, type WeighedRows } from '../../../../src/aggregation/index.ts';
import type { IntRow } from '../../../../src/compute/api.ts';
import { createReference } from '../../../../src/compute/index.ts';
import { AGGREGATION_RULES, type AggregationRule } from '../../../../src/spec/index.ts';
import { availableModes, onEach } from '../../../support/backends.ts';
import { honestRows, plainInput, reordered, weighed } from './inputs.ts';

const compute = createReference();
const run = (rule: AggregationRule, input: WeighedRows) => aggregate(rule, compute, input);
const modes = await availableModes();

/** Adds up what as many owners bring, round after round. */
function joint(owners: number): (partial: readonly bigint[]) => Promise<readonly bigint[]> {
  let round: { readonly brought: (readonly bigint[])[]; readonly done: PromiseWithResolvers<readonly bigint[]> } | undefined;
  return (partial) => {
    round ??= { brought: [], done: Promise.withResolvers() };
    const { brought, done } = round;
    brought.push(partial);
    if (brought.length === owners) {
      round = undefined;
      done.resolve(partial.map((_, p) => brought.reduce((sum, part) => sum + (part[p] as bigint), 0n)));
    }
    return done.promise;
  };
}

/** Ten rows of 5,000 integers over three scales, two of them far from the others. */
function mixed(seed: number): WeighedRows {
  const rows = [...honestRows(8, 5_000, (k) => (k % 300) - 150, 200, seed), ...honestRows(2, 5_000, () => 0, 32_767, seed + 1)];
  const spans = [
    { name: 'a', start: 0, end: 4_097 },
    { name: 'b', start: 4_097, end: 4_107 },
    { name: 'c', start: 4_107, end: 5_000 },
  ];
  return { rows, weights: rows.map((_, i) => 1 + 701 * i), spans, exponents: [-12, -9, -12] };
}

describe('every rule', () => {
  for (const rule of AGGREGATION_RULES) {
    it(`${rule}: does not depend on the order of the rows, where no two tie`, () =>
      fc.assert(
        fc.asyncProperty(weighed, fc.nat(), async (input, seed) => {
          // Five or more rows with noise have neither equal distances nor equal scores.
          const { rows } = plainInput(honestRows(5 + (seed % 4), 30, () => 0, 9_000, seed));
          const distinct = { ...plainInput(rows), weights: rows.map((_, i) => 10 + i) };
          assert.deepEqual(await run(rule, reordered(distinct, seed)), await run(rule, distinct));
          if (!rule.endsWith('krum')) assert.deepEqual(await run(rule, reordered(input, seed)), await run(rule, input));
        }),
      ));

    it(`${rule}: owners of segments find, each for its own, what one finds for the whole`, () =>
      fc.assert(
        fc.asyncProperty(weighed, fc.integer({ min: 1, max: 5 }), async (input, owners) => {
          const length = (input.rows[0] as IntRow).length;
          const add = joint(owners);
          const parts = await Promise.all(
            Array.from({ length: owners }, (_, owner) => {
              const [from, to] = [Math.floor((owner * length) / owners), Math.floor(((owner + 1) * length) / owners)];
              const within = (at: number): number => Math.min(Math.max(at, from), to) - from;
              return run(rule, {
                ...input,
                rows: input.rows.map((row) => row.subarray(from, to)),
                spans: input.spans.map(({ name, start, end }) => ({ name, start: within(start), end: within(end) })),
                join: add,
              });
            }),
          );
          const whole = await run(rule, input);
          assert.deepEqual(Int32Array.from(parts.flatMap(({ sum }) => Array.from(sum))), whole.sum);
          for (const { weightTotal } of parts) assert.equal(weightTotal, whole.weightTotal);
        }),
      ));

    it(`${rule}: stays within the rows, coordinate by coordinate, and within what a header holds`, () =>
      fc.assert(
        fc.asyncProperty(weighed, async (input) => {
          const { sum, weightTotal } = await run(rule, input);
          assert.ok(Number.isInteger(weightTotal) && weightTotal >= 1 && weightTotal <= 65_536);
          // Between steps a centre is rounded, by half an integer at most.
          const slack = rule === 'centred-clipping' ? 0.5 : 0;
          for (const [k, s] of sum.entries()) {
            const values = input.rows.map((row) => row[k] as number);
            assert.ok(s / weightTotal >= Math.min(...values) - slack && s / weightTotal <= Math.max(...values) + slack);
          }
        }),
      ));

    it(`${rule}: moves with its rows`, () =>
      fc.assert(
        fc.asyncProperty(weighed, fc.integer({ min: -9_000, max: 9_000 }), async (input, by) => {
          const small = { ...input, rows: input.rows.map((row) => Int16Array.from(row, (q) => q >> 1)) };
          const moved = { ...small, rows: small.rows.map((row) => row.map((q) => q + by)) };
          const [before, after] = [await run(rule, small), await run(rule, moved)];
          assert.equal(after.weightTotal, before.weightTotal);
          assert.deepEqual(
            after.sum,
            before.sum.map((s) => s + by * before.weightTotal),
          );
        }),
      ));

    it(`${rule}: scales that all grow by one factor change nothing`, () =>
      fc.assert(
        fc.asyncProperty(weighed, async (input) => {
          const exponents = input.exponents.map((e) => e + 7);
          assert.deepEqual(await run(rule, { ...input, exponents }), await run(rule, input));
        }),
      ));
  }

  onEach(modes, (mode, candidate) => {
    for (const rule of AGGREGATION_RULES) {
      it(`${rule}: the same bytes as the reference`, async () => {
        for (const input of [mixed(1), { ...mixed(2), rows: mixed(2).rows.map((row) => Int8Array.from(row, (q) => q >> 8)) }]) {
          const [expected, actual] = [await run(rule, input), await aggregate(rule, candidate(), input)];
          assert.equal(actual.weightTotal, expected.weightTotal);
          assert.ok(Buffer.from(bytesOf(actual.sum)).equals(Buffer.from(bytesOf(expected.sum))));
        }
        assert.deepEqual([...candidate().kernelModes()], [mode]);
      }).timeout(20_000);
    }
  });
});

describe('breakdown', () => {
  const LENGTH = 200;
  const SPREAD = 300;
  const centre = (k: number): number => 40 * (k % 100) - 2_000;
  const radius = SPREAD * Math.sqrt(LENGTH);
  const from = ({ sum, weightTotal }: { sum: Int32Array; weightTotal: number }): number =>
    Math.hypot(...Array.from(sum, (s, k) => s / weightTotal - centre(k)));
  const attacks: Record<string, (k: number) => number> = {
    'far away together': () => 32_767,
    'turned round': (k) => -10 * centre(k),
    'just outside': (k) => centre(k) + 2 * SPREAD,
  };

  for (const rule of AGGREGATION_RULES.filter((name) => name !== 'mean')) {
    for (const [name, attack] of Object.entries(attacks)) {
      it(`${rule}: bears ${name}, by 1 liar of 5 up to 21 of 64`, async () => {
        for (const [honest, liars] of [
          [4, 1],
          [5, 2],
          [7, 3],
          [43, 21],
        ] as const) {
          const rows = [...honestRows(honest, LENGTH, centre, SPREAD, honest), ...honestRows(liars, LENGTH, attack, 1, liars)];
          const result = await run(rule, plainInput(rows, 1_000));
          assert.ok(from(result) <= 2 * radius, `${from(result)} from the centre, radius ${radius}`);
        }
      });
    }
  }

  it('mean: one liar carries it away', async () => {
    const rows = [...honestRows(9, LENGTH, centre, SPREAD, 1), ...honestRows(1, LENGTH, () => 32_767, 0, 2)];
    assert.ok(from(await run('mean', plainInput(rows, 1_000))) > 5 * radius);
  });

  it('half of the rows are too many for every rule', async () => {
    for (const rule of AGGREGATION_RULES) {
      const rows = [...honestRows(4, LENGTH, centre, SPREAD, 1), ...honestRows(5, LENGTH, () => 32_767, 0, 2)];
      assert.ok(from(await run(rule, plainInput(rows, 1_000))) > 5 * radius, rule);
    }
  });
});
