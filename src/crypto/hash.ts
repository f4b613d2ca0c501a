import { createHash, hash } from 'node:crypto';
import { fromString } from 'uint8arrays';
import type { Hex } from '../spec/index.ts';

/** Bytes beyond which hashing part by part costs less than joining the parts first (measured: 1.7 times as fast at 256 KiB). */
const LARGE = 16 * 1024;

/** sha256 of the concatenation of `parts`. 32 bytes. FIPS 180-4. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length > 1 && parts.some((part) => part.byteLength > LARGE)) {
    const running = createHash('sha256');
    for (const part of parts) running.update(part);
    return new Uint8Array(running.digest());
  }
  const input = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  return new Uint8Array(hash('sha256', input, 'buffer'));
}

// Buffer's codec: an entry has some twenty identifiers, and a generic base-n codec takes a tenth of its check's time.
export const toHex = (bytes: Uint8Array): Hex => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
/** Throws SyntaxError for what is not pairs of hexadecimal digits. */
export function fromHex(hex: Hex): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(hex, 'hex')); // Buffer stops at the first digit that is none
  if (2 * bytes.byteLength !== hex.length) throw new SyntaxError('not pairs of hexadecimal digits');
  return bytes;
}
export const utf8 = (text: string): Uint8Array => fromString(text, 'utf8');

/**
 * sha256(domain || 0x00 || parts): hashes of different things never collide, whatever their content.
 * Domains are ASCII, e.g. `starling/entry/1`.
 */
export const hashWithDomain = (domain: string, ...parts: readonly Uint8Array[]): Uint8Array => sha256(utf8(domain), ZERO_BYTE, ...parts);

const ZERO_BYTE = new Uint8Array(1);
/** 64 zero digits: the hash of nothing (an empty aggregate, no previous decision). */
export const ZERO_HASH: Hex = '0'.repeat(64);
