import { fromHex, toHex } from '../crypto/index.ts';
import { FRAME_MAX_BYTES, type Hex, type SignedEntry } from '../spec/index.ts';
import {
  decode,
  decodeEntry,
  encode,
  encodeEntry,
  malformed,
  readBytes,
  readHash,
  readInt,
  readList,
  readNullable,
  readOneOf,
  readTuple,
  SIGNED_ENTRY_MAX_BYTES,
} from '../wire/index.ts';
import type { Cursor } from './difference.ts';
import { decodeTips, TIP_BYTES, type Tip } from './frontier.ts';
import { PREFIX_DIGITS } from './graph.ts';

/** Where a node stands: its epoch, and size and root of the tree over its order. Informational in sync. */
export interface SyncHead {
  readonly epoch: number;
  readonly size: number;
  readonly root: Hex;
}

/** The one who asks drives; the one who answers keeps nothing between requests. */
export type SyncRequest =
  | { readonly type: 'hello'; readonly head: SyncHead; readonly digest: Hex }
  /** Tips after this record. */
  | { readonly type: 'tips'; readonly after: Uint8Array }
  /** Which of these ids (first 16 bytes) do you hold? */
  | { readonly type: 'probe'; readonly ids: readonly Hex[] }
  /** Entries on the chains to `want` that are not on those to `have`, after the cursor. */
  | { readonly type: 'want'; readonly want: readonly Hex[]; readonly have: readonly Hex[]; readonly after: Cursor | null }
  | { readonly type: 'push'; readonly entries: readonly SignedEntry[] };

export type SyncResponse =
  | { readonly type: 'equal'; readonly head: SyncHead }
  | { readonly type: 'tips'; readonly head: SyncHead; readonly tips: readonly Tip[]; readonly last: Uint8Array; readonly more: boolean }
  /** To `probe`: one answer an id. To `want`: one for each of `have`, when not all are held. */
  | { readonly type: 'known'; readonly known: readonly boolean[] }
  | { readonly type: 'entries'; readonly entries: readonly SignedEntry[]; readonly more: boolean }
  | { readonly type: 'ok' };

const REQUESTS = ['hello', 'tips', 'probe', 'want', 'push'] as const;
const RESPONSES = ['equal', 'tips', 'known', 'entries', 'ok'] as const;
const PREFIX_BYTES = PREFIX_DIGITS / 2;
/** Entries in a frame: more than fit. */
const MAX_ENTRIES = FRAME_MAX_BYTES / 128;

/** Canonical CBOR array: the type's name, then its fields. */
export function encodeRequest(request: SyncRequest): Uint8Array {
  switch (request.type) {
    case 'hello':
      return encode(['hello', ...headToWire(request.head), fromHex(request.digest)]);
    case 'tips':
      return encode(['tips', request.after]);
    case 'probe':
      return encode(['probe', packPrefixes(request.ids)]);
    case 'want': {
      const after = request.after === null ? null : [request.after.lam, fromHex(request.after.id)];
      return encode(['want', packPrefixes(request.want), packPrefixes(request.have), after]);
    }
    case 'push':
      return encode(['push', request.entries.map(encodeEntry)]);
  }
}

/** Throws TOO_LARGE, MALFORMED or NON_CANONICAL. No signature is checked. */
export function decodeRequest(bytes: Uint8Array): SyncRequest {
  const [type, fields] = open(bytes, REQUESTS);
  switch (type) {
    case 'hello': {
      const [epoch, size, root, digest] = readTuple(fields, 'sync.hello', 4);
      return { type, head: readHead(epoch, size, root), digest: readHash(digest, 'sync.digest') };
    }
    case 'tips': {
      const [after] = readTuple(fields, 'sync.tips', 1);
      return { type, after: readBytes(after, 'sync.after', TIP_BYTES) };
    }
    case 'probe': {
      const [ids] = readTuple(fields, 'sync.probe', 1);
      return { type, ids: readPrefixes(ids, 'sync.ids') };
    }
    case 'want': {
      const [want, have, after] = readTuple(fields, 'sync.want', 3);
      return {
        type,
        want: readPrefixes(want, 'sync.want'),
        have: readPrefixes(have, 'sync.have'),
        after: readNullable(after, 'sync.after', readCursor),
      };
    }
    case 'push': {
      const [entries] = readTuple(fields, 'sync.push', 1);
      return { type, entries: readEntries(entries) };
    }
  }
}

