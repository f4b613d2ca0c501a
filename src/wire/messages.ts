import { type ContentIndex, chunkCount, verifyIndex } from '../crypto/index.ts';
import {
  type ContentRoot,
  type EntryId,
  FRAME_MAX_BYTES,
  GOSSIP_MAX_BYTES,
  INLINE_MESSAGE_MAX_BYTES,
  MAX_PARAMETERS,
  type SignedEntry,
  StarlingError,
} from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { decodeEntry, encodeEntry, SIGNED_ENTRY_MAX_BYTES } from './entry.ts';
import { hashBytes, hashList, malformed, readBytes, readHash, readInt, readList, readNullable, readRecord, readTuple } from './fields.ts';

/** The manifest of an update, gossiped on its epoch's topic (PROTOCOL section 4). */
export interface MetaUpdate {
  /** A contribution: its author, epoch and update hash are the manifest's. */
  readonly entry: SignedEntry;
  /** Root and size of the sealed update, which is pulled by this root unless it rides along. */
  readonly cipherRoot: ContentRoot;
  readonly cipherBytes: number;
  /** The sealed update itself when it is small. */
  readonly inline: Uint8Array | null;
}

const META_KEYS = ['federated_epoch', 'node_fingerprint', 'update_hash', 'ledger_block_id', 'payload'] as const;
const PAYLOAD_KEYS = ['entry', 'cipherRoot', 'cipherBytes', 'inline'] as const;
/** Bytes of a sealed update: int16 of the largest model, with room for tags and a bad case of compression. */
const CIPHER_MAX_BYTES = 2 * MAX_PARAMETERS + MAX_PARAMETERS / 16;
/** Bytes of content: the int32 sum, or f32 parameters, of the largest model. */
const CONTENT_MAX_BYTES = 4 * MAX_PARAMETERS;
/** Keys in one message: one for each of a thousand members. */
const MAX_KEYS = 1024;
const KEY_BYTES = 32;

/** Throws MALFORMED if the entry is no contribution: a manifest speaks of nothing else. */
export function encodeMetaUpdate(update: MetaUpdate): Uint8Array {
  const { entry, cipherRoot, cipherBytes, inline } = update;
  if (entry.core.kind !== 'contribution') throw malformed('update.payload.entry', 'is not a contribution');
  return encode({
    federated_epoch: entry.core.body.epoch,
    node_fingerprint: hashBytes(entry.core.author),
    update_hash: hashBytes(entry.core.body.updateHash),
    ledger_block_id: hashBytes(entry.id),
    payload: encode({ entry: encodeEntry(entry), cipherRoot: hashBytes(cipherRoot), cipherBytes, inline }),
  });
}

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL, or HASH_MISMATCH when the manifest says other than its entry. No signature is checked. */
export function decodeMetaUpdate(bytes: Uint8Array): MetaUpdate {
  const meta = readRecord(decode(bytes, 'update', GOSSIP_MAX_BYTES), 'update', META_KEYS);
  const payloadBytes = readBytes(meta.payload, 'update.payload', 1, GOSSIP_MAX_BYTES);
  const payload = readRecord(decode(payloadBytes, 'update.payload', GOSSIP_MAX_BYTES), 'update.payload', PAYLOAD_KEYS);
  const entry = decodeEntry(readBytes(payload.entry, 'update.payload.entry', 1, SIGNED_ENTRY_MAX_BYTES));
  if (entry.core.kind !== 'contribution') throw malformed('update.payload.entry', 'is not a contribution');
  const { body, author } = entry.core;
  requireSame('federated_epoch', readInt(meta.federated_epoch, 'update.federated_epoch'), body.epoch);
  requireSame('node_fingerprint', readHash(meta.node_fingerprint, 'update.node_fingerprint'), author);
  requireSame('update_hash', readHash(meta.update_hash, 'update.update_hash'), body.updateHash);
  requireSame('ledger_block_id', readHash(meta.ledger_block_id, 'update.ledger_block_id'), entry.id);
  const cipherBytes = readInt(payload.cipherBytes, 'update.payload.cipherBytes', 1, CIPHER_MAX_BYTES);
  const inline = readNullable(payload.inline, 'update.payload.inline', (value, field) =>
    readBytes(value, field, 1, INLINE_MESSAGE_MAX_BYTES),
  );
  if (inline !== null && inline.byteLength !== cipherBytes) throw malformed('update.payload.inline', `is not ${cipherBytes} bytes`);
  return { entry, cipherRoot: readHash(payload.cipherRoot, 'update.payload.cipherRoot'), cipherBytes, inline };
}

function requireSame(name: string, claimed: string | number, actual: string | number): void {
  if (claimed !== actual)
    throw new StarlingError('HASH_MISMATCH', `the manifest's ${name} is ${claimed}, its ledger entry says ${actual}`, {
      field: `update.${name}`,
    });
}

/** Content protocol: asks for one chunk (0-based), for the leaf hashes that prove chunks, or for which chunks are held. */
export interface ContentRequest {
  readonly root: ContentRoot;
  readonly index: number | 'leaves' | 'held';
}

/** On the wire in the place of a chunk's number: which chunks are held? */
const ASKS_HELD = -1;

