import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ProcessClock, VirtualClock } from '../../../src/simulation/clock.ts';

const never = (): boolean => false;

describe('the virtual clock', () => {
  it('runs events by time, and in the order they were set where times are equal', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(20), { maxLength: 40 }),
        fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
        async (delays, cancelled) => {
          const clock = new VirtualClock();
          const ran: number[] = [];
          const timers = delays.map((delayMs, i) =>
            clock.after(delayMs, () => {
              assert.equal(clock.nowMs(), delayMs);
              ran.push(i);
            }),
          );
          for (const [i, timer] of timers.entries()) if (cancelled[i]) timer.cancel();
          await clock.runUntil(never, 100);
          const expected = delays
            .map((ms, i) => ({ ms, i }))
            .filter(({ i }) => !cancelled[i])
            .sort((a, b) => a.ms - b.ms || a.i - b.i)
            .map(({ i }) => i);
          assert.deepEqual(ran, expected);
          assert.equal(clock.nowMs(), 100);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('runs what events set in turn, those of this very moment too', async () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.after(5, () => {
      ran.push('a');
      clock.after(0, () => ran.push('b'));
      clock.after(-7, () => ran.push('c'));
      clock.after(10, () => ran.push('d'));
    });
    clock.after(5, () => ran.push('e'));
    await clock.runUntil(never, 14);
    assert.deepEqual(ran, ['a', 'e', 'b', 'c']);
    await clock.runUntil(never, 15);
    assert.deepEqual(ran.at(-1), 'd');
  });

  it('goes on only when all promises have come to rest', async () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.after(1, () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await Promise.resolve();
        ran.push('promises');
      })();
    });
    clock.after(2, () => ran.push('next'));
    await clock.runUntil(never, 10);
    assert.deepEqual(ran, ['promises', 'next']);
  });

  it('stops where it is asked to, and says whether', async () => {
    const clock = new VirtualClock();
    let count = 0;
    for (let ms = 10; ms <= 100; ms += 10) clock.after(ms, () => count++);
    assert.equal(await clock.runUntil(() => count === 3, 1_000), true);
    assert.deepEqual([clock.nowMs(), count], [30, 3]);
    assert.equal(await clock.runUntil(() => count === 30, 55), false);
    assert.deepEqual([clock.nowMs(), count], [55, 5]);
    assert.equal(await clock.runUntil(() => true, 0), true);
    assert.equal(clock.nowMs(), 55, 'time never goes back');
  });

  it('does not let a cancelled event move time', async () => {
    const clock = new VirtualClock();
    clock.after(50, () => assert.fail('cancelled')).cancel();
    assert.equal(await clock.runUntil(() => clock.nowMs() === 50, 60), false);
    let at = 0;
    clock.after(10, () => {
      at = clock.nowMs();
    });
    await clock.runUntil(() => at > 0, 1_000);
    assert.equal(at, 70);
  });

  it('tells the wall time of a simulated day', async () => {
    const clock = new VirtualClock();
    assert.equal(new Date(clock.wallMs()).toISOString(), '2026-01-01T00:00:00.000Z');
    await clock.runUntil(never, 1_500);
    assert.equal(new Date(clock.wallMs()).toISOString(), '2026-01-01T00:00:01.500Z');
  });
});

const rethrow = (error: unknown): void => {
  throw error;
};

describe("a machine's clock", () => {
  it('runs fast or slow, is wrong about the date, and never wakes anyone early by its own count', async () => {
    for (const rate of [0.95, 1, 1.1]) {
      const clock = new VirtualClock();
      const own = new ProcessClock(clock, { rate, wallOffsetMs: -5_000 }, () => true, rethrow);
      const woken: number[] = [];
      for (let i = 1; i <= 200; i++) {
        const atMs = i * 7.3;
        own.after(atMs, () => woken.push(own.nowMs() - atMs));
      }
      await clock.runUntil(() => false, 2_000);
      assert.equal(woken.length, 200);
      for (const lateMs of woken) assert.ok(lateMs >= 0 && lateMs < 0.01, `${lateMs}`);
      assert.ok(Math.abs(own.nowMs() - 2_000 * rate) < 1e-6);
      assert.equal(own.wallMs(), Math.floor(clock.wallMs() + 2_000 * (rate - 1) - 5_000));
    }
  });

  it('wakes nobody in a dead process', async () => {
    const clock = new VirtualClock();
    let alive = true;
    const own = new ProcessClock(clock, { rate: 1, wallOffsetMs: 0 }, () => alive, rethrow);
    let rings = 0;
    for (const atMs of [10, 20, 30]) own.after(atMs, () => rings++);
    await clock.runUntil(() => rings === 1, 100);
    alive = false;
    await clock.runUntil(() => false, 100);
    assert.equal(rings, 1);
  });

  it('hands on what a callback throws, and runs on', async () => {
    const clock = new VirtualClock();
    const thrown: unknown[] = [];
    const own = new ProcessClock(
      clock,
      { rate: 1, wallOffsetMs: 0 },
      () => true,
      (error) => thrown.push(error),
    );
    const problem = new Error('a bad day');
    own.after(10, () => {
      throw problem;
    });
    let later = false;
    own.after(20, () => {
      later = true;
    });
    await clock.runUntil(() => false, 100);
    assert.deepEqual([thrown, later], [[problem], true]);
  });
});
