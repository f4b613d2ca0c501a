import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  butterflyPlan,
  chunkRange,
  chunksOf,
  gridOf,
  gridPlan,
  type Plan,
  type Range,
  ringOf,
  type Summands,
} from '../../../../src/aggregation/schedule/index.ts';
import { sis } from '../../../../src/crypto/index.ts';
import { EarlyCommitment } from '../../../../src/epoch/exchange/early.ts';
import { VirtualClock } from '../../../../src/simulation/clock.ts';

const SEED = new Uint8Array(32).fill(7);

describe('the commitment of a sum that is made while the sum comes in', () => {
  /** As many chunks as the plan of rank 0 has, taken in in the order that `pick` makes; what is not final yet holds other values. */
  async function committed(plan: Plan, sum: Int32Array, unit: number, pick: (count: number) => number) {
    const clock = new VirtualClock();
    const held = sum.map((value) => value + 1);
    const over = new AbortController();
    const early = new EarlyCommitment({
      clock,
      seed: SEED,
      length: sum.length,
      receives: plan.receives,
      part: ({ start, end }) => held.subarray(start, end),
      signal: over.signal,
    });
    const due = new Int32Array(sum.length);
    const add = ({ start, end }: Range, n: number) => {
      for (let i = start; i < end; i++) {
        due[i] = (due[i] as number) + n;
        if (due[i] === 0) held[i] = sum[i] as number;
      }
    };
    for (const transfer of plan.receives) add(transfer, 1);
    for (let i = 0; i < sum.length; i++) if (due[i] === 0) held[i] = sum[i] as number;
    const left = plan.receives.flatMap((transfer) => Array.from({ length: chunksOf(transfer) }, (_, chunk) => chunkRange(transfer, chunk)));
    while (left.length > 0) {
      const [range] = left.splice(pick(left.length), 1) as [Range];
      add(range, -1);
      early.stored(range);
      if (left.length % 3 === 0) await clock.runUntil(() => false, clock.nowMs() + 1);
    }
    const finished = early.finish(unit);
    await clock.runUntil(() => false, clock.nowMs() + 1_000);
    return finished;
  }

  const wanted = (sum: Int32Array, unit: number) =>
    sis.commitRange(
      SEED,
      sis.RHO_BLOCKS,
      sum.map((value) => value * unit),
    );

  it('is that of the whole sum, whatever the schedule, the lengths and the order', async () => {
    const cases = fc.record({
      schedule: fc.constantFrom('ring', 'grid', 'butterfly'),
      members: fc.integer({ min: 1, max: 11 }),
      elements: fc.constantFrom(0, 1, 2_047, 2_048, 2_049, 70_000, 300_001),
      unit: fc.integer({ min: 1, max: 256 }),
      picks: fc.infiniteStream(fc.nat()),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ schedule, members, elements, unit, picks }) => {
        const summands: Summands = { elements, weights: Array<number>(members).fill(1), qmax: 32_767 };
        const grid = schedule === 'grid' ? gridOf(members) : ringOf(members);
        for (const rank of new Set([0, members - 1])) {
          const plan = schedule === 'butterfly' ? butterflyPlan(rank, summands) : gridPlan(grid, rank, summands);
          const sum = Int32Array.from({ length: elements }, (_, i) => ((i * 7_919) % 65_535) - 32_767);
          const early = await committed(plan, sum, unit, (count) => (picks.next().value as number) % count);
          assert.deepEqual(early, wanted(sum, unit));
        }
      }),
      { numRuns: 40 },
    );
  }).timeout(60_000);
});
