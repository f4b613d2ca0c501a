/** Waits remembered: some hundred chunks, so that one epoch's links decide. */
const SAMPLES = 256;
/** Head room over the p95, so that the usual straggler is waited for. */
const HEADROOM = 2;

/**
 * How long a chunk is waited for: a moving p95 of what was needed, *late arrivals included* (PROTOCOL section 6, Drops), within
 * bounds. Leaving the late ones out would shrink the deadline with every one it cuts off.
 */
export class ChunkDeadline {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #waits: number[] = [];

  constructor(bounds: { readonly minMs: number; readonly maxMs: number }) {
    this.#minMs = bounds.minMs;
    this.#maxMs = bounds.maxMs;
  }

  /** A chunk was awaited for that long. */
  needed(ms: number): void {
    this.#waits.push(Math.max(0, ms));
    if (this.#waits.length > SAMPLES) this.#waits.shift();
  }

  /** Ms. Before anything was measured, the upper bound. */
  get ms(): number {
    if (this.#waits.length === 0) return this.#maxMs;
    const sorted = [...this.#waits].sort((a, b) => a - b);
    const p95 = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))] as number;
    return Math.min(this.#maxMs, Math.max(this.#minMs, HEADROOM * p95));
  }
}
