import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { CHUNK_BYTES, StarlingError } from '../spec/index.ts';

/** Bytes. Poly1305 tag of each segment (RFC 8439 section 2.8). */
const TAG_BYTES = 16;
/** Bytes of plaintext in a full segment, so that a sealed segment is exactly one content chunk. */
export const SEGMENT_BYTES = CHUNK_BYTES - TAG_BYTES;
const CIPHER = 'chacha20-poly1305';
const NONCE_BYTES = 12;

/**
 * Nonce of segment `i`: 11-byte big-endian counter, then 1 for the last segment and 0 for the others. STREAM
 * (Hoang, Reyhanitabar, Rogaway, Vizar, CRYPTO 2015): segments cannot be reordered, dropped or cut off.
 */
function segmentNonce(i: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(i, NONCE_BYTES - 7, 6);
  nonce[NONCE_BYTES - 1] = isLast ? 1 : 0;
  return nonce;
}

/** One AEAD box: ciphertext || 16-byte tag. ChaCha20-Poly1305, RFC 8439 section 2.8. */
export function aeadSeal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(aad, { plaintextLength: plaintext.byteLength });
  const body = cipher.update(plaintext);
  cipher.final();
  return new Uint8Array(Buffer.concat([body, cipher.getAuthTag()]));
}

/** Opens one box. Throws DECRYPT_FAILED. */
export function aeadOpen(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array {
  const end = sealed.byteLength - TAG_BYTES;
  if (end < 0) throw failed('it is shorter than a tag');
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(aad, { plaintextLength: end });
  decipher.setAuthTag(sealed.subarray(end));
  const plaintext = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
  } catch {
    throw failed('the key, the content or its context is not the one it was sealed with');
  }
  return new Uint8Array(plaintext);
}

/**
 * Seals `plaintext` in segments of CHUNK_BYTES each (the last may be shorter; empty plaintext is one empty segment).
 * `key` is 32 bytes and MUST be used for one plaintext only: nonces are counters.
 */
export function sealSegments(key: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const count = Math.max(1, Math.ceil(plaintext.byteLength / SEGMENT_BYTES));
  const sealed = new Uint8Array(plaintext.byteLength + count * TAG_BYTES);
  for (let i = 0; i < count; i++) {
    const segment = plaintext.subarray(i * SEGMENT_BYTES, (i + 1) * SEGMENT_BYTES);
    sealed.set(aeadSeal(key, segmentNonce(i, i === count - 1), aad, segment), i * CHUNK_BYTES);
  }
  return sealed;
}

/** Bytes that `plaintextBytes` take when sealed in segments. */
export const sealedSize = (plaintextBytes: number): number =>
  plaintextBytes + TAG_BYTES * Math.max(1, Math.ceil(plaintextBytes / SEGMENT_BYTES));

/**
 * Opens what `sealSegments` made; `maxBytes` bounds the plaintext. Throws TOO_LARGE before any work, DECRYPT_FAILED
 * when a segment is altered, missing, added or out of place.
 */
export function openSegments(key: Uint8Array, aad: Uint8Array, sealed: Uint8Array, maxBytes: number): Uint8Array {
  const count = Math.ceil(sealed.byteLength / CHUNK_BYTES);
  const plaintextBytes = sealed.byteLength - count * TAG_BYTES;
  if (plaintextBytes > maxBytes)
    throw new StarlingError('TOO_LARGE', `sealed content holds ${plaintextBytes} bytes, the bound is ${maxBytes}`, { field: 'sealed' });
  // An empty last segment is allowed only alone: otherwise one plaintext would have two forms.
  const lastBytes = sealed.byteLength - (count - 1) * CHUNK_BYTES;
  if (count === 0 || lastBytes < TAG_BYTES || (lastBytes === TAG_BYTES && count > 1)) throw failed('it is cut off');
  const plaintext = new Uint8Array(plaintextBytes);
  for (let i = 0; i < count; i++) {
    const segment = sealed.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
    plaintext.set(aeadOpen(key, segmentNonce(i, i === count - 1), aad, segment), i * SEGMENT_BYTES);
  }
  return plaintext;
}

/** HKDF-SHA256 (RFC 5869), extract and expand. `length` bytes, at most 255 x 32. */
export const hkdfSha256 = (secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', secret, salt, info, length));

const failed = (why: string): StarlingError =>
  new StarlingError('DECRYPT_FAILED', `sealed content does not open: ${why}`, {
    fix: 'ask its author or another holder for content and key again',
  });
