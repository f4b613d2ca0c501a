import assert from 'node:assert/strict';
import { systemClock } from '../../../src/node/random.ts';

describe('the system clock', () => {
  it('never fires before the delay is over, by its own measure', async () => {
    // A busy loop turn is what makes the event loop's own timers early.
    const early = Array.from(
      { length: 100 },
      (_, i) =>
        new Promise<number>((resolve) => {
          const delayMs = 5 + 0.37 * i;
          const dueMs = systemClock.nowMs() + delayMs;
          systemClock.after(delayMs, () => resolve(Math.max(0, dueMs - systemClock.nowMs())));
        }),
    );
    const endMs = performance.now() + 4;
    while (performance.now() < endMs);
    assert.deepEqual(new Set(await Promise.all(early)), new Set([0]));
  });

  it('does not fire once cancelled', async () => {
    let fired = false;
    systemClock
      .after(1, () => {
        fired = true;
      })
      .cancel();
    await new Promise<void>((resolve) => systemClock.after(5, resolve));
    assert.equal(fired, false);
  });
});
