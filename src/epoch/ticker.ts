import type { Timers } from './timers.ts';

/** Ms after which a tick that failed is tried again. */
const RETRY_MS = 1_000;

/** Ticks one at a time: one that is asked for while one runs comes right after it. */
export class Ticker {
  readonly #timers: Timers;
  readonly #tick: () => Promise<number>;
  readonly #failed: (error: unknown) => void;
  #running = false;
  #sooner = false;

  /** `tick` resolves with the ms until the next one. */
  constructor(timers: Timers, tick: () => Promise<number>, failed: (error: unknown) => void) {
    this.#timers = timers;
    this.#tick = tick;
    this.#failed = failed;
  }

  next(delayMs: number): void {
    if (this.#running) {
      this.#sooner = true;
      return;
    }
    this.#timers.once('tick', delayMs, () => void this.#run());
  }

  async #run(): Promise<void> {
    this.#running = true;
    this.#sooner = false;
    let nextMs = RETRY_MS;
    try {
      nextMs = await this.#tick();
    } catch (error) {
      this.#failed(error);
    }
    this.#running = false;
    this.next(this.#sooner ? 0 : nextMs);
  }
}
