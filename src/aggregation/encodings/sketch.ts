/**
 * A linear sketch of an update (count sketch: Charikar, Chen and Farach-Colton, 2002), modulo 2^32. Sketches add up: the sum of the
 * members' is the sketch of their sum, to the bit, and stays so under masks that cancel modulo 2^32, so nobody needs to see a single
 * one. From it any coordinate can be estimated: off by about the norm of the rest over the root of the width.
 */
import { hashWithDomain } from '../../crypto/index.ts';
import { StarlingError } from '../../spec/index.ts';
import { DOMAINS } from '../../wire/index.ts';

export interface SketchShape {
  /** Rows, odd: an estimate is their median. */
  readonly depth: number;
  /** Buckets a row, a power of two. */
  readonly width: number;
}

/** Where each coordinate counts, and with which sign: known to all from the epoch's beacon, and to nobody before it. */
export class Sketcher {
  readonly #shape: SketchShape;
  readonly #keys: Uint32Array;

  /** Throws MALFORMED for a shape that is none. */
  constructor(beacon: Uint8Array, shape: SketchShape) {
    const { depth, width } = shape;
    if (!Number.isSafeInteger(depth) || depth % 2 !== 1 || depth < 1 || depth > 15 || !isPowerOfTwo(width))
      throw new StarlingError('MALFORMED', `a sketch of ${depth} x ${width}`, { field: 'shape', phase: 'average' });
    this.#shape = shape;
    this.#keys = Uint32Array.from({ length: depth }, (_, row) => {
      const key = hashWithDomain(DOMAINS.sketch, beacon, Uint8Array.of(row));
      return new DataView(key.buffer, key.byteOffset).getUint32(0);
    });
  }

  /** depth x width sums of the integers, modulo 2^32. */
  sketch(values: Int32Array | Int16Array | Int8Array): Uint32Array {
    const { width } = this.#shape;
    const sums = new Uint32Array(this.#keys.length * width);
    this.#keys.forEach((key, row) => {
      for (let k = 0; k < values.length; k++) {
        const h = mix(k ^ key);
        const at = row * width + (h & (width - 1));
        sums[at] = (sums[at] as number) + (h < 0 ? -(values[k] as number) : (values[k] as number));
      }
    });
    return sums;
  }

  /** What coordinate k is about: the median of what each row says. */
  estimate(sketch: Uint32Array, k: number): number {
    const { width } = this.#shape;
    const said = Array.from(this.#keys, (key, row) => {
      const h = mix(k ^ key);
      const value = (sketch[row * width + (h & (width - 1))] as number) | 0;
      return h < 0 ? -value : value;
    });
    return said.sort((a, b) => a - b)[said.length >> 1] as number;
  }
}

/** A permutation of 32 bits whose every bit hangs on all others (lowbias32 of Chris Wellons' hash prospector). As int32. */
function mix(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}

/** 1 .. 2^24: buckets are the low bits of a hash, its highest is the sign. */
const isPowerOfTwo = (n: number): boolean => Number.isSafeInteger(n) && n >= 1 && n <= 2 ** 24 && (n & (n - 1)) === 0;
