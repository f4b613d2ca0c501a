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
import { type Point, SALT_BYTES } from './frontier.ts';
import type { RangeAnswer, RangeAsk } from './reconcile.ts';
import { packAnswers, packAsks, packPoints, readAnswers, readAsks, readPoints } from './syncPacking.ts';

/** Where a node stands: its epoch, and size and root of the tree over its order. Informational in sync. */
export interface SyncHead {
  readonly epoch: number;
  readonly size: number;
  readonly root: Hex;
}

/**
 * The one who asks drives; the one who answers keeps nothing between requests, so an exchange may be cut anywhere and
 * a request may be sent again. `salt` is what both sides mix into tags.
 */
export type SyncRequest =
  /** `digest` of the asker's frontier; unless it is the answerer's too, the whole frontier is the first range looked at. */
  | { readonly type: 'hello'; readonly head: SyncHead; readonly digest: Hex }
  | { readonly type: 'look'; readonly salt: Hex; readonly asks: readonly RangeAsk[] }
  /** Which of these entries do you hold? */
  | { readonly type: 'probe'; readonly salt: Hex; readonly points: readonly Point[] }
  /** Entries on the chains to `want` that are not on those to `have`, after the cursor. */
  | {
      readonly type: 'want';
      readonly salt: Hex;
      readonly want: readonly Point[];
      readonly have: readonly Point[];
      readonly after: Cursor | null;
    }
  | { readonly type: 'push'; readonly entries: readonly SignedEntry[] };

export type SyncResponse =
  | { readonly type: 'equal'; readonly head: SyncHead }
  | { readonly type: 'differs'; readonly head: SyncHead; readonly answers: readonly RangeAnswer[] }
  /** To the first of the ranges asked about, as many as fit. */
  | { readonly type: 'ranges'; readonly answers: readonly RangeAnswer[] }
  /** To `probe`: one answer a point. To `want`: one for each of `have`, when not all are held. */
  | { readonly type: 'known'; readonly known: readonly boolean[] }
  | { readonly type: 'entries'; readonly entries: readonly SignedEntry[]; readonly more: boolean }
  | { readonly type: 'ok' };

const REQUESTS = ['hello', 'look', 'probe', 'want', 'push'] as const;
const RESPONSES = ['equal', 'differs', 'ranges', 'known', 'entries', 'ok'] as const;
/** Entries in a frame: more than fit. */
const MAX_ENTRIES = FRAME_MAX_BYTES / 128;

/** Canonical CBOR array: the type's name, then its fields. */
export function encodeRequest(request: SyncRequest): Uint8Array {
  switch (request.type) {
    case 'hello':
      return encode(['hello', ...headToWire(request.head), fromHex(request.digest)]);
    case 'look':
      return encode(['look', fromHex(request.salt), packAsks(request.asks)]);
    case 'probe':
      return encode(['probe', fromHex(request.salt), packPoints(request.points)]);
    case 'want': {
      const after = request.after === null ? null : [request.after.lam, fromHex(request.after.id)];
      return encode(['want', fromHex(request.salt), packPoints(request.want), packPoints(request.have), after]);
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
    case 'look': {
      const [salt, asks] = readTuple(fields, 'sync.look', 2);
      return { type, salt: readSalt(salt), asks: readPacked(asks, 'sync.asks', readAsks) };
    }
    case 'probe': {
      const [salt, points] = readTuple(fields, 'sync.probe', 2);
      return { type, salt: readSalt(salt), points: readPacked(points, 'sync.points', readPoints) };
    }
    case 'want': {
      const [salt, want, have, after] = readTuple(fields, 'sync.want', 4);
      return {
        type,
        salt: readSalt(salt),
        want: readPacked(want, 'sync.want', readPoints),
        have: readPacked(have, 'sync.have', readPoints),
        after: readNullable(after, 'sync.after', readCursor),
      };
    }
    case 'push': {
      const [entries] = readTuple(fields, 'sync.push', 1);
      return { type, entries: readEntries(entries) };
    }
  }
}

export function encodeResponse(response: SyncResponse): Uint8Array {
  switch (response.type) {
    case 'equal':
      return encode(['equal', ...headToWire(response.head)]);
    case 'differs':
      return encode(['differs', ...headToWire(response.head), packAnswers(response.answers)]);
    case 'ranges':
      return encode(['ranges', packAnswers(response.answers)]);
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
    case 'differs': {
      const [epoch, size, root, answers] = readTuple(fields, 'sync.differs', 4);
      return { type, head: readHead(epoch, size, root), answers: readPacked(answers, 'sync.ranges', readAnswers) };
    }
    case 'ranges': {
      const [answers] = readTuple(fields, 'sync.ranges', 1);
      return { type, answers: readPacked(answers, 'sync.ranges', readAnswers) };
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

const readSalt = (value: unknown): Hex => toHex(readBytes(value, 'sync.salt', SALT_BYTES));

const readPacked = <T>(value: unknown, field: string, read: (bytes: Uint8Array, field: string) => T): T =>
  read(readBytes(value, field, 0, FRAME_MAX_BYTES), field);

function readFlag(value: unknown, field: string): boolean {
  if (typeof value !== 'boolean') throw malformed(field, 'is not a boolean');
  return value;
}
