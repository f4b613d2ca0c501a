import type { IntRow } from '../../compute/api.ts';
import { StarlingError } from '../../spec/index.ts';

/** Bytes of one integer on the wire: int8, int16, int24 or int32, little-endian, two's complement. */
export type Width = 1 | 2 | 3 | 4;

/** Largest magnitude an integer of that width may have; the lowest value of two's complement is not used. */
const LARGEST: Readonly<Record<Width, number>> = { 1: 2 ** 7 - 1, 2: 2 ** 15 - 1, 3: 2 ** 23 - 1, 4: 2 ** 31 - 1 };

/** The least width that holds every integer up to `bound`. Throws BOUNDS_EXCEEDED from 2^31 on: no int32 sum is exact there. */
export function widthFor(bound: number): Width {
  for (const width of [1, 2, 3, 4] as const) if (bound <= LARGEST[width]) return width;
  throw exceeded(`a sum could reach ${bound}, beyond int32`, 'bound');
}

/**
 * values[start..end) in `width` bytes each. Throws BOUNDS_EXCEEDED for a value beyond `bound`: it would not be what was proven.
 * `scratch`, of as many elements at least, saves making one; what is in it is overwritten.
 */
export function packInts(
  values: IntRow | Int32Array,
  start: number,
  end: number,
  width: Width,
  bound: number,
  scratch?: Int32Array,
): Uint8Array {
  const count = end - start;
  const bytes = new Uint8Array(count * width);
  // One type from here on: loops over several are twice as slow.
  const part = values instanceof Int32Array ? values.subarray(start, end) : room(count, scratch);
  if (!(values instanceof Int32Array)) part.set(values.subarray(start, end));
  checkBound(part, bound, 'sum');
  if (width === 3) {
    for (let i = 0, at = 0; i < count; i++) {
      const v = part[i] as number;
      bytes[at++] = v;
      bytes[at++] = v >> 8;
      bytes[at++] = v >> 16;
    }
    return bytes;
  }
  // Little-endian hosts alone run this (see integers.ts).
  const view = width === 4 ? new Int32Array(bytes.buffer) : width === 2 ? new Int16Array(bytes.buffer) : new Int8Array(bytes.buffer);
  view.set(part);
  return bytes;
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
  const values = room(count, scratch);
  if (width === 3) {
    for (let i = 0, at = 0; i < count; i++, at += 3)
      values[i] = (((bytes[at] as number) << 8) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 24)) >> 8;
  } else {
    const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
    const { buffer, byteOffset } = aligned;
    values.set(
      width === 4
        ? new Int32Array(buffer, byteOffset, count)
        : width === 2
          ? new Int16Array(buffer, byteOffset, count)
          : new Int8Array(buffer, byteOffset, count),
    );
  }
  checkBound(values, bound, 'chunk');
  return values;
}

const room = (count: number, scratch: Int32Array | undefined): Int32Array => scratch?.subarray(0, count) ?? new Int32Array(count);

function checkBound(values: Int32Array, bound: number, field: string): void {
  const [least, most] = [-bound | 0, bound | 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value > most || value < least) throw exceeded(`a value of ${value}, at most ${bound} is possible`, field);
  }
}

const exceeded = (problem: string, field: string): StarlingError =>
  new StarlingError('BOUNDS_EXCEEDED', problem, { field, phase: 'average' });
