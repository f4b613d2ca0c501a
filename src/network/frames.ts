import { KIB, StarlingError } from '../spec/index.ts';
import { freshBytes } from './bufferPool.ts';

/**
 * A frame on a stream: u32 big-endian length of what follows, u8 kind, u32 big-endian id, payload.
 * The id pairs an answer with its question; a notification has id 0 and gets no answer.
 */
export const FRAME_KINDS = ['request', 'response', 'error', 'notify'] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

export interface Frame {
  readonly kind: FrameKind;
  readonly id: number;
  readonly payload: Uint8Array;
}

const LENGTH_BYTES = 4;
const HEADER_BYTES = 5;
const HEAD_BYTES = LENGTH_BYTES + HEADER_BYTES;
/** Bytes of a payload that are copied behind its head: a head alone would be a packet and a TLS record of its own. */
const JOINED_BYTES = 16 * KIB;

/** The frame as one or two pieces to be sent in order. The second shares memory with the payload: a chunk is not worth a copy. */
export function encodeFrame({ kind, id, payload }: Frame): readonly Uint8Array[] {
  const first = new Uint8Array(HEAD_BYTES + Math.min(payload.byteLength, JOINED_BYTES));
  const view = new DataView(first.buffer);
  view.setUint32(0, HEADER_BYTES + payload.byteLength);
  view.setUint8(LENGTH_BYTES, FRAME_KINDS.indexOf(kind));
  view.setUint32(LENGTH_BYTES + 1, id);
  first.set(payload.subarray(0, JOINED_BYTES), HEAD_BYTES);
  return payload.byteLength <= JOINED_BYTES ? [first] : [first, payload.subarray(JOINED_BYTES)];
}

/** Bytes of a frame on the wire. */
export const frameBytes = ({ payload }: Frame): number => HEAD_BYTES + payload.byteLength;

/** What a stream's message event brings, in the pieces in which it came. */
export const piecesOf = (data: Uint8Array | Iterable<Uint8Array>): Iterable<Uint8Array> => (data instanceof Uint8Array ? [data] : data);

interface Unfinished {
  readonly kind: FrameKind;
  readonly id: number;
  readonly payload: Uint8Array;
  filled: number;
}

/**
 * Cuts a stream of bytes, however fragmented, into frames. Each byte of a payload is copied once, to where it stays. Holds one
 * payload that is not complete, of its announced length, and nothing of the transport's.
 */
export class FrameReader {
  readonly #maxFrameBytes: number;
  readonly #take: (length: number) => Uint8Array;
  readonly #head = new Uint8Array(HEAD_BYTES);
  readonly #view = new DataView(this.#head.buffer);
  #headFilled = 0;
  #unfinished: Unfinished | undefined;

  /** @param maxFrameBytes bound of what the length prefix may announce; @param take makes room for a payload */
  constructor(maxFrameBytes: number, take = freshBytes) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#take = take;
  }

  /** Frames that `bytes` completes, in order. Throws PROTOCOL_VIOLATION, as soon as a length is out of bounds or a kind unknown. */
  push(bytes: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    for (let at = 0; at < bytes.byteLength; ) {
      const frame = this.#unfinished;
      if (frame === undefined) {
        const part = bytes.subarray(at, at + HEAD_BYTES - this.#headFilled);
        this.#head.set(part, this.#headFilled);
        this.#headFilled += part.byteLength;
        at += part.byteLength;
        if (this.#headFilled >= LENGTH_BYTES) this.#bodyLength();
        if (this.#headFilled === HEAD_BYTES) this.#unfinished = this.#begin();
      } else {
        const part = bytes.subarray(at, at + frame.payload.byteLength - frame.filled);
        frame.payload.set(part, frame.filled);
        frame.filled += part.byteLength;
        at += part.byteLength;
      }
      if (this.#unfinished !== undefined && this.#unfinished.filled === this.#unfinished.payload.byteLength) {
        const { kind, id, payload } = this.#unfinished;
        frames.push({ kind, id, payload });
        this.#unfinished = undefined;
        this.#headFilled = 0;
      }
    }
    return frames;
  }

  #begin(): Unfinished {
    const code = this.#view.getUint8(LENGTH_BYTES);
    const kind = FRAME_KINDS[code];
    if (kind === undefined) throw new StarlingError('PROTOCOL_VIOLATION', `frame of unknown kind ${code}`, { field: 'frame kind' });
    const payload = this.#take(this.#bodyLength() - HEADER_BYTES);
    return { kind, id: this.#view.getUint32(LENGTH_BYTES + 1), payload, filled: 0 };
  }

  #bodyLength(): number {
    const length = this.#view.getUint32(0);
    if (length < HEADER_BYTES || length > this.#maxFrameBytes)
      throw new StarlingError('PROTOCOL_VIOLATION', `frame of ${length} bytes, the bounds are ${HEADER_BYTES} and ${this.#maxFrameBytes}`, {
        field: 'frame length',
      });
    return length;
  }
}
