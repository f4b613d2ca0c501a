import { sha256, toHex } from '../crypto/index.ts';
import { type Hex, KIB, StarlingError } from '../spec/index.ts';

/** A text and who signed it, in the signed-note format (c2sp.org/signed-note). Signatures are not checked yet. */
export interface SignedNote {
  /** What is signed: ends in a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  /** Name of the key. */
  readonly name: string;
  /** Which key of that name, and which algorithm: `noteKeyHash`. 4 bytes, 8 digits. */
  readonly keyHash: Hex;
  readonly signature: Uint8Array;
}

/** The specification asks for 16 at least. */
const MAX_SIGNATURES = 16;
/** UTF-16 units: MAX_SIGNATURES composite ones take 75 KiB. */
const NOTE_MAX_CHARACTERS = 128 * KIB;
const KEY_HASH_BYTES = 4;
/** Em dash, space, key name without spaces or plus, space, base64 (RFC 4648 section 4). */
const SIGNATURE_LINE = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/u;
/** Control characters other than the newline. */
const CONTROL = /[^\P{Cc}\n]/u;

/** sha256(name || 0x0A || signature type || public key), its first 4 bytes; `typedKey` is type and key together. */
export const noteKeyHash = (name: string, typedKey: Uint8Array): Hex =>
  toHex(sha256(Buffer.from(`${name}\n`), typedKey).subarray(0, KEY_HASH_BYTES));

/** One signature line, newline included. */
export const noteLine = ({ name, keyHash, signature }: NoteSignature): string =>
  `\u2014 ${name} ${Buffer.concat([Buffer.from(keyHash, 'hex'), signature]).toString('base64')}\n`;

/** Parses a signed note. Throws TOO_LARGE, MALFORMED. */
export function openNote(note: string): SignedNote {
  if (note.length > NOTE_MAX_CHARACTERS)
    throw new StarlingError('TOO_LARGE', `the note has ${note.length} characters, the bound is ${NOTE_MAX_CHARACTERS}`, { field: 'note' });
  if (!note.isWellFormed() || CONTROL.test(note)) throw badNote('note', 'holds control characters, or is not Unicode');
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) throw badNote('note', 'is not a text, an empty line, and signature lines');
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw badNote('note.signatures', `are more than ${MAX_SIGNATURES}`);
  return { text: note.slice(0, end + 1), signatures: lines.map(readLine) };
}

function readLine(line: string, i: number): NoteSignature {
  const field = `note.signatures[${i}]`;
  const [, name, packed] = SIGNATURE_LINE.exec(line) ?? [];
  const bytes = Buffer.from(packed ?? '', 'base64');
  // Node reads base64 that is not canonical; one signature has one line.
  if (name === undefined || bytes.byteLength <= KEY_HASH_BYTES || bytes.toString('base64') !== packed)
    throw badNote(field, 'is not an em dash, a key name, and a signature in base64');
  return { name, keyHash: toHex(bytes.subarray(0, KEY_HASH_BYTES)), signature: new Uint8Array(bytes.subarray(KEY_HASH_BYTES)) };
}

export const badNote = (field: string, problem: string): StarlingError =>
  new StarlingError('MALFORMED', `${field} ${problem}`, {
    field,
    fix: 'take the file as `starling ledger checkpoint` wrote it, its last newline included',
  });
