/**
 * A chunk's message on the stream protocol `average`, written and read where it lies: the bytes are those of the canonical CBOR that
 * averageMessages.ts describes, without a copy of the quarter of a megabyte in their midst.
 */
import { ED25519_SIGNATURE_BYTES, fromHex, toHex } from '../crypto/index.ts';
import { CHUNK_BYTES, type Hex } from '../spec/index.ts';

export interface ChunkMessage {
  readonly kind: 'chunk';
  readonly attempt: Hex;
  readonly lane: number;
  readonly step: number;
  readonly chunk: number;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
}

/** Bytes of what comes before the payload, at most: five small integers, a hash, and the heads of array and byte strings. */
const HEAD_ROOM = 64;
const HASH_BYTES = 32;
/** Head of the signature's byte string, and the signature. */
const TAIL_BYTES = 2 + ED25519_SIGNATURE_BYTES;
/** RFC 8949 section 3: major types 0 (unsigned), 2 (byte string), 4 (array), in the upper three bits of an item's head. */
const UNSIGNED = 0x00;
const BYTE_STRING = 0x40;
const ARRAY = 0x80;
/** Items of the message; its first is the kind's number. */
const ITEMS = 7;
export const CHUNK_KIND = 1;

/** Where one message after another is written: the payload first, in place, and around it what is signed of it. */
export class ChunkRoom {
  readonly #bytes = new Uint8Array(HEAD_ROOM + CHUNK_BYTES + TAIL_BYTES);

  /** Room for `length` bytes, at most CHUNK_BYTES, on a word's boundary. */
  payload(length: number): Uint8Array {
    return this.#bytes.subarray(HEAD_ROOM, HEAD_ROOM + length);
  }

  /** The message around the payload, valid until the room is written again. */
  seal({ attempt, lane, step, chunk, signature }: Omit<ChunkMessage, 'kind' | 'bytes'>, length: number): Uint8Array {
    const head = [
      ...headOf(ARRAY, ITEMS),
      ...headOf(UNSIGNED, CHUNK_KIND),
      ...headOf(BYTE_STRING, HASH_BYTES),
      ...fromHex(attempt),
      ...[lane, step, chunk].flatMap((value) => headOf(UNSIGNED, value)),
      ...headOf(BYTE_STRING, length),
    ];
    const start = HEAD_ROOM - head.length;
    const end = HEAD_ROOM + length;
    this.#bytes.set(head, start);
    this.#bytes.set(headOf(BYTE_STRING, ED25519_SIGNATURE_BYTES), end);
    this.#bytes.set(signature, end + 2);
    return this.#bytes.subarray(start, end + TAIL_BYTES);
  }
}

/** An item's head in its shortest form (RFC 8949 section 4.2.1), for values below 2^32. */
function headOf(major: number, value: number): number[] {
  if (value < 24) return [major | value];
  if (value < 2 ** 8) return [major | 24, value];
  if (value < 2 ** 16) return [major | 25, value >>> 8, value & 0xff];
  return [major | 26, value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/**
 * The message that `message` is, its payload and signature sharing memory with it. Undefined for anything else, and for what is not
 * canonical: the general decoder says what is wrong with it. Checks no bounds but those of the message.
 */
export function readChunk(message: Uint8Array): ChunkMessage | undefined {
  let at = 0;
  const head = (major: number): number => {
    const first = message[at++] ?? 0xff;
    const short = first ^ major;
    if (short < 24) return short;
    const count = short === 24 ? 1 : short === 25 ? 2 : short === 26 ? 4 : 0;
    let value = 0;
    for (let i = 0; i < count; i++) value = value * 2 ** 8 + (message[at++] ?? 0);
    // Not the shortest form, or not this major type at all.
    return count > 0 && headOf(major, value).length === 1 + count ? value : Number.NaN;
  };
  const string = (length: number): Uint8Array => {
    at += length;
    return message.subarray(at - length, at);
  };
  if (head(ARRAY) !== ITEMS || head(UNSIGNED) !== CHUNK_KIND || head(BYTE_STRING) !== HASH_BYTES) return undefined;
  const attempt = toHex(string(HASH_BYTES));
  const [lane, step, chunk] = [head(UNSIGNED), head(UNSIGNED), head(UNSIGNED)];
  const bytes = string(head(BYTE_STRING));
  if (head(BYTE_STRING) !== ED25519_SIGNATURE_BYTES) return undefined;
  const signature = string(ED25519_SIGNATURE_BYTES);
  if (at !== message.byteLength || ![lane, step, chunk].every(Number.isSafeInteger)) return undefined;
  return { kind: 'chunk', attempt, lane, step, chunk, bytes, signature };
}
