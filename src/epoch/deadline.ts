import type { Genesis } from '../spec/index.ts';

/** Arrivals remembered: a few epochs of a mid-sized swarm. */
const SAMPLES = 64;
/** Head room over the p95, so that the usual straggler is waited for. */
const HEADROOM = 1.5;

/**
 * The adaptive deadline (PROTOCOL section 6): a moving p95 of how long after an epoch's start contributions came,
 * late ones included, within the bounds of the genesis. Local to a node: rosters are negotiated, not timed.
 */
export class AdaptiveDeadline {
  readonly #bounds: Pick<Genesis, 'minDeadlineMs' | 'epochDeadlineMs'>;
  readonly #arrivals: number[] = [];

  constructor(bounds: Pick<Genesis, 'minDeadlineMs' | 'epochDeadlineMs'>) {
    this.#bounds = bounds;
  }

  /** A contribution came `afterMs` after its epoch's start. */
  arrived(afterMs: number): void {
    this.#arrivals.push(Math.max(0, afterMs));
    if (this.#arrivals.length > SAMPLES) this.#arrivals.shift();
  }

  /** Ms from an epoch's start. Before anything was measured, the longest the genesis allows. */
  get ms(): number {
    const { minDeadlineMs, epochDeadlineMs } = this.#bounds;
    if (this.#arrivals.length === 0) return epochDeadlineMs;
    const sorted = [...this.#arrivals].sort((a, b) => a - b);
    const p95 = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))] as number;
    return Math.min(epochDeadlineMs, Math.max(minDeadlineMs, HEADROOM * p95));
  }
}
