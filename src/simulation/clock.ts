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
    return 1_767_225_600_000 + this.#nowMs;
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

/** A turn of the event loop: every promise that can resolve without virtual time has resolved afterwards. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
