import { crc32 } from 'node:zlib';

/**
 * CRC-32 (RFC 1952 section 8) over the parts of a row that no hash of its own covers. It finds what rotted on the disk;
 * forgery is what signatures are for.
 */
export const checksumOf = (...parts: readonly (Uint8Array | string)[]): number => parts.reduce<number>((sum, part) => crc32(part, sum), 0);