export const encodeContentRequest = ({ root, index }: ContentRequest): Uint8Array =>
  encode([hashBytes(root), index === 'leaves' ? null : index === 'held' ? ASKS_HELD : index]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeContentRequest(bytes: Uint8Array): ContentRequest {
  const [root, index] = readTuple(decode(bytes, 'contentRequest', 64), 'contentRequest', 2);
  const last = chunkCount(CONTENT_MAX_BYTES) - 1;
  const chunk = readNullable(index, 'contentRequest.index', (value, field) => readInt(value, field, ASKS_HELD, last));
  return { root: readHash(root, 'contentRequest.root'), index: chunk === null ? 'leaves' : chunk === ASKS_HELD ? 'held' : chunk };
}

/** Chunks that a holder has: all of them, or these. */
export type HeldChunks = 'all' | ReadonlySet<number>;

/**
 * Answer to `leaves`: [size in bytes, leaf hashes joined, chunks held]. The answer to a chunk is the chunk's bytes, nothing
 * around them.
 */
export const encodeContentIndex = (index: ContentIndex, held: HeldChunks = 'all'): Uint8Array =>
  encode([index.sizeBytes, Buffer.concat(index.leaves), heldToWire(held, index.leaves.length)]);

/**
 * Throws TOO_LARGE, MALFORMED, NON_CANONICAL, or HASH_MISMATCH when the leaves are not those of `root`. The size is
 * bound by the number of leaves only; the last chunk's length settles it.
 */
export function decodeContentIndex(bytes: Uint8Array, root: ContentRoot): ContentIndex & { readonly held: HeldChunks } {
  const [size, joined, held] = readTuple(decode(bytes, 'contentIndex', FRAME_MAX_BYTES), 'contentIndex', 3);
  const sizeBytes = readInt(size, 'contentIndex.sizeBytes', 0, CONTENT_MAX_BYTES);
  const hashes = readBytes(joined, 'contentIndex.leaves', 32 * chunkCount(sizeBytes));
  const leaves = Array.from({ length: chunkCount(sizeBytes) }, (_, i) => hashes.subarray(32 * i, 32 * (i + 1)));
  if (!verifyIndex(root, sizeBytes, leaves))
    throw new StarlingError('HASH_MISMATCH', `the leaves are not those of content ${root.slice(0, 8)}`, { field: 'contentIndex.leaves' });
  return { root, sizeBytes, leaves, held: readHeld(held, 'contentIndex.held', leaves.length) };
}

/** Answer to `held`, for content of `chunks` chunks. */
export const encodeHeldChunks = (held: HeldChunks, chunks: number): Uint8Array => encode(heldToWire(held, chunks));

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export const decodeHeldChunks = (bytes: Uint8Array, chunks: number): HeldChunks =>
  readHeld(decode(bytes, 'heldChunks', HELD_MAX_BYTES), 'heldChunks', chunks);

/** Bytes. A bit for each chunk of the largest content, and a CBOR head. */
const HELD_MAX_BYTES = chunkCount(CONTENT_MAX_BYTES) / 8 + 16;

/** null for all, else a bitmap: chunk i is bit i % 8, the least first, of byte i / 8. */
function heldToWire(held: HeldChunks, chunks: number): Uint8Array | null {
  if (held === 'all') return null;
  const bits = new Uint8Array(Math.ceil(chunks / 8));
  for (const i of held) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  return bits;
}

function readHeld(value: unknown, field: string, chunks: number): HeldChunks {
  const bits = readNullable(value, field, (item, name) => readBytes(item, name, Math.ceil(chunks / 8)));
  if (bits === null) return 'all';
  const held = new Set<number>();
  for (let i = 0; i < 8 * bits.length; i++) if (((bits[i >> 3] as number) & (1 << (i & 7))) !== 0) held.add(i);
  if (held.size > 0 && Math.max(...held) >= chunks) throw malformed(field, `names a chunk after the last of ${chunks}`);
  return held;
}

/** What opens one contribution's sealed update, and where it lies: enough for a member that missed its manifest. */
export interface UpdateKey {
  readonly id: EntryId;
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly cipherRoot: ContentRoot;
  readonly cipherBytes: number;
}

/** Keys protocol: a request names contributions; a push, which is also the answer, hands keys over. */
export type KeysMessage =
  | { readonly kind: 'request'; readonly ids: readonly EntryId[] }
  | { readonly kind: 'push'; readonly keys: readonly UpdateKey[] };

export const encodeKeysMessage = (message: KeysMessage): Uint8Array =>
  message.kind === 'request'
    ? encode([0, hashList(message.ids)])
    : encode([1, message.keys.map(({ id, key, cipherRoot, cipherBytes }) => [hashBytes(id), key, hashBytes(cipherRoot), cipherBytes])]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeKeysMessage(bytes: Uint8Array): KeysMessage {
  const [kind, items] = readTuple(decode(bytes, 'keys', FRAME_MAX_BYTES), 'keys', 2);
  if (readInt(kind, 'keys.kind', 0, 1) === 0) return { kind: 'request', ids: readList(items, 'keys.ids', MAX_KEYS, readHash) };
  const keys = readList(items, 'keys.keys', MAX_KEYS, (item, field) => {
    const [id, key, cipherRoot, cipherBytes] = readTuple(item, field, 4);
    return {
      id: readHash(id, `${field}.id`),
      key: readBytes(key, `${field}.key`, KEY_BYTES),
      cipherRoot: readHash(cipherRoot, `${field}.cipherRoot`),
      cipherBytes: readInt(cipherBytes, `${field}.cipherBytes`, 1, CIPHER_MAX_BYTES),
    };
  });
  return { kind: 'push', keys };
}
