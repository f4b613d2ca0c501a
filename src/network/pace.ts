import { setTimeout as delay } from 'node:timers/promises';
import { RateLimiter } from '@libp2p/utils';
import type { PeerId } from '../spec/index.ts';

export interface PaceLimits {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
}

/** What one peer may have served a second, over all its streams. Whoever asks for more is made to wait, not refused. */
export class Pace {
  readonly #requests: RateLimiter;
  readonly #bytes: RateLimiter;

  constructor(limits: PaceLimits) {
    this.#requests = new RateLimiter({ points: limits.requestsPerSecond, duration: 1 });
    this.#bytes = new RateLimiter({ points: limits.bytesPerSecond, duration: 1 });
  }

  async request(peer: PeerId, payloadBytes: number): Promise<void> {
    await consume(this.#requests, peer, 1);
    await consume(this.#bytes, peer, payloadBytes);
  }

  bytes(peer: PeerId, count: number): Promise<void> {
    return consume(this.#bytes, peer, count);
  }
}

async function consume(limiter: RateLimiter, peer: PeerId, points: number): Promise<void> {
  const waitMs = excessMs(limiter, peer, points);
  if (waitMs > 0) await delay(waitMs, undefined, { ref: false });
}

/** Ms until the current window ends if these points exceed it, else 0. */
export function excessMs(limiter: RateLimiter, peer: PeerId, points: number): number {
  try {
    limiter.consume(peer, points);
    return 0;
  } catch (error) {
    return Math.max(1, (error as { msBeforeNext?: number }).msBeforeNext ?? 1);
  }
}
