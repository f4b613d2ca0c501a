import { KIB } from '../spec/index.ts';

/** Bytes below which memory is not worth keeping. */
const SMALL_BYTES = 64 * KIB;
/** Buffers kept: those of the chunks that come while others are worked on. At a quarter of a megabyte each, four megabytes a node. */
const KEPT = 16;

/** Not zeroed first: what is read into it is handed on only when all of it came. */
export const freshBytes = (length: number): Uint8Array => {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer, byteOffset, length);
};

/**
 * Memory of payloads that are done with, for those that come next: megabytes a second made anew are collected by stopping the process
 * for all that it holds.
 */
export class BufferPool {
  readonly #free: ArrayBufferLike[] = [];

  take(length: number): Uint8Array {
    if (length < SMALL_BYTES) return freshBytes(length);
    const free = this.#free.pop();
    if (free !== undefined && free.byteLength >= length) return new Uint8Array(free, 0, length);
    return freshBytes(SMALL_BYTES * Math.ceil(length / SMALL_BYTES)).subarray(0, length);
  }

  /** Nobody may look at `bytes`, which came from `take`, any more. */
  give(bytes: Uint8Array): void {
    if (bytes.byteLength >= SMALL_BYTES && this.#free.length < KEPT) this.#free.push(bytes.buffer);
  }
}
