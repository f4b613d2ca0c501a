import type { Compute, IntRow } from '../../compute/api.ts';
import { packInts, type Scratch, scratchFor, unpackInts } from './packing.ts';
import { chunkElements, chunkRange, type Range, type Transfer } from './plan.ts';

/** Elements that are weighed at once. */
const PIECE = 16_384;

/** What adds up. */
export type Adder = Pick<Compute, 'accumulate'>;

/** Where a member's sum grows: one int32 an element, which becomes the result, and beside it one chunk. */
export class Accumulator {
  readonly #compute: Adder;
  readonly #row: IntRow;
  readonly #weight: number;
  readonly #values: Int32Array;
  readonly #scratch: Scratch;
  /** 1 for pieces whose own integers are in `values`: that comes first, but for what is replaced by the sum of all. */
  readonly #weighed: Uint8Array;
  /** Values before this one are times the unit already. */
  #scaled = 0;
  #unit = 1;

  /** `row`: own integers, `weight`: own weight, both of which stay as they are. */
  constructor(compute: Adder, row: IntRow, weight: number) {
    this.#compute = compute;
    this.#row = row;
    this.#weight = weight;
    this.#values = new Int32Array(row.length);
    this.#scratch = scratchFor(Math.min(row.length, chunkElements(1)));
    this.#weighed = new Uint8Array(Math.ceil(row.length / PIECE));
  }

  /** What a `send` carries, in `into` where that is given (packInts). Throws BOUNDS_EXCEEDED where more was summed up than can be. */
  read(transfer: Transfer, chunk: number, into?: Uint8Array): Uint8Array {
    const { width, bound, weight } = transfer.encoding;
    const { start, end } = chunkRange(transfer, chunk);
    if (weight !== undefined) return packInts(this.#row, start, end, width, bound, into);
    this.#weigh(start, end);
    if (start >= this.#scaled) return packInts(this.#values, start, end, width, bound, into);
    const part = this.#values.slice(start, end).map((value, i) => (start + i < this.#scaled ? value / this.#unit : value));
    return packInts(part, 0, end - start, width, bound, into);
  }

  /** Takes in what a `store` names. Throws MALFORMED, BOUNDS_EXCEEDED; nothing has changed then. */
  store(transfer: Transfer, chunk: number, bytes: Uint8Array): void {
    const { start, end } = chunkRange(transfer, chunk);
    const { width, bound, weight = 1 } = transfer.encoding;
    const values = unpackInts(bytes, end - start, width, bound, this.#scratch);
    this.#weigh(start, end);
    const held = this.#values.subarray(start, end);
    if (transfer.mode === 'set') held.set(values);
    else this.#compute.accumulate(held, values, weight);
  }

  /**
   * The sum's next part times `unit` (plan.ts `reduced`), in place: once for each from the first on, when all has been received. What
   * others are still owed is read as it was.
   */
  scale({ start, end }: Range, unit: number): void {
    this.#weigh(start, end);
    if (unit !== 1) for (let k = start; k < end; k++) this.#values[k] = (this.#values[k] as number) * unit;
    [this.#scaled, this.#unit] = [end, unit];
  }

  /** The sum, once it is scaled. */
  get values(): Int32Array {
    return this.#values;
  }

  /** Sees to it that the own integers of a part are in `values`, weighed. */
  #weigh(start: number, end: number): void {
    for (let piece = Math.floor(start / PIECE); piece * PIECE < end; piece++) {
      if (this.#weighed[piece] === 1) continue;
      this.#weighed[piece] = 1;
      const values = this.#values.subarray(piece * PIECE, (piece + 1) * PIECE);
      // Zeros so far.
      this.#compute.accumulate(values, this.#row.subarray(piece * PIECE, (piece + 1) * PIECE), this.#weight);
    }
  }
}
