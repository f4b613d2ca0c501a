/** Ascending places in a row, as differences (LEB128 of place minus the one before minus 1) or as a bitmap, least bit first. */
import { StarlingError } from '../../spec/index.ts';

export type PlaceCoding = 'deltas' | 'bitmap';

/** Whichever is smaller; differences where both are the same. */
export function placeCoding(places: Uint32Array, elements: number): PlaceCoding {
  let bytes = 0;
  let next = 0;
  for (const place of places) {
    bytes += varintBytes(place - next);
    next = place + 1;
  }
  return bytes <= Math.ceil(elements / 8) ? 'deltas' : 'bitmap';
}

export function encodePlaces(places: Uint32Array, elements: number, coding: PlaceCoding): Uint8Array {
  if (coding === 'bitmap') {
    const bits = new Uint8Array(Math.ceil(elements / 8));
    for (const place of places) bits[place >> 3] = (bits[place >> 3] as number) | (1 << (place & 7));
    return bits;
  }
  const bytes: number[] = [];
  let next = 0;
  for (const place of places) {
    let gap = place - next;
    for (; gap > 127; gap >>>= 7) bytes.push((gap & 127) | 128);
    bytes.push(gap);
    next = place + 1;
  }
  return Uint8Array.from(bytes);
}

/** Exactly `count` places below `elements`. Throws MALFORMED; NON_CANONICAL for a number written longer than it must be. */
export function decodePlaces(bytes: Uint8Array, count: number, elements: number, coding: PlaceCoding): Uint32Array {
  const places = new Uint32Array(count);
  return coding === 'bitmap' ? readBitmap(bytes, places, elements) : readDeltas(bytes, places, elements);
}

function readBitmap(bits: Uint8Array, places: Uint32Array, elements: number): Uint32Array {
  if (bits.byteLength !== Math.ceil(elements / 8)) throw malformed(`${bits.byteLength} bytes of bitmap for ${elements} elements`);
  let found = 0;
  for (let i = 0; i < bits.byteLength; i++) {
    for (let rest = bits[i] as number; rest > 0; rest &= rest - 1) {
      const place = 8 * i + 31 - Math.clz32(rest & -rest);
      if (place >= elements || found === places.length) throw malformed('a bit beyond the row or the count');
      places[found++] = place;
    }
  }
  if (found !== places.length) throw malformed(`${found} bits where ${places.length} are announced`);
  return places;
}

function readDeltas(bytes: Uint8Array, places: Uint32Array, elements: number): Uint32Array {
  let at = 0;
  let next = 0;
  for (let i = 0; i < places.length; i++) {
    let gap = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28) throw malformed('the places end within a number');
      gap += (byte & 127) * 2 ** shift;
      if (byte >= 128) continue;
      if (byte === 0 && shift > 0)
        throw new StarlingError('NON_CANONICAL', 'a number with a zero in front', { field: 'places', phase: 'verify' });
      break;
    }
    const place = next + gap;
    if (place >= elements) throw malformed(`place ${place} of ${elements}`);
    places[i] = place;
    next = place + 1;
  }
  if (at !== bytes.byteLength) throw malformed('bytes behind the last place');
  return places;
}

const varintBytes = (value: number): number => Math.max(1, Math.ceil((32 - Math.clz32(value)) / 7));

const malformed = (problem: string): StarlingError => new StarlingError('MALFORMED', problem, { field: 'places', phase: 'verify' });
