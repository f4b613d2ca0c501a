import { KIB, StarlingError, type TensorSpec } from '../spec/index.ts';

/** One f32 tensor with its values, row-major. */
export interface NamedTensor extends TensorSpec {
  readonly values: Float32Array;
}

/** Bytes of the header's own length field. */
const LENGTH_BYTES = 8;
/** Bytes. 10,000 tensors take under 2 MiB of JSON; the reference implementation allows 100 MB, a stranger gets less. */
const HEADER_MAX_BYTES = 4096 * KIB;
const METADATA = '__metadata__';

/**
 * Safetensors file (github.com/huggingface/safetensors, README "Format"): 8-byte little-endian header length, JSON
 * header padded with spaces to 8 bytes, data. Tensors stand in the order given.
 */
export function encodeSafetensors(tensors: readonly NamedTensor[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  const head = safetensorsHead(tensors, metadata);
  const file = new Uint8Array(tensors.reduce((bytes, { values }) => bytes + values.byteLength, head.byteLength));
  file.set(head);
  let at = head.byteLength;
  for (const { values } of tensors) {
    file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return file;
}

/** What stands in such a file before its data: length and JSON header. */
export function safetensorsHead(tensors: readonly TensorSpec[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  let offset = 0;
  const entries: [string, unknown][] = metadata === undefined ? [] : [[METADATA, metadata]];
  for (const { name, shape } of tensors) {
    const end = offset + shape.reduce((product, axis) => product * axis, Float32Array.BYTES_PER_ELEMENT);
    entries.push([name, { dtype: 'F32', shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const headerBytes = Math.ceil(json.byteLength / 8) * 8;
  const head = Buffer.alloc(LENGTH_BYTES + headerBytes, ' ');
  head.writeBigUInt64LE(BigInt(headerBytes));
  head.set(json, LENGTH_BYTES);
  return new Uint8Array(head.buffer, head.byteOffset, head.byteLength);
}

/**
 * Tensors in the order of their data. Strict: f32 alone, offsets that cover the data without gap or overlap, sizes
 * that match shapes, no name twice. The values are views of the file where its data is aligned. Throws TOO_LARGE or BAD_SAFETENSORS naming the tensor.
 */
export function decodeSafetensors(file: Uint8Array, maxBytes: number): NamedTensor[] {
  if (file.byteLength > maxBytes)
    throw new StarlingError('TOO_LARGE', `the safetensors file has ${file.byteLength} bytes, the bound is ${maxBytes}`, { field: 'file' });
  const dataStart = LENGTH_BYTES + headerLength(file);
  const entries = Object.entries(parseHeader(file.subarray(LENGTH_BYTES, dataStart)))
    .filter(([name]) => name !== METADATA)
    .map(([name, value]) => ({ name, ...readTensorInfo(name, value) }))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  const tensors = entries.map(({ name, shape, begin, end }) => {
    if (begin !== expected) throw bad(name, `begins at byte ${begin}, the data before it ends at ${expected}`);
    if (end > file.byteLength - dataStart) throw bad(name, `ends at byte ${end}, the file holds ${file.byteLength - dataStart}`);
    expected = end;
    return { name, shape, values: floatsIn(file, dataStart + begin, dataStart + end) };
  });
  if (expected !== file.byteLength - dataStart)
    throw bad('the file', `has ${file.byteLength - dataStart - expected} bytes after its last tensor`);
  return tensors;
}

/** A view, or a copy where the data is not aligned to four bytes. Every platform of Node is little-endian, as the format is. */
function floatsIn(file: Uint8Array, start: number, end: number): Float32Array {
  if ((file.byteOffset + start) % 4 !== 0) return new Float32Array(file.slice(start, end).buffer);
  return new Float32Array(file.buffer, file.byteOffset + start, (end - start) / 4);
}

/**
 * The values of `decoded` joined in the order of `tensors`: the bytes they lie in where they do so already, else a copy. Throws BAD_SHAPE
 * naming the first tensor that is missing, unknown or shaped otherwise.
 */
export function matchTensors(tensors: readonly TensorSpec[], decoded: readonly NamedTensor[]): Float32Array {
  const byName = new Map(decoded.map((tensor) => [tensor.name, tensor]));
  const rows = tensors.map(({ name, shape }) => {
    const tensor = byName.get(name);
    if (tensor === undefined) throw badShape(name, `tensor ${name} is missing`);
    if (tensor.shape.length !== shape.length || tensor.shape.some((axis, i) => axis !== shape[i]))
      throw badShape(name, `tensor ${name} has shape [${tensor.shape.join(', ')}], the swarm's model has [${shape.join(', ')}]`);
    byName.delete(name);
    return tensor.values;
  });
  for (const name of byName.keys()) throw badShape(name, `tensor ${name} is not part of the swarm's model`);
  const [first] = rows;
  const total = rows.reduce((sum, row) => sum + row.length, 0);
  if (first !== undefined && areInOrder(rows)) return new Float32Array(first.buffer, first.byteOffset, total);
  const joined = new Float32Array(total);
  let at = 0;
  for (const row of rows) {
    joined.set(row, at);
    at += row.length;
  }
  return joined;
}

function areInOrder(rows: readonly Float32Array[]): boolean {
  return rows.every((row, i) => {
    const before = rows[i - 1];
    return before === undefined || (row.buffer === before.buffer && row.byteOffset === before.byteOffset + before.byteLength);
  });
}

function headerLength(file: Uint8Array): number {
  if (file.byteLength < LENGTH_BYTES) throw bad('the file', 'is shorter than its length field');
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (length > BigInt(Math.min(HEADER_MAX_BYTES, file.byteLength - LENGTH_BYTES))) throw bad('the header', `claims ${length} bytes`);
  return Number(length);
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw bad('the header', `is not JSON in UTF-8: ${(cause as Error).message}`);
  }
  if (!text.startsWith('{') || typeof header !== 'object' || header === null) throw bad('the header', 'is not a JSON object');
  refuseRepeatedNames(text);
  return header as Record<string, unknown>;
}

/** JSON.parse keeps the last of two equal keys without a word; the format forbids them. `text` is valid JSON. */
function refuseRepeatedNames(text: string): void {
  const open: Set<string>[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*:?|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (token.endsWith(':')) {
      const name = JSON.parse(token.slice(0, -1)) as string;
      const names = open.at(-1) as Set<string>;
      if (names.has(name)) throw bad(name, 'is there twice');
      names.add(name);
    }
  }
}

interface TensorInfo {
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readTensorInfo(name: string, value: unknown): TensorInfo {
  if (typeof value !== 'object' || value === null) throw bad(name, 'is not described by an object');
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (dtype !== 'F32') throw bad(name, `has dtype ${String(dtype)}; only F32 is read`, 'convert it to float32 before saving');
  if (!isSizes(shape)) throw bad(name, 'has a shape that is not a list of sizes');
  if (!isSizes(offsets) || offsets.length !== 2) throw bad(name, 'has data_offsets that are not two positions');
  const [begin, end] = offsets as [number, number];
  const bytes = 4 * shape.reduce((product, axis) => product * axis, 1);
  if (end - begin !== bytes) throw bad(name, `has ${end - begin} bytes of data, its shape needs ${bytes}`);
  return { shape, begin, end };
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0);

const bad = (tensor: string, problem: string, fix?: string): StarlingError =>
  new StarlingError('BAD_SAFETENSORS', `safetensors: ${tensor} ${problem}`, {
    field: tensor,
    fix: fix ?? 'write the file again with the safetensors library',
  });

const badShape = (tensor: string, message: string): StarlingError =>
  new StarlingError('BAD_SHAPE', message, { field: tensor, fix: 'send exactly the tensors that `starling swarm show` lists' });
