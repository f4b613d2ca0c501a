import type { Clock } from '../epoch/ports.ts';

/** Ms of sending at full rate that an idle node may save up: enough that timers which wake late cost nothing. */
const BURST_MS = 200;

/**
 * A bound on what this node sends, over all peers and streams: a token bucket. Everything that leaves is charged; what can wait
 * (requests, answers, notifications) waits for its turn, so that gossip and pings, which are small, go first. A frame leaves whole,
 * and is paid for by those after it.
 */
export class Uplink {
  readonly #clock: Pick<Clock, 'nowMs' | 'after'>;
  readonly #bytesPerMs: number;
  /** Bytes that may leave now; below zero, what is still owed. */
  #level: number;
  #atMs: number;
  readonly #waiting: (() => void)[] = [];
  #isTimed = false;

  /** @param kbit 1,000 bits a second. */
  constructor(kbit: number, clock: Pick<Clock, 'nowMs' | 'after'>) {
    this.#clock = clock;
    this.#bytesPerMs = kbit / 8;
    this.#level = this.#bytesPerMs * BURST_MS;
    this.#atMs = clock.nowMs();
  }

  /** So many bytes left this node, whoever sent them. */
  spent(bytes: number): void {
    this.#refill();
    this.#level -= bytes;
  }

  /** Runs `send` once those before it went and nothing is owed; what it sends MUST be told by `spent` before it returns. */
  turn<T>(send: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(send());
        } catch (error) {
          reject(error);
        }
      });
      this.#serve();
    });
  }

  #serve(): void {
    if (this.#isTimed) return;
    this.#refill();
    while (this.#level >= 0) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next();
    }
    if (this.#waiting.length === 0) return;
    this.#isTimed = true;
    this.#clock.after(Math.max(1, -this.#level / this.#bytesPerMs), () => {
      this.#isTimed = false;
      this.#serve();
    });
  }

  #refill(): void {
    const nowMs = this.#clock.nowMs();
    this.#level = Math.min(this.#bytesPerMs * BURST_MS, this.#level + (nowMs - this.#atMs) * this.#bytesPerMs);
    this.#atMs = nowMs;
  }
}
