import { randomBytes as nodeRandomBytes } from 'node:crypto';
import type { Clock, Entropy } from '../epoch/index.ts';

/** From the operating system's generator. */
export const randomBytes = (length: number): Uint8Array => {
  // A copy with a buffer of its own: Node cuts small ones out of a shared pool, where typed views would misalign.
  return Uint8Array.from(nodeRandomBytes(length));
};

export const systemEntropy: Entropy = { bytes: randomBytes, uniform: () => Math.random() };

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, run) {
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
