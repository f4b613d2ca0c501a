import type { Clock, Timer } from '../epoch/ports.ts';

interface Scheduled {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/**
 * Virtual time. Events run in order of (time, scheduling), and time moves only between them, after everything
 * that an event set off in promises has come to rest: so a run is a function of its seed.
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #heap: Scheduled[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  /** Simulated days begin at 2026-01-01. */
  wallMs(): number {
    return 1_767_225_600_000 + Math.floor(this.#nowMs);
  }

  after(delayMs: number, run: () => void): Timer {
    const event: Scheduled = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(event);
    return {
      cancel: () => {
        event.run = undefined;
      },
    };
  }

  /** Runs until `done` holds (true) or virtual time passes `untilMs` (false). */
  async runUntil(done: () => boolean, untilMs: number): Promise<boolean> {
    for (;;) {
      await settle();
      if (done()) return true;
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return false;
      }
      this.#pop();
      if (next.run === undefined) continue;
      this.#nowMs = next.atMs;
      next.run();
    }
  }

  #before(a: Scheduled, b: Scheduled): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #push(event: Scheduled): void {
    const heap = this.#heap;
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#before(heap[parent] as Scheduled, event)) break;
      heap[i] = heap[parent] as Scheduled;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Scheduled;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1] as Scheduled, heap[child] as Scheduled)) child++;
      if (this.#before(last, heap[child] as Scheduled)) break;
      heap[i] = heap[child] as Scheduled;
      i = child;
    }
    heap[i] = last;
  }
}

/** How far one machine's clock is wrong. */
export interface Skew {
  /** Its milliseconds for one true one: 1.05 runs five percent fast. */
  readonly rate: number;
  /** Ms by which its date is wrong. */
  readonly wallOffsetMs: number;
}

export const TRUE_TIME: Skew = { rate: 1, wallOffsetMs: 0 };

/** Ms. A timer never fires before its own clock says so, whatever rounding does: an early one would be set again for ever. */
const LATE_MS = 0.001;

/** The clock of one process on one machine: skewed, and silent once the process is dead. */
export class ProcessClock implements Clock {
  readonly #true: Clock;
  readonly #skew: Skew;
  readonly #isAlive: () => boolean;
  readonly #onThrow: (error: unknown) => void;

  /** `onThrow`: what a callback threw, which would end a real process. */
  constructor(base: Clock, skew: Skew, isAlive: () => boolean, onThrow: (error: unknown) => void) {
    this.#true = base;
    this.#skew = skew;
    this.#isAlive = isAlive;
    this.#onThrow = onThrow;
  }

  nowMs(): number {
    return this.#true.nowMs() * this.#skew.rate;
  }

  wallMs(): number {
    return Math.floor(this.#true.wallMs() + this.#true.nowMs() * (this.#skew.rate - 1) + this.#skew.wallOffsetMs);
  }

  after(delayMs: number, run: () => void): Timer {
    const trueMs = this.#skew.rate === 1 ? delayMs : delayMs / this.#skew.rate + LATE_MS;
    return this.#true.after(trueMs, () => {
      if (!this.#isAlive()) return;
      try {
        run();
      } catch (error) {
        this.#onThrow(error);
      }
    });
  }
}

/** A turn of the event loop: every promise that can resolve without virtual time has resolved afterwards. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
