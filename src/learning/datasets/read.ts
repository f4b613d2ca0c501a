import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { StarlingError } from '../../spec/index.ts';
import { MIB } from '../../spec/parameters.ts';

/** Bytes after unpacking. Twenty times Fashion-MNIST; a gzip bomb stops here. */
const FILE_MAX_BYTES = 1024 * MIB;

/** A whole file, unpacked if its name ends in .gz. Throws BAD_DATASET naming the file. */
export async function readBytes(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new StarlingError(
      'BAD_DATASET',
      `cannot read ${path}: ${(cause as Error).message}`,
      { field: path, fix: 'check the path and its permissions' },
      { cause },
    );
  }
  if (!path.endsWith('.gz')) return bytes;
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: FILE_MAX_BYTES });
  } catch (cause) {
    throw new StarlingError(
      'BAD_DATASET',
      `cannot unpack ${path}: ${(cause as Error).message}`,
      { field: path, fix: `give a whole gzip file that unpacks to at most ${FILE_MAX_BYTES / MIB} MiB` },
      { cause },
    );
  }
}
