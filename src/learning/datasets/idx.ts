import { StarlingError } from '../../spec/index.ts';
import type { Table } from './dataset.ts';

/** One idx file of unsigned bytes: its dimensions and the bytes in row-major order. */
interface Idx {
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

const UBYTE = 0x08;
const FIX =
  'give the files as published: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each plain or .gz';

/**
 * The idx format (LeCun, Cortes, Burges, "The MNIST database"): 0, 0, type, rank, then rank big-endian u32
 * sizes, then the values. Only unsigned bytes. Throws BAD_DATASET naming file and offset.
 */
export function parseIdx(file: string, bytes: Uint8Array, rank: number): Idx {
  const header = 4 + 4 * rank;
  if (bytes.length < header) throw bad(file, bytes.length, `the file ends inside its header of ${header} bytes`);
  const magic = [0, 0, UBYTE, rank];
  const wrong = magic.findIndex((byte, i) => bytes[i] !== byte);
  if (wrong >= 0) throw bad(file, wrong, `byte ${bytes[wrong]} where ${magic[wrong]} belongs (magic ${magic.join(' ')})`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = header + dims.reduce((product, size) => product * size, 1);
  if (bytes.length !== expected)
    throw bad(file, Math.min(bytes.length, expected), `${bytes.length} bytes where ${dims.join(' x ')} values need ${expected}`);
  return { dims, data: bytes.subarray(header) };
}

/** Joins images [n, height, width] with labels [n]. Throws BAD_DATASET. */
export function idxTable(images: { file: string; bytes: Uint8Array }, labels: { file: string; bytes: Uint8Array }): Table {
  const x = parseIdx(images.file, images.bytes, 3);
  const y = parseIdx(labels.file, labels.bytes, 1);
  const [n, height, width] = x.dims as [number, number, number];
  if (n === 0 || height * width === 0) throw bad(images.file, 4, `it holds ${n} images of ${height} x ${width}`);
  if (y.dims[0] !== n) throw bad(labels.file, 4, `${y.dims[0]} labels for the ${n} images of ${images.file}`);
  return { n, features: height * width, x: x.data, y: Uint16Array.from(y.data) };
}

const bad = (file: string, offset: number, message: string): StarlingError =>
  new StarlingError('BAD_DATASET', `${file}, offset ${offset}: ${message}`, { field: file, offset, fix: FIX });
