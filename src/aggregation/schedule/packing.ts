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
  if (part !== undefined) checkBound(part, bound, 'sum');
  if (part === undefined || width === 4) into.set(bytesOf(part ?? own));
  else if (width === 3) packTriples(part, into);
  else narrow(width, into.buffer, into.byteOffset, part.length).set(part);
  return into;
}

/**
 * The `count` integers of `bytes`. Throws MALFORMED for another number of bytes, BOUNDS_EXCEEDED for a value beyond `bound`: whoever
 * sent it claims more than its summands can add up to. `scratch`, of as many elements at least, is where they are put.
 */
export function unpackInts(bytes: Uint8Array, count: number, width: Width, bound: number, scratch?: Int32Array): Int32Array {
  if (bytes.byteLength !== count * width)
    throw new StarlingError('MALFORMED', `a chunk of ${bytes.byteLength} bytes, its place takes ${count * width}`, {
      field: 'chunk',
      phase: 'average',
    });
  const values = scratch?.subarray(0, count) ?? new Int32Array(count);
  const { buffer, byteOffset } = bytes.byteOffset % WORD_BYTES === 0 ? bytes : bytes.slice();
  if (width === 3) unpackTriples(new Uint8Array(buffer, byteOffset, bytes.byteLength), values);
  else values.set(width === 4 ? new Int32Array(buffer, byteOffset, count) : narrow(width, buffer, byteOffset, count));
  checkBound(values, bound, 'chunk');
  return values;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: IntRow | Int32Array) => new Uint8Array(buffer, byteOffset, byteLength);

const narrow = (width: 1 | 2, buffer: ArrayBufferLike, offset: number, count: number): Int8Array | Int16Array =>
  width === 2 ? new Int16Array(buffer, offset, count) : new Int8Array(buffer, offset, count);

/** Four integers are three words: a byte at a time takes twice as long. */
function packTriples(values: Int32Array, bytes: Uint8Array): void {
  const fours = values.length & ~3;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, (fours / 4) * 3);
  for (let i = 0, at = 0; i < fours; i += 4, at += 3) {
    const b = values[i + 1] as number;
    const c = values[i + 2] as number;
    words[at] = ((values[i] as number) & 0xff_ffff) | (b << 24);
    words[at + 1] = ((b >>> 8) & 0xffff) | (c << 16);
    words[at + 2] = ((c >>> 16) & 0xff) | ((values[i + 3] as number) << 8);
  }
  for (let i = fours; i < values.length; i++) {
    const v = values[i] as number;
    bytes.set([v, v >> 8, v >> 16], 3 * i);
  }
}

function unpackTriples(bytes: Uint8Array, values: Int32Array): void {
  const fours = values.length & ~3;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, (fours / 4) * 3);
  for (let i = 0, at = 0; i < fours; i += 4, at += 3) {
    const x = words[at] as number;
    const y = words[at + 1] as number;
    const z = words[at + 2] as number;
    values[i] = (x << 8) >> 8;
    values[i + 1] = ((y << 16) | ((x >>> 24) << 8)) >> 8;
    values[i + 2] = ((z << 24) | ((y >>> 16) << 8)) >> 8;
    values[i + 3] = z >> 8;
  }
  for (let i = fours; i < values.length; i++) {
    const [a = 0, b = 0, c = 0] = bytes.subarray(3 * i, 3 * i + 3);
    values[i] = ((a << 8) | (b << 16) | (c << 24)) >> 8;
  }
}

/** One pass without a branch says whether all are within; a second one, then, which is not. */
function checkBound(values: Int32Array, bound: number, field: string): void {
  if (isWithin(values, bound)) return;
  const value = values.find((one) => Math.abs(one) > bound);
  throw exceeded(`a value of ${value}, at most ${bound} is possible`, field);
}

/** Where bound minus a value, or bound plus it, is negative, a sign is left in `signs`. Neither leaves int32 up to three bytes. */
function isWithin(values: Int32Array, bound: number): boolean {
  if (bound > LARGEST[3]) return values.every((value) => Math.abs(value) <= bound);
  let signs = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    signs |= (bound + value) | (bound - value);
  }
  return signs >= 0;
}

const exceeded = (problem: string, field: string): StarlingError =>
  new StarlingError('BOUNDS_EXCEEDED', problem, { field, phase: 'average' });
