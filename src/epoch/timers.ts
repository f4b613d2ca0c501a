import type { Clock, Timer } from './ports.ts';

/** Named timers: setting one again replaces it, and after `stop` none is ever set. */
export class Timers {
  readonly #clock: Clock;
  readonly #timers = new Map<string, Timer>();
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  once(name: string, delayMs: number, run: () => void): void {
    if (this.#stopped) return;
    this.cancel(name);
    this.#timers.set(name, this.#clock.after(Math.max(0, delayMs), run));
  }

  /** Runs again a while after each run has ended; `delayMs` is asked each time. `run` MUST NOT reject. */
  every(name: string, delayMs: () => number, run: () => Promise<void>): void {
    this.once(name, delayMs(), () => {
      void run().finally(() => this.every(name, delayMs, run));
    });
  }

  cancel(name: string): void {
    this.#timers.get(name)?.cancel();
    this.#timers.delete(name);
  }

  stop(): void {
    this.#stopped = true;
    for (const name of [...this.#timers.keys()]) this.cancel(name);
  }
}
