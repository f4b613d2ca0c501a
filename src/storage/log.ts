import { readFileSync } from 'node:fs';

/**
 * SQLite's write-ahead log (sqlite.org/fileformat2.html#the_write_ahead_log). When a frame does not match its checksum,
 * SQLite takes that for the end of the log and says nothing: commits behind it are gone in silence. So it is looked for here.
 */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;

/**
 * What is wrong with the log at `path`, which no connection may be writing; `undefined` for nothing. Frames without a
 * commit behind the last good one are what a crash leaves in the middle of a write, and belong to nobody.
 */
export function findLogDamage(path: string): string | undefined {
  const log = readIfThere(path);
  if (log === undefined || log.byteLength < HEADER_BYTES + FRAME_HEADER_BYTES) return undefined;
  const magic = log.readUInt32BE(0);
  if ((magic & ~1) >>> 0 !== MAGIC) return 'its header is not that of a log';
  const sum = new Checksum((magic & 1) === 1);
  sum.add(log, 0, HEADER_BYTES - 8);
  if (!sum.matches(log, HEADER_BYTES - 8)) return 'its header does not match its checksum';

  const pageBytes = log.readUInt32BE(8);
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  let broken: number | undefined;
  let lost = 0;
  for (let frame = 0, at = HEADER_BYTES; at + frameBytes <= log.byteLength; frame++, at += frameBytes) {
    // Frames with other salts are left from before the log began again.
    if (!log.subarray(at + 8, at + 16).equals(log.subarray(16, 24))) continue;
    if (broken === undefined) {
      sum.add(log, at, 8);
      sum.add(log, at + FRAME_HEADER_BYTES, pageBytes);
      if (sum.matches(log, at + 16)) continue;
      broken = frame;
    }
    if (log.readUInt32BE(at + 4) !== 0) lost += 1;
  }
  return lost === 0 ? undefined : `frame ${broken} does not match its checksum, and ${lost} commits stand in or behind it`;
}

/** The running checksum of sqlite.org/fileformat2.html#wal_file_format, over 32-bit words of the byte order that the magic number names. */
class Checksum {
  readonly #bigEndian: boolean;
  #s0 = 0;
  #s1 = 0;

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  add(bytes: Buffer, from: number, length: number): void {
    const word = (at: number): number => (this.#bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at));
    for (let at = from; at < from + length; at += 8) {
      this.#s0 = (this.#s0 + word(at) + this.#s1) >>> 0;
      this.#s1 = (this.#s1 + word(at + 4) + this.#s0) >>> 0;
    }
  }

  /** The stored one is big-endian always. */
  matches(bytes: Buffer, at: number): boolean {
    return bytes.readUInt32BE(at) === this.#s0 && bytes.readUInt32BE(at + 4) === this.#s1;
  }
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw e;
  }
}
