import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StarlingError } from '../../spec/index.ts';
import { parseCsv } from './csv.ts';
import { type Dataset, fromOneTable, fromTwoTables, type Table } from './dataset.ts';
import { idxTable } from './idx.ts';
import { readBytes } from './read.ts';

export type { Dataset } from './dataset.ts';

/** Bundled data sets. src/learning/datasets and dist/learning/datasets lie equally deep below the package. */
const BUNDLED: Readonly<Record<string, string>> = {
  digits: fileURLToPath(new URL('../../../configs/datasets/digits.csv.gz', import.meta.url)),
};
/** Images of bytes: 255 is full scale. */
const BYTE_SCALE = 255;

/**
 * `digits`, a directory of idx files with MNIST's names, or a CSV file (.csv or .csv.gz, class last).
 * Reads only local files. Throws BAD_DATASET with file, line or offset, and the fix.
 */
export async function loadDataset(nameOrPath: string): Promise<Dataset> {
  const bundled = Object.hasOwn(BUNDLED, nameOrPath) ? BUNDLED[nameOrPath] : undefined;
  if (bundled !== undefined) return fromOneTable(nameOrPath, parseCsv(bundled, await readBytes(bundled)));
  const path = resolve(nameOrPath);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return loadIdxDirectory(path);
  if (found?.isFile() && /\.csv(\.gz)?$/.test(path)) return fromOneTable(basename(path), parseCsv(path, await readBytes(path)));
  throw new StarlingError(
    'BAD_DATASET',
    `${nameOrPath} is ${found ? 'not a .csv file or a directory of idx files' : 'neither a bundled data set nor a path'}`,
    {
      field: nameOrPath,
      fix: `name a bundled data set (${Object.keys(BUNDLED).join(', ')}), a .csv or .csv.gz file, or a directory of idx files`,
    },
  );
}

async function loadIdxDirectory(path: string): Promise<Dataset> {
  const names = await readdir(path);
  const read = async (name: string): Promise<{ file: string; bytes: Uint8Array }> => {
    const file = join(path, names.includes(name) ? name : `${name}.gz`);
    return { file, bytes: await readBytes(file) };
  };
  const table = async (set: string): Promise<Table> =>
    idxTable(await read(`${set}-images-idx3-ubyte`), await read(`${set}-labels-idx1-ubyte`));
  const [train, test] = [await table('train'), await table('t10k')];
  if (train.features !== test.features)
    throw new StarlingError('BAD_DATASET', `${path}: training images have ${train.features} values, test images ${test.features}`, {
      field: path,
      fix: 'take all four files from one data set',
    });
  return fromTwoTables(basename(path), train, test, BYTE_SCALE);
}