/** `tips` are sent as the records of `encodeTips`. */
export type OutgoingResponse =
  | Exclude<SyncResponse, { type: 'tips' }>
  | { readonly type: 'tips'; readonly head: SyncHead; readonly records: readonly Uint8Array[]; readonly more: boolean };

export function encodeResponse(response: OutgoingResponse): Uint8Array {
  switch (response.type) {
    case 'equal':
      return encode(['equal', ...headToWire(response.head)]);
    case 'tips':
      return encode(['tips', ...headToWire(response.head), Buffer.concat(response.records), response.more]);
    case 'known':
      return encode(['known', Uint8Array.from(response.known, Number)]);
    case 'entries':
      return encode(['entries', response.entries.map(encodeEntry), response.more]);
    case 'ok':
      return encode(['ok']);
  }
}

/** Throws TOO_LARGE, MALFORMED or NON_CANONICAL. No signature is checked. */
export function decodeResponse(bytes: Uint8Array): SyncResponse {
  const [type, fields] = open(bytes, RESPONSES);
  switch (type) {
    case 'equal': {
      const [epoch, size, root] = readTuple(fields, 'sync.equal', 3);
      return { type, head: readHead(epoch, size, root) };
    }
    case 'tips': {
      const [epoch, size, root, tips, more] = readTuple(fields, 'sync.tips', 5);
      const records = readBytes(tips, 'sync.tips', 0, FRAME_MAX_BYTES);
      return {
        type,
        head: readHead(epoch, size, root),
        tips: decodeTips(records),
        last: records.subarray(-TIP_BYTES),
        more: readFlag(more, 'sync.more'),
      };
    }
    case 'known': {
      const [known] = readTuple(fields, 'sync.known', 1);
      return {
        type,
        known: [...readBytes(known, 'sync.known', 0, FRAME_MAX_BYTES)].map((byte) => readOneOf(byte, 'sync.known', [0, 1]) === 1),
      };
    }
    case 'entries': {
      const [entries, more] = readTuple(fields, 'sync.entries', 2);
      return { type, entries: readEntries(entries), more: readFlag(more, 'sync.more') };
    }
    case 'ok':
      readTuple(fields, 'sync.ok', 0);
      return { type };
  }
}

function open<T extends string>(bytes: Uint8Array, types: readonly T[]): [T, readonly unknown[]] {
  const [type, ...fields] = readList(decode(bytes, 'sync', FRAME_MAX_BYTES), 'sync', 8, (item) => item);
  return [readOneOf(type, 'sync.type', types), fields];
}

const headToWire = (head: SyncHead): readonly unknown[] => [head.epoch, head.size, fromHex(head.root)];
const readHead = (epoch: unknown, size: unknown, root: unknown): SyncHead => ({
  epoch: readInt(epoch, 'sync.epoch'),
  size: readInt(size, 'sync.size'),
  root: readHash(root, 'sync.root'),
});

function readCursor(value: unknown, field: string): Cursor {
  const [lam, id] = readTuple(value, field, 2);
  return { lam: readInt(lam, `${field}.lam`, 1), id: readHash(id, `${field}.id`) };
}

const readEntries = (value: unknown): SignedEntry[] =>
  readList(value, 'sync.entries', MAX_ENTRIES, (item, field) => decodeEntry(readBytes(item, field, 1, SIGNED_ENTRY_MAX_BYTES)));

const packPrefixes = (prefixes: readonly Hex[]): Uint8Array => fromHex(prefixes.join(''));

function readPrefixes(value: unknown, field: string): Hex[] {
  const bytes = readBytes(value, field, 0, FRAME_MAX_BYTES);
  if (bytes.byteLength % PREFIX_BYTES !== 0) throw malformed(field, 'is not a whole number of ids');
  const digits = toHex(bytes);
  return Array.from({ length: bytes.byteLength / PREFIX_BYTES }, (_, i) => digits.slice(i * PREFIX_DIGITS, (i + 1) * PREFIX_DIGITS));
}

function readFlag(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw malformed(field, 'is not a boolean');
  return value;
}
