import { fromHex, toHex } from '../crypto/index.ts';
import { type EntryId, type Hex, MAX_ROSTER, StarlingError, WEIGHT_TOTAL } from '../spec/index.ts';

/**
 * Readers of decoded CBOR: each takes an unknown value and the name of the field, and answers with a typed value
 * within bounds or throws MALFORMED naming the field. They are the only way from bytes to types.
 */
export function malformed(field: string, problem: string): StarlingError {
  return new StarlingError('MALFORMED', `${field} ${problem}`, { field });
}

/** An array of exactly `length` items. */
export function readTuple(value: unknown, field: string, length: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw malformed(field, `is not an array of ${length}`);
  return value;
}

/** An array of at most `maxLength` items, each read by `readItem`. */
export function readList<T>(value: unknown, field: string, maxLength: number, readItem: (item: unknown, field: string) => T): T[] {
  if (!Array.isArray(value) || value.length > maxLength) throw malformed(field, `is not an array of at most ${maxLength}`);
  return value.map((item, i) => readItem(item, `${field}[${i}]`));
}

/** A map with exactly these keys, none missing, none more. */
export function readRecord<K extends string>(value: unknown, field: string, keys: readonly K[]): Readonly<Record<K, unknown>> {
  const map = readMap(value, field);
  for (const key of keys) if (!Object.hasOwn(map, key)) throw malformed(`${field}.${key}`, 'is missing');
  if (Object.keys(map).length !== keys.length) {
    const extra = Object.keys(map).find((key) => !keys.includes(key as K));
    throw malformed(`${field}.${extra}`, 'is not known here');
  }
  return map as Record<K, unknown>;
}

/** Any map with text keys. */
export function readMap(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    throw malformed(field, 'is not a map');
  return value as Record<string, unknown>;
}

/** An integer in [min, max]; by default any that a double holds exactly and is not negative. */
export function readInt(value: unknown, field: string, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max)
    throw malformed(field, `is not an integer from ${min} to ${max}`);
  return value;
}

/** A finite number in [min, max]. */
export function readNumber(value: unknown, field: string, min = -Number.MAX_VALUE, max = Number.MAX_VALUE): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) throw malformed(field, `is not a number from ${min} to ${max}`);
  return value;
}

/** Text of minLength..maxLength UTF-16 units without control characters. */
export function readText(value: unknown, field: string, minLength: number, maxLength: number): string {
  if (typeof value !== 'string' || value.length < minLength || value.length > maxLength || /\p{Cc}/u.test(value))
    throw malformed(field, `is not text of ${minLength} to ${maxLength} characters`);
  return value;
}

export function readBool(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw malformed(field, 'is neither true nor false');
  return value;
}

/** One of `options`, named by its place. */
export const readCode = <T>(value: unknown, field: string, options: readonly T[]): T =>
  options[readInt(value, field, 0, options.length - 1)] as T;

export function readOneOf<T extends string | number>(value: unknown, field: string, options: readonly T[]): T {
  const found = options.find((option) => option === value);
  if (found === undefined) throw malformed(field, `is none of ${options.join(', ')}`);
  return found;
}

/** A byte string of minBytes..maxBytes; one bound means exactly that many. */
export function readBytes(value: unknown, field: string, minBytes: number, maxBytes: number = minBytes): Uint8Array {
  if (!(value instanceof Uint8Array) || value.byteLength < minBytes || value.byteLength > maxBytes)
    throw malformed(field, minBytes === maxBytes ? `is not ${minBytes} bytes` : `is not ${minBytes} to ${maxBytes} bytes`);
  return value;
}

/** A 32-byte identifier or hash, as hex. */
export const readHash = (value: unknown, field: string): Hex => toHex(readBytes(value, field, 32));

/** `null`, or what `read` makes of it. */
export const readNullable = <T>(value: unknown, field: string, read: (value: unknown, field: string) => T): T | null =>
  value === null ? null : read(value, field);

/** At most `maxLength` hashes in strictly ascending order: a set has one encoding. */
export function readHashSet(value: unknown, field: string, maxLength: number): Hex[] {
  const hashes = readList(value, field, maxLength, readHash);
  for (let i = 1; i < hashes.length; i++)
    if ((hashes[i - 1] as Hex) >= (hashes[i] as Hex)) throw malformed(`${field}[${i}]`, 'is out of order or twice there');
  return hashes;
}

/** A roster, ascending, and one weight for each of its entries, within their total. */
export function readRoster(rosterValue: unknown, weightsValue: unknown, field: string): { roster: EntryId[]; weights: number[] } {
  const roster = readHashSet(rosterValue, `${field}.roster`, MAX_ROSTER);
  const weights = readList(weightsValue, `${field}.weights`, MAX_ROSTER, (item, name) => readInt(item, name, 0, WEIGHT_TOTAL));
  if (weights.length !== roster.length) throw malformed(`${field}.weights`, 'does not have one weight a roster entry');
  if (weights.reduce((sum, weight) => sum + weight, 0) > WEIGHT_TOTAL)
    throw malformed(`${field}.weights`, `adds up to more than ${WEIGHT_TOTAL}`);
  return { roster, weights };
}

/** A 32-byte identifier as it stands on the wire. */
export const hashBytes = (id: Hex): Uint8Array => fromHex(id);
export const hashList = (ids: readonly Hex[]): Uint8Array[] => ids.map(hashBytes);
