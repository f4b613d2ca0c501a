import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { KIB, StarlingError } from '../spec/index.ts';

/** zstd's own default: 3 is near the knee of speed against size. */
const DEFAULT_LEVEL = 3;
/** log2 bytes. RFC 8878 section 3.1.1.1.2: decoders need support no window above 8 MiB; a frame that asks for more is refused. */
const WINDOW_LOG_MAX = 23;
/** Bytes decompressed at once, as Node's default; a frame that states its size comes in one piece, which joining would copy. */
const PIECE_BYTES = 16 * KIB;
const MAGIC = 0xfd2fb528;

/** One zstd frame (RFC 8878) that states its content size. `level` 1..19. */
export const compress = (bytes: Uint8Array, level: number = DEFAULT_LEVEL): Uint8Array =>
  new Uint8Array(
    zstdCompressSync(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: windowLogFor(bytes.byteLength) },
      pledgedSrcSize: bytes.byteLength,
    }),
  );

/**
 * The content of a zstd frame, at most `maxOutputBytes`. Throws TOO_LARGE (before decompressing, when the frame
 * states its size) or MALFORMED.
 */
export function decompress(bytes: Uint8Array, maxOutputBytes: number): Uint8Array {
  const stated = statedSize(bytes);
  if (stated !== undefined && stated > BigInt(maxOutputBytes)) throw tooLarge(maxOutputBytes);
  let content: Uint8Array;
  let consumedBytes: number;
  try {
    const made: object = zstdDecompressSync(bytes, {
      info: true,
      maxOutputLength: Math.max(1, maxOutputBytes),
      chunkSize: stated === undefined ? PIECE_BYTES : Math.max(PIECE_BYTES, Number(stated)),
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
    });
    if (!hasEngine(made)) throw new Error('this Node does not say how much of the input was a frame');
    content = owned(made.buffer);
    consumedBytes = made.engine.bytesWritten;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxOutputBytes);
    throw malformedFrame((cause as Error).message, cause);
  }
  if (content.byteLength > maxOutputBytes) throw tooLarge(maxOutputBytes);
  if (consumedBytes !== bytes.byteLength) throw malformedFrame('bytes follow it');
  if (stated !== undefined && stated !== BigInt(content.byteLength))
    throw malformedFrame(`it states ${stated} bytes and holds ${content.byteLength}`);
  return content;
}

/** With `info` the result holds the engine beside the content, which says how much of the input was a frame. Node's types do not know. */
const hasEngine = (made: object): made is { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } } =>
  'buffer' in made &&
  made.buffer instanceof Uint8Array &&
  'engine' in made &&
  typeof made.engine === 'object' &&
  made.engine !== null &&
  'bytesWritten' in made.engine &&
  typeof made.engine.bytesWritten === 'number';

/** A view of what is alone in its memory; a copy of what lies in Node's shared pool, or in a piece with room to spare. */
const owned = ({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array =>
  buffer.byteLength === byteLength
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : new Uint8Array(buffer, byteOffset, byteLength).slice();

const tooLarge = (maxOutputBytes: number): StarlingError =>
  new StarlingError('TOO_LARGE', `compressed content holds more than ${maxOutputBytes} bytes`, { field: 'zstd' });

const malformedFrame = (why: string, cause?: unknown): StarlingError =>
  new StarlingError('MALFORMED', `not one zstd frame: ${why}`, { field: 'zstd' }, { cause });

/** Window as small as the content needs (at least zstd's minimum, 1 KiB), never above what `decompress` accepts. */
const windowLogFor = (sizeBytes: number): number => Math.min(WINDOW_LOG_MAX, Math.max(10, Math.ceil(Math.log2(Math.max(1, sizeBytes)))));

/** Frame_Content_Size of the first frame's header, if it is there. RFC 8878 section 3.1.1.1. Throws MALFORMED without a header. */
function statedSize(bytes: Uint8Array): bigint | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (view.getUint32(0, true) !== MAGIC) throw new RangeError('no magic number');
    const descriptor = view.getUint8(4);
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] as number;
    const at = 5 + (isSingleSegment ? 0 : 1) + dictionaryIdBytes;
    switch (descriptor >> 6) {
      case 0:
        return isSingleSegment ? BigInt(view.getUint8(at)) : undefined;
      case 1:
        return BigInt(view.getUint16(at, true) + 256);
      case 2:
        return BigInt(view.getUint32(at, true));
      default:
        return view.getBigUint64(at, true);
    }
  } catch (cause) {
    throw malformedFrame((cause as Error).message, cause);
  }
}
