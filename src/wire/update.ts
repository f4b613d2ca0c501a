import { chunkAt, chunkCount, leafHash, merkleRoot, toHex } from '../crypto/index.ts';
import { type Hex, KIB, type UpdateDtype } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { malformed, readBytes, readOneOf, readTuple } from './fields.ts';
import { compress, decompress } from './zstd.ts';

/** Bytes. Keeps an update hash from being guessed from a guessed update. */
export const SALT_BYTES = 32;

/** The plaintext of an update: integers little-endian, tensors concatenated in genesis order. */
export interface UpdatePlaintext {
  readonly salt: Uint8Array;
  readonly dtype: UpdateDtype;
  readonly ints: Uint8Array;
}

/** CBOR [salt, dtype, zstd(ints)]: what is sealed and sent. */
export const encodeUpdate = (update: UpdatePlaintext): Uint8Array => encode([update.salt, update.dtype, compress(update.ints)]);

/** Bytes that the encoding of `sizeBytes` of integers can take: zstd adds at most 1/256 and a header to what does not compress. */
export const updateMaxBytes = (sizeBytes: number): number => sizeBytes + Math.ceil(sizeBytes / 256) + KIB;

/** `sizeBytes` is what the contribution entry committed to. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeUpdate(bytes: Uint8Array, sizeBytes: number): UpdatePlaintext {
  const [salt, dtype, packed] = readTuple(decode(bytes, 'updatePlaintext', updateMaxBytes(sizeBytes)), 'updatePlaintext', 3);
  const ints = decompress(readBytes(packed, 'updatePlaintext.ints', 1, updateMaxBytes(sizeBytes)), sizeBytes);
  if (ints.byteLength !== sizeBytes) throw malformed('updatePlaintext.ints', `holds ${ints.byteLength} bytes, ${sizeBytes} were committed`);
  return {
    salt: readBytes(salt, 'updatePlaintext.salt', SALT_BYTES),
    dtype: readOneOf(dtype, 'updatePlaintext.dtype', ['int16', 'int8']),
    ints,
  };
}

/**
 * The update hash: RFC 9162 Merkle root over the salted plaintext chunks, leaf = sha256(0x00 || salt || chunk)
 * (PROTOCOL section 4). An AEAD does not commit to its key; this does commit to the integers.
 */
export function updateHash(salt: Uint8Array, ints: Uint8Array): Hex {
  const leaves = Array.from({ length: chunkCount(ints.byteLength) }, (_, i) => leafHash(Buffer.concat([salt, chunkAt(ints, i)])));
  return toHex(merkleRoot(leaves));
}
