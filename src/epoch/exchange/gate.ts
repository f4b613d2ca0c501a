/** Requests for an attempt that is not certified here yet: its certificate may be on its way. */
import type { Hex } from '../../spec/index.ts';
import type { Clock } from '../ports.ts';
import type { Ballots } from './ballots.ts';
import { pause } from './world.ts';

/** Requests that wait at once, each with a chunk at most, and ms that each waits: several dissemination times of a vote. */
const MAX_WAITING = 64;
const WAIT_MS = 1_000;
/** Ms between looks. */
const LOOK_MS = 25;

export class Gate {
  readonly #clock: Clock;
  readonly #ballots: Ballots;
  #waiting = 0;

  constructor(clock: Clock, ballots: Ballots) {
    this.#clock = clock;
    this.#ballots = ballots;
  }

  /** Whether the attempt is certified, or becomes so soon. */
  async opens(attempt: Hex): Promise<boolean> {
    if (this.#ballots.isCertified(attempt) || this.#waiting >= MAX_WAITING) return this.#ballots.isCertified(attempt);
    this.#waiting++;
    const untilMs = this.#clock.nowMs() + WAIT_MS;
    while (!this.#ballots.isCertified(attempt) && this.#clock.nowMs() < untilMs) await pause(this.#clock, LOOK_MS);
    this.#waiting--;
    return this.#ballots.isCertified(attempt);
  }
}
