import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { StarlingError } from '../spec/errors.ts';

/** `<data>/api.json`: how a client finds the daemon of a data folder. */
export interface ApiFile {
  readonly url: string;
  /** Of the daemon itself, not of a launcher. */
  readonly pid: number;
  readonly version: string;
}

const apiPath = (data: string) => join(data, 'api.json');
const tokenPath = (data: string) => join(data, 'api.token');
/** Bytes: 256 bits cannot be guessed. */
const TOKEN_BYTES = 32;
const TOKEN = /^[0-9a-f]{64}$/;

/** Write to a neighbour and rename: a reader sees the old file, or the whole new one. */
function writeAtomic(path: string, text: string, mode: number): void {
  const temporary = `${path}.${process.pid}.tmp`;
  rmSync(temporary, { force: true }); // a leftover would keep its own mode
  const file = openSync(temporary, 'wx', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** Call once the API answers and libp2p listens: whoever sees the file may use both. */
export function writeApiFile(data: string, file: ApiFile): void {
  writeAtomic(apiPath(data), `${JSON.stringify(file)}\n`, 0o644);
}

/** Removes the file if it is this process's own; a successor's stays. */
export function removeApiFile(data: string): void {
  if (readApiFile(data)?.pid === process.pid) rmSync(apiPath(data), { force: true });
}

/** `undefined` when there is none. Throws DATA_CORRUPT. */
export function readApiFile(data: string): ApiFile | undefined {
  const text = readIfThere(apiPath(data));
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (isApiFile(value)) return value;
  } catch {
    // falls through to the same answer as a wrong shape
  }
  throw new StarlingError('DATA_CORRUPT', `${apiPath(data)} is not {url, pid, version}`, { fix: 'remove it and start the daemon again' });
}

const isApiFile = (value: unknown): value is ApiFile =>
  typeof value === 'object' &&
  value !== null &&
  'url' in value &&
  typeof value.url === 'string' &&
  'pid' in value &&
  typeof value.pid === 'number';

/** The bearer token of this data folder, made on first use (0600). Throws DATA_CORRUPT. */
export function loadOrCreateToken(data: string): string {
  const existing = readToken(data);
  if (existing !== undefined) return existing;
  const token = randomBytes(TOKEN_BYTES).toString('hex');
  writeAtomic(tokenPath(data), `${token}\n`, 0o600);
  return token;
}

/** `undefined` when there is none. Throws DATA_CORRUPT. */
export function readToken(data: string): string | undefined {
  const token = readIfThere(tokenPath(data))?.trim();
  if (token === undefined || TOKEN.test(token)) return token;
  throw new StarlingError('DATA_CORRUPT', `${tokenPath(data)} does not hold 64 hexadecimal digits`, {
    fix: 'remove it and start the daemon again',
  });
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new StarlingError('DATA_CORRUPT', `${path} cannot be read: ${(cause as Error).message}`, { fix: 'check who owns it' }, { cause });
  }
}
