import { open, rename, writeFile } from 'node:fs/promises';
import { StarlingError } from '../spec/errors.ts';

/** Bytes. More than any signed note that is read (wire/note.ts). */
export const NOTE_MAX_BYTES = 256 * 1024;

/** A file as UTF-8 text. Throws NOT_FOUND, or TOO_LARGE for one of more than `maxBytes`; `field` names it. */
export async function readText(path: string, field: string, maxBytes: number): Promise<string> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if (size > maxBytes)
      throw new StarlingError('TOO_LARGE', `${path} has ${size} bytes, at most ${maxBytes} are read`, { field, fix: 'check the path' });
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof StarlingError) throw cause;
    throw new StarlingError(
      'NOT_FOUND',
      `${path} cannot be read: ${(cause as Error).message}`,
      { field, fix: 'check the path' },
      { cause },
    );
  }
}

/** Writes a file whole or not at all. */
export async function writeWhole(path: string, content: string): Promise<void> {
  await writeFile(`${path}.partial`, content);
  await rename(`${path}.partial`, path);
}
