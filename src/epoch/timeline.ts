import type { Clock } from './ports.ts';

export const STEPS = ['submit', 'prepare', 'commit', 'publish', 'verify', 'roster', 'average', 'audit', 'finalise', 'apply'] as const;
/** The ten steps of an epoch (DESIGN section 1). */
export type StepName = (typeof STEPS)[number];

export interface Mark {
  readonly step: StepName;
  /** Ms since the epoch's first event on this node. */
  readonly atMs: number;
  readonly tookMs?: number;
}

/** Epochs whose steps are remembered. */
const EPOCHS_KEPT = 64;

/** When each step of the last epochs happened here: what `epoch_get` shows and the overhead bench reads. */
export class Timeline {
  readonly #clock: Clock;
  readonly #started = new Map<number, number>();
  readonly #marks = new Map<number, Mark[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A step that began at `sinceMs` (monotonic) and ended now, or that happened now. */
  mark(epoch: number, step: StepName, sinceMs?: number): void {
    const nowMs = this.#clock.nowMs();
    const startedMs = this.#started.get(epoch) ?? sinceMs ?? nowMs;
    this.#started.set(epoch, startedMs);
    const marks = this.#marks.get(epoch) ?? [];
    const atMs = (sinceMs ?? nowMs) - startedMs;
    marks.push(sinceMs === undefined ? { step, atMs } : { step, atMs, tookMs: nowMs - sinceMs });
    this.#marks.set(epoch, marks);
    for (const old of this.#marks.keys()) {
      if (old > epoch - EPOCHS_KEPT) break;
      this.#marks.delete(old);
      this.#started.delete(old);
    }
  }

  of(epoch: number): readonly Mark[] {
    return this.#marks.get(epoch) ?? [];
  }
}
