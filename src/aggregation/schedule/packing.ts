import type { IntRow } from '../../compute/api.ts';
import { StarlingError } from '../../spec/index.ts';

/** Bytes of one integer on the wire: int8, int16, int24 or int32, little-endian, two's complement. */
export type Width = 1 | 2 | 3 | 4;

/** Largest magnitude an integer of that width may have; the lowest value of two's complement is not used. */
const LARGEST: Readonly<Record<Width, number>> = { 1: 2 ** 7 - 1, 2: 2 ** 15 - 1, 3: 2 ** 23 - 1, 4: 2 ** 31 - 1 };
/** Views of a buffer begin at a multiple of this. Little-endian hosts alone run this (see integers.ts). */
const WORD_BYTES = 4;

/** The least width that holds every integer up to `bound`. Throws BOUNDS_EXCEEDED from 2^31 on: no int32 sum is exact there. */
export function widthFor(bound: number): Width {
  for (const width of [1, 2, 3, 4] as const) if (bound <= LARGEST[width]) return width;
  throw exceeded(`a sum could reach ${bound}, beyond int32`, 'bound');
}

/**
 * values[start..end) in `width` bytes each. Throws BOUNDS_EXCEEDED for a sum beyond `bound`: it would not be what was proven. A row in
 * the width of its type goes as it is; its receiver checks it. `into`, of as many bytes and on a word's boundary, saves making them.
 */
export function packInts(
  values: IntRow | Int32Array,
  start: number,
  end: number,
  width: Width,
  bound: number,
  into: Uint8Array = new Uint8Array((end - start) * width),
): Uint8Array {
  const own = values.subarray(start, end);
  // One type in all loops: over several they take twice as long.
  const part = own instanceof Int32Array ? own : own.BYTES_PER_ELEMENT === width ? undefined : Int32Array.from(own);
  if (part !== undefined) check(width === 3 ? packTriples(part, into, bound) : signsOf(part, bound), part, bound, 'sum');
  if (part === undefined || width === 4) into.set(bytesOf(part ?? own));
  else if (width !== 3) narrow(width, into.buffer, into.byteOffset, part.length).set(part);
  return into;
}

/** Where one chunk after another is unpacked: half a megabyte made anew for each costs more than to add it up. */
export interface Scratch {
  readonly values: Int32Array;
  /** For bytes that do not begin on a word's boundary. */
  readonly bytes: Uint8Array;
}

/** Room for chunks of up to so many integers of any width. */
export const scratchFor = (count: number): Scratch => ({ values: new Int32Array(count), bytes: new Uint8Array(WORD_BYTES * count) });

/**
 * The `count` integers of `bytes`. Throws MALFORMED for another number of bytes, BOUNDS_EXCEEDED for a value beyond `bound`: whoever
 * sent it claims more than its summands can add up to. They are put into `scratch`, of at least that
 * many, which the next call overwrites.
 */
export function unpackInts(bytes: Uint8Array, count: number, width: Width, bound: number, scratch = scratchFor(count)): Int32Array {
  if (bytes.byteLength !== count * width)
    throw new StarlingError('MALFORMED', `a chunk of ${bytes.byteLength} bytes, its place takes ${count * width}`, {
      field: 'chunk',
      phase: 'average',
    });
  const values = scratch.values.subarray(0, count);
  const isAligned = bytes.byteOffset % WORD_BYTES === 0;
  if (!isAligned) scratch.bytes.set(bytes);
  const { buffer, byteOffset } = isAligned ? bytes : scratch.bytes;
  if (width !== 3) values.set(width === 4 ? new Int32Array(buffer, byteOffset, count) : narrow(width, buffer, byteOffset, count));
  const signs = width === 3 ? unpackTriples(new Uint8Array(buffer, byteOffset, bytes.byteLength), values, bound) : signsOf(values, bound);
  check(signs, values, bound, 'chunk');
  return values;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: IntRow | Int32Array) => new Uint8Array(buffer, byteOffset, byteLength);

const narrow = (width: 1 | 2, buffer: ArrayBufferLike, offset: number, count: number): Int8Array | Int16Array =>
  width === 2 ? new Int16Array(buffer, offset, count) : new Int8Array(buffer, offset, count);

/** Four integers are three words: a byte at a time takes twice as long. Negative: a value is beyond the bound (see `signsOf`). */
function packTriples(values: Int32Array, bytes: Uint8Array, bound: number): number {
  const fours = values.length & ~3;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, (fours / 4) * 3);
  let signs = 0;
  for (let i = 0, at = 0; i < fours; i += 4, at += 3) {
    const a = values[i] as number;
    const b = values[i + 1] as number;
    const c = values[i + 2] as number;
    const d = values[i + 3] as number;
    signs |= (bound + a) | (bound - a) | (bound + b) | (bound - b) | (bound + c) | (bound - c) | (bound + d) | (bound - d);
    words[at] = (a & 0xff_ffff) | (b << 24);
    words[at + 1] = ((b >>> 8) & 0xffff) | (c << 16);
    words[at + 2] = ((c >>> 16) & 0xff) | (d << 8);
  }
  const rest = values.subarray(fours);
  rest.forEach((v, i) => {
    bytes.set([v, v >> 8, v >> 16], 3 * (fours + i));
  });
  return signs | signsOf(rest, bound);
}

function unpackTriples(bytes: Uint8Array, values: Int32Array, bound: number): number {
  const fours = values.length & ~3;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, (fours / 4) * 3);
  let signs = 0;
  for (let i = 0, at = 0; i < fours; i += 4, at += 3) {
    const x = words[at] as number;
    const y = words[at + 1] as number;
    const z = words[at + 2] as number;
    const a = (x << 8) >> 8;
    const b = ((y << 16) | ((x >>> 24) << 8)) >> 8;
    const c = ((z << 24) | ((y >>> 16) << 8)) >> 8;
    const d = z >> 8;
    signs |= (bound + a) | (bound - a) | (bound + b) | (bound - b) | (bound + c) | (bound - c) | (bound + d) | (bound - d);
    values[i] = a;
    values[i + 1] = b;
    values[i + 2] = c;
    values[i + 3] = d;
  }
  for (let i = fours; i < values.length; i++) {
    const [a = 0, b = 0, c = 0] = bytes.subarray(3 * i, 3 * i + 3);
    values[i] = ((a << 8) | (b << 16) | (c << 24)) >> 8;
  }
  return signs | signsOf(values.subarray(fours), bound);
}

/** Negative where bound minus a value, or bound plus it, is: some value is beyond the bound. Neither leaves int32 up to three bytes. */
function signsOf(values: Int32Array, bound: number): number {
  if (bound > LARGEST[3]) return values.every((value) => Math.abs(value) <= bound) ? 0 : -1;
  let signs = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    signs |= (bound + value) | (bound - value);
  }
  return signs;
}

/** No branch for each value: a second look, then, tells which it was. */
function check(signs: number, values: Int32Array, bound: number, field: string): void {
  if (signs >= 0) return;
  const value = values.find((one) => Math.abs(one) > bound);
  throw exceeded(`a value of ${value}, at most ${bound} is possible`, field);
}

const exceeded = (problem: string, field: string): StarlingError =>
  new StarlingError('BOUNDS_EXCEEDED', problem, { field, phase: 'average' });
