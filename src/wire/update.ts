import { chunkAt, chunkCount, leafHash, merkleRoot, toHex } from '../crypto/index.ts';
import { ENCODINGS, type Encoding, type Hex, KIB, type UpdateDtype } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { readBytes, readCode, readOneOf, readTuple } from './fields.ts';
import { compress, decompress } from './zstd.ts';

/** Bytes. Keeps an update hash from being guessed from a guessed update. */
export const SALT_BYTES = 32;
/** Bytes of salt, names and CBOR heads around a payload, generously. */
const HEAD_MAX_BYTES = KIB;

/** How the payload is packed: as it is, or as one zstd frame. The number on the wire is the place in this list. */
const PACKINGS = ['none', 'zstd'] as const;
/** Bytes from the middle of a long payload whose packing tells whether the whole is worth its time. */
const SAMPLE_BYTES = 64 * KIB;
/** Share of its size that packing must save, or it is not worth every receiver's unpacking. */
const WORTHWHILE = 1 / 32;

/** The plaintext of an update: its integers as the swarm's encoding writes them. */
export interface UpdatePlaintext {
  readonly salt: Uint8Array;
  readonly encoding: Encoding;
  readonly dtype: UpdateDtype;
  readonly payload: Uint8Array;
}

/** CBOR [salt, encoding, dtype, packing, payload]: what is sealed and sent. Packed where that pays. */
export function encodeUpdate({ salt, encoding, dtype, payload }: UpdatePlaintext): Uint8Array {
  const packed = packedOf(payload);
  return encode([salt, encoding, dtype, packed === undefined ? 0 : 1, packed ?? payload]);
}

/** The payload as a zstd frame, or undefined where that is not smaller by enough. */
function packedOf(payload: Uint8Array): Uint8Array | undefined {
  if (payload.byteLength > SAMPLE_BYTES) {
    const from = (payload.byteLength - SAMPLE_BYTES) >> 1;
    const sample = payload.subarray(from, from + SAMPLE_BYTES);
    if (!pays(compress(sample), sample)) return undefined;
  }
  const packed = compress(payload);
  return pays(packed, payload) ? packed : undefined;
}

const pays = (packed: Uint8Array, plain: Uint8Array): boolean => packed.byteLength <= (1 - WORTHWHILE) * plain.byteLength;

/** Bytes of the largest plaintext whose payload has at most `payloadBytes`. */
export const updateMaxBytes = (payloadBytes: number): number => payloadBytes + HEAD_MAX_BYTES;

/** `maxPayloadBytes` bounds the payload, packed or not. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeUpdate(bytes: Uint8Array, maxPayloadBytes: number): UpdatePlaintext {
  const tuple = readTuple(decode(bytes, 'updatePlaintext', updateMaxBytes(maxPayloadBytes)), 'updatePlaintext', 5);
  const [salt, encoding, dtype, packing, packed] = tuple;
  const field = 'updatePlaintext.payload';
  const isPacked = readCode(packing, 'updatePlaintext.packing', PACKINGS) === 'zstd';
  return {
    salt: readBytes(salt, 'updatePlaintext.salt', SALT_BYTES),
    encoding: readOneOf(encoding, 'updatePlaintext.encoding', ENCODINGS),
    dtype: readOneOf(dtype, 'updatePlaintext.dtype', ['int16', 'int8']),
    payload: isPacked
      ? decompress(readBytes(packed, field, 1, maxPayloadBytes), maxPayloadBytes)
      : readBytes(packed, field, 0, maxPayloadBytes),
  };
}

/**
 * The update hash: RFC 9162 Merkle root over the salted plaintext chunks, leaf = sha256(0x00 || salt || chunk)
 * (PROTOCOL section 4). `ints` are the integers that are added up, whatever the encoding that brought them. An AEAD does
 * not commit to its key; this does commit to the integers.
 */
export function updateHash(salt: Uint8Array, ints: Uint8Array): Hex {
  const leaves = Array.from({ length: chunkCount(ints.byteLength) }, (_, i) => updateLeaf(salt, chunkAt(ints, i)));
  return toHex(merkleRoot(leaves));
}

/** One leaf of an update hash. */
export const updateLeaf = (salt: Uint8Array, chunk: Uint8Array): Uint8Array => leafHash(Buffer.concat([salt, chunk]));
