import { hash } from 'node:crypto';
import { fromString, toString as toText } from 'uint8arrays';
import type { Hex } from '../spec/index.ts';

/** sha256 of the concatenation of `parts`. 32 bytes. FIPS 180-4. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const input = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  return new Uint8Array(hash('sha256', input, 'buffer'));
}

export const toHex = (bytes: Uint8Array): Hex => toText(bytes, 'base16');
export const fromHex = (hex: Hex): Uint8Array => fromString(hex, 'base16');
export const utf8 = (text: string): Uint8Array => fromString(text, 'utf8');

/**
 * sha256(domain || 0x00 || parts): hashes of different things never collide, whatever their content.
 * Domains are ASCII, e.g. `starling/entry/1`.
 */
export const hashWithDomain = (domain: string, ...parts: readonly Uint8Array[]): Uint8Array => sha256(utf8(domain), ZERO_BYTE, ...parts);

const ZERO_BYTE = new Uint8Array(1);
/** 64 zero digits: the hash of nothing (an empty aggregate, no previous decision). */
export const ZERO_HASH: Hex = '0'.repeat(64);
