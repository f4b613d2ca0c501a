import { randomFillSync } from 'node:crypto';
import type { Clock, Entropy } from '../epoch/index.ts';

/** From the operating system's generator, in a buffer of its own: typed views need no alignment to be looked after. */
export const randomBytes = (length: number): Uint8Array => randomFillSync(new Uint8Array(length));

export const systemEntropy: Entropy = { bytes: randomBytes, uniform: () => Math.random() };

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, run) {
    if (delayMs <= 0) {
      // A timer waits a millisecond at least: long work in thousands of turns would take seconds for nothing.
      const turn = setImmediate(run);
      return { cancel: () => clearImmediate(turn) };
    }
    const dueMs = performance.now() + delayMs;
    // libuv counts whole milliseconds from when its loop last looked, so its timers fire early, and a deadline would be missed.
    const wake = (): void => {
      const leftMs = dueMs - performance.now();
      if (leftMs > 0) timer = setTimeout(wake, Math.ceil(leftMs));
      else run();
    };
    let timer = setTimeout(wake, Math.ceil(delayMs));
    return { cancel: () => clearTimeout(timer) };
  },
};
