import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ContentRoot } from '../spec/index.ts';
import { indexFile, ROOT, SHELF, UNFINISHED } from './blobStore.ts';
import type { Damage } from './damage.ts';

/** A damaged blob, and the file or folder that a repair moves aside. */
export type BlobDamage = Damage & { readonly path: string };

export interface BlobInspection {
  /** Roots whose file is what they stand for. */
  readonly sound: ReadonlySet<ContentRoot>;
  readonly damages: readonly BlobDamage[];
}

/** Reads every file of a blob folder and changes nothing. A missing folder is an empty one. */
export async function inspectBlobs(folder: string): Promise<BlobInspection> {
  const damages: BlobDamage[] = [];
  const sound = new Set<ContentRoot>();
  if (!existsSync(folder)) return { sound, damages };
  const found = (kind: Damage['kind'], path: string, message: string): void => {
    damages.push({ kind, path, message, where: join(basename(folder), path.slice(folder.length + 1)) });
  };
  for (const shelf of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, shelf.name);
    if (shelf.name === UNFINISHED && shelf.isDirectory()) {
      for (const name of await readdir(path)) found('unfinished', join(path, name), 'content that was never written to its end');
    } else if (!SHELF.test(shelf.name) || !shelf.isDirectory()) {
      found('stranger', path, 'no content lies here');
    } else {
      for (const file of await readdir(path, { withFileTypes: true })) {
        const at = join(path, file.name);
        if (!file.isFile() || !ROOT.test(file.name) || !file.name.startsWith(shelf.name))
          found('stranger', at, 'its name is no root of this shelf');
        else if ((await indexFile(at, file.name)) === 'rotten') found('content', at, 'it does not hash to its name');
        else sound.add(file.name);
      }
    }
  }
  return { sound, damages };
}
