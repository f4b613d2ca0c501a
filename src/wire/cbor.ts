import * as dagCbor from '@ipld/dag-cbor';
import { StarlingError } from '../spec/index.ts';

/**
 * Canonical CBOR (DAG-CBOR rules: shortest integers, f64, sorted string keys, no undefined, no indefinite
 * lengths). What does not re-encode to the same bytes is refused: one value has one encoding, so one hash.
 */
export function encode(value: unknown): Uint8Array {
  const bytes = dagCbor.encode(value);
  // Short encodings come as a Buffer over Node's shared pool, whose `slice` is no copy: everything here is a Uint8Array.
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes) : bytes;
}

/**
 * Throws TOO_LARGE, MALFORMED or NON_CANONICAL; `what` names the thing for the reader. `maxItems`: an item of one byte takes 40
 * bytes of memory when it is read, which matters where `maxBytes` is large.
 */
export function decode(bytes: Uint8Array, what: string, maxBytes: number, maxItems = Number.POSITIVE_INFINITY): unknown {
  if (bytes.byteLength > maxBytes)
    throw new StarlingError('TOO_LARGE', `${what} has ${bytes.byteLength} bytes, the bound is ${maxBytes}`, { field: what });
  if (maxItems < bytes.byteLength && hasMoreItems(bytes, maxItems))
    throw new StarlingError('TOO_LARGE', `${what} has more than ${maxItems} items`, { field: what });
  let value: unknown;
  let again: Uint8Array;
  try {
    value = dagCbor.decode(bytes);
    // Inside the try: deep nesting can overflow the stack on the way back too.
    again = dagCbor.encode(value);
  } catch (cause) {
    throw new StarlingError('MALFORMED', `${what} is not CBOR: ${(cause as Error).message}`, { field: what }, { cause });
  }
  // Buffer's comparison: one in JavaScript takes as long as decoding and encoding together.
  if (Buffer.compare(again, bytes) !== 0)
    throw new StarlingError('NON_CANONICAL', `${what} is not in canonical form`, {
      field: what,
      fix: 'encode it with the rules of DAG-CBOR',
    });
  return value;
}

/** Whether more heads than this follow each other (RFC 8949 section 3). What is not CBOR is left to the decoder. */
function hasMoreItems(bytes: Uint8Array, maxItems: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let items = 0;
  for (let at = 0; at < bytes.byteLength; items++) {
    if (items === maxItems) return true;
    const head = bytes[at++] as number;
    const [major, info] = [head >> 5, head & 31];
    const isString = major === 2 || major === 3;
    if (info < 24) at += isString ? info : 0;
    else {
      const size = 2 ** (info - 24);
      if (info > 27 || at + size > bytes.byteLength) return false;
      if (isString) at += size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at) : size === 4 ? view.getUint32(at) : 2 ** 53;
      at += size;
    }
  }
  return false;
}
