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

/** Throws TOO_LARGE, MALFORMED or NON_CANONICAL; `what` names the thing for the reader. */
export function decode(bytes: Uint8Array, what: string, maxBytes: number): unknown {
  if (bytes.byteLength > maxBytes)
    throw new StarlingError('TOO_LARGE', `${what} has ${bytes.byteLength} bytes, the bound is ${maxBytes}`, { field: what });
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
