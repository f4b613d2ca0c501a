/** How long this process has kept everything else waiting. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Ms between looks at the clock: fifty a second cost nothing, and a turn half as long is nobody's trouble. */
const LOOK_MS = 20;
/** Ms of which the longest turn is told, at the least; at most twice as many. */
const WINDOW_MS = 60_000;
const NS_A_MS = 1e6;

export class LongestTurn implements Disposable {
  readonly #delay = monitorEventLoopDelay({ resolution: LOOK_MS });
  readonly #timer: NodeJS.Timeout;
  /** Of the window before. */
  #beforeMs = 0;

  constructor() {
    this.#delay.enable();
    this.#timer = setInterval(() => {
      this.#beforeMs = this.#nowMs;
      this.#delay.reset();
    }, WINDOW_MS).unref();
  }

  /** Of the last minute or two. A busy machine lengthens it, as it does everything. */
  get ms(): number {
    return Math.max(this.#beforeMs, this.#nowMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#delay.disable();
  }

  /** The time between two looks is what the histogram holds. */
  get #nowMs(): number {
    return this.#delay.count === 0 ? 0 : Math.max(0, this.#delay.max / NS_A_MS - LOOK_MS);
  }
}
