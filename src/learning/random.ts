import { hashWithDomain, utf8 } from '../crypto/hash.ts';

/**
 * A seeded stream of pseudo-random numbers: xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", ACM TOMS 47(4), 2021). Learning repeats from its seed; keys never come from here.
 */
export class Random {
  /** Four words in [0, 2^32). */
  readonly #s: [number, number, number, number];
  #spareNormal: number | undefined;

  /** `state`: four 32-bit words, not all zero. */
  constructor(state: readonly [number, number, number, number]) {
    const [a, b, c, d] = state;
    this.#s = [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
  }

  /** An independent stream for each list of parts, e.g. `Random.from(seed, 'shard', index)`. */
  static from(...parts: readonly (string | number)[]): Random {
    const digest = hashWithDomain('starling/learning/random/1', utf8(JSON.stringify(parts)));
    const view = new DataView(digest.buffer, digest.byteOffset);
    return new Random([view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true), view.getUint32(12, true)]);
  }

  /** Uniform integer in [0, 2^32). */
  uint32(): number {
    const s = this.#s;
    const result = Math.imul(rotateLeft(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] = (s[1] ^ s[2]) >>> 0;
    s[0] = (s[0] ^ s[3]) >>> 0;
    s[2] = (s[2] ^ t) >>> 0;
    s[3] = rotateLeft(s[3], 11) >>> 0;
    return result;
  }

  /** Uniform in [0, 1), 32 bits of resolution. */
  uniform(): number {
    return this.uint32() / 2 ** 32;
  }

  /** Uniform integer in [0, n), 1 <= n <= 2^32. Without modulo bias: draws above the last multiple of n are redrawn. */
  below(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n);
    let draw = this.uint32();
    while (draw >= limit) draw = this.uint32();
    return draw % n;
  }

  /** Standard normal, by Box and Muller (1958); the second of each pair is kept for the next call. */
  normal(): number {
    if (this.#spareNormal !== undefined) {
      const spare = this.#spareNormal;
      this.#spareNormal = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /**
   * Natural logarithm of a Gamma(alpha, 1) variate, by Marsaglia and Tsang (ACM TOMS 26(3), 2000); below
   * alpha = 1 their boost U^(1/alpha). The logarithm, because a small alpha would underflow to zero.
   */
  logGamma(alpha: number): number {
    if (alpha < 1) return this.logGamma(alpha + 1) + Math.log(1 - this.uniform()) / alpha;
    const d = alpha - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v <= 0) continue;
      const u = 1 - this.uniform();
      if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return Math.log(d * v);
    }
  }

  /** A point of the symmetric Dirichlet(alpha) over k categories: k shares that add up to 1. alpha > 0. */
  dirichlet(alpha: number, k: number): Float64Array {
    const logs = Float64Array.from({ length: k }, () => this.logGamma(alpha));
    const most = logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const shares = logs.map((log) => Math.exp(log - most));
    const total = shares.reduce((a, b) => a + b, 0);
    return shares.map((share) => share / total);
  }

  /** Fisher and Yates, in place (Knuth, TAOCP 2, algorithm P). Returns its argument. */
  shuffle<T extends Uint32Array | number[]>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = items[i] as number;
      items[i] = items[j] as number;
      items[j] = kept;
    }
    return items;
  }

  /** The numbers 0..n-1 in random order. */
  permutation(n: number): Uint32Array {
    return this.shuffle(Uint32Array.from({ length: n }, (_, i) => i));
  }
}

const rotateLeft = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
