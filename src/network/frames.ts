import { concat } from 'uint8arrays';
import { StarlingError } from '../spec/index.ts';

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

export function encodeFrame(frame: Frame): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + HEADER_BYTES + frame.payload.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, HEADER_BYTES + frame.payload.byteLength);
  view.setUint8(LENGTH_BYTES, FRAME_KINDS.indexOf(frame.kind));
  view.setUint32(LENGTH_BYTES + 1, frame.id);
  bytes.set(frame.payload, LENGTH_BYTES + HEADER_BYTES);
  return bytes;
}

/** Cuts a stream of bytes, however fragmented, into frames. Holds at most one incomplete frame and one fragment. */
export class FrameReader {
  readonly #maxFrameBytes: number;
  #fragments: Uint8Array[] = [];
  #held = 0;
  #needed = LENGTH_BYTES;

  /** @param maxFrameBytes bound of what the length prefix may announce */
  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Frames that `bytes` completes, in order. Throws PROTOCOL_VIOLATION, as soon as a length is out of bounds or a kind unknown. */
  push(bytes: Uint8Array): Frame[] {
    this.#fragments.push(bytes);
    this.#held += bytes.byteLength;
    const frames: Frame[] = [];
    while (this.#held >= this.#needed) {
      const held = this.#fragments.length === 1 ? (this.#fragments[0] as Uint8Array) : concat(this.#fragments, this.#held);
      this.#fragments = [held];
      const total = LENGTH_BYTES + this.#bodyLength(held);
      this.#needed = total;
      if (held.byteLength < total) break;
      frames.push(decodeBody(held.subarray(LENGTH_BYTES, total)));
      this.#fragments = [held.subarray(total)];
      this.#held -= total;
      this.#needed = LENGTH_BYTES;
    }
    return frames;
  }

  #bodyLength(held: Uint8Array): number {
    const length = new DataView(held.buffer, held.byteOffset).getUint32(0);
    if (length < HEADER_BYTES || length > this.#maxFrameBytes)
      throw new StarlingError('PROTOCOL_VIOLATION', `frame of ${length} bytes, the bounds are ${HEADER_BYTES} and ${this.#maxFrameBytes}`, {
        field: 'frame length',
      });
    return length;
  }
}

function decodeBody(body: Uint8Array): Frame {
  const view = new DataView(body.buffer, body.byteOffset);
  const kind = FRAME_KINDS[view.getUint8(0)];
  if (kind === undefined)
    throw new StarlingError('PROTOCOL_VIOLATION', `frame of unknown kind ${view.getUint8(0)}`, { field: 'frame kind' });
  return { kind, id: view.getUint32(1), payload: new Uint8Array(body.subarray(HEADER_BYTES)) };
}
