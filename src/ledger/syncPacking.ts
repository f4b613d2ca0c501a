import { fromHex, toHex } from '../crypto/index.ts';
import type { Hex } from '../spec/index.ts';
import { malformed } from '../wire/index.ts';
import { KEY_DIGITS, type Point, TAG_BYTES } from './frontier.ts';
import { FAN_OUT, MAX_ASKS, type RangeAnswer, type RangeAsk } from './reconcile.ts';

/**
 * The lists of sync as bytes: no separators, numbers as LEB128, so that a tip takes 11 bytes. What is read back is
 * bounded by its own length; every reader throws MALFORMED.
 */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #field: string;
  #at = 0;

  constructor(bytes: Uint8Array, field: string) {
    this.#bytes = bytes;
    this.#field = field;
  }

  /** Reads items until the end. */
  all<T>(item: () => T): T[] {
    const items: T[] = [];
    while (this.#at < this.#bytes.byteLength) items.push(item());
    return items;
  }

  hex(bytes: number): Hex {
    const end = this.#at + bytes;
    if (end > this.#bytes.byteLength) throw malformed(this.#field, 'ends in the middle of an item');
    const digits = toHex(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return digits;
  }

  byte(): number {
    return Number.parseInt(this.hex(1), 16);
  }

  number(): number {
    let value = 0;
    for (let scale = 1; scale <= Number.MAX_SAFE_INTEGER; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128 && value <= Number.MAX_SAFE_INTEGER) return value;
    }
    throw malformed(this.#field, 'has a number beyond 2^53');
  }
}

function number(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128));
  return Uint8Array.of(...bytes, rest);
}

const packPoint = ({ key, seq, tag }: Point): Uint8Array => Buffer.concat([fromHex(key), number(seq), fromHex(tag)]);
const readPoint = (reader: Reader): Point => ({ key: reader.hex(KEY_DIGITS / 2), seq: reader.number(), tag: reader.hex(TAG_BYTES) });

export const packPoints = (points: readonly Point[]): Uint8Array => Buffer.concat(points.map(packPoint));
export function readPoints(bytes: Uint8Array, field: string): Point[] {
  const reader = new Reader(bytes, field);
  return reader.all(() => readPoint(reader));
}

/** Added to the count of digits of a range whose list may be long. */
const FULL = 128;

/** A count of digits, then the digits, filled up to whole bytes. */
export const packAsks = (asks: readonly RangeAsk[]): Uint8Array =>
  Buffer.concat(
    asks.flatMap(({ prefix, full }) => [
      Uint8Array.of(prefix.length + (full ? FULL : 0)),
      fromHex(prefix.length % 2 === 0 ? prefix : `${prefix}0`),
    ]),
  );
/** Ranges must ascend, none inside another: to answer them costs what the whole frontier costs, once. */
export function readAsks(bytes: Uint8Array, field: string): RangeAsk[] {
  const reader = new Reader(bytes, field);
  const asks = reader.all((): RangeAsk => {
    const count = reader.byte();
    const digits = count % FULL;
    return { prefix: reader.hex(Math.ceil(digits / 2)).slice(0, digits), full: count >= FULL };
  });
  if (asks.length > MAX_ASKS) throw malformed(field, `has more than ${MAX_ASKS} ranges`);
  asks.forEach(({ prefix }, i) => {
    const before = asks[i - 1]?.prefix;
    if (before !== undefined && (prefix < before || prefix.startsWith(before)))
      throw malformed(field, 'has ranges that overlap or descend');
  });
  return asks;
}

/** A list: 1, a count, the tips. A split: 0, two bytes that tell which parts hold something, their tags. */
export const packAnswers = (answers: readonly RangeAnswer[]): Uint8Array =>
  Buffer.concat(
    answers.flatMap((answer) => {
      if (answer.kind === 'tips') return [Uint8Array.of(1), number(answer.tips.length), packPoints(answer.tips)];
      const held = answer.tags.reduce((bits, tag, i) => (tag === undefined ? bits : bits | (1 << i)), 0);
      return [Uint8Array.of(0, held >> 8, held & 255), fromHex(answer.tags.map((tag) => tag ?? '').join(''))];
    }),
  );
export function readAnswers(bytes: Uint8Array, field: string): RangeAnswer[] {
  const reader = new Reader(bytes, field);
  return reader.all((): RangeAnswer => {
    const kind = reader.byte();
    if (kind > 1) throw malformed(field, 'has an answer that is neither a list nor a split');
    if (kind === 1) {
      const tips: Point[] = [];
      for (let left = reader.number(); left > 0; left--) tips.push(readPoint(reader));
      return { kind: 'tips', tips };
    }
    const held = (reader.byte() << 8) | reader.byte();
    const tags = Array.from({ length: FAN_OUT }, (_, i) => (held & (1 << i) ? reader.hex(TAG_BYTES) : undefined));
    return { kind: 'split', tags };
  });
}
