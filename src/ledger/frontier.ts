import { fromHex, hashWithDomain, toHex } from '../crypto/index.ts';
import type { EntryId, Fingerprint, Hex, SignedEntry } from '../spec/index.ts';
import { malformed } from '../wire/index.ts';
import { type LedgerGraph, PREFIX_DIGITS } from './graph.ts';

/**
 * The end of one branch of one author (PROTOCOL section 3). An id fixes all that stands behind it, so the tips
 * describe the whole set of entries; `author` and `seq` only save probes, and no result depends on them.
 */
export interface Tip {
  /** First 6 bytes of the author's fingerprint. */
  readonly author: Hex;
  readonly seq: number;
  /** First 16 bytes of the id. */
  readonly head: Hex;
}

const AUTHOR_BYTES = 6;
const SEQ_BYTES = 4;
const HEAD_BYTES = PREFIX_DIGITS / 2;
/** Bytes of a tip on the wire: 200 authors take 5,200. */
export const TIP_BYTES = AUTHOR_BYTES + SEQ_BYTES + HEAD_BYTES;
const MAX_SEQ = 2 ** 32 - 1;

export const authorPrefix = (author: Fingerprint): Hex => author.slice(0, 2 * AUTHOR_BYTES);
export const headPrefix = (id: EntryId): Hex => id.slice(0, PREFIX_DIGITS);

/** The last entry of every branch of every author. */
export const headsOf = (graph: LedgerGraph): SignedEntry[] =>
  graph.authors().flatMap((author) => graph.heads(author).map((id) => graph.get(id) as SignedEntry));

/** sha256 over the ids of all branch ends, ascending: equal digests mean equal sets of entries. */
export function frontierDigest(graph: LedgerGraph): Hex {
  const ids = headsOf(graph).map((entry) => entry.id);
  return toHex(hashWithDomain('starling/frontier/1', ...ids.sort().map(fromHex)));
}

/** The tips of a graph as records in ascending order of their bytes. */
export function encodeTips(graph: LedgerGraph): Uint8Array[] {
  const records = headsOf(graph).map(({ id, core }) => {
    const record = Buffer.alloc(TIP_BYTES);
    record.set(fromHex(authorPrefix(core.author)));
    record.writeUInt32BE(Math.min(core.seq, MAX_SEQ), AUTHOR_BYTES);
    record.set(fromHex(headPrefix(id)), AUTHOR_BYTES + SEQ_BYTES);
    return record;
  });
  return records.sort(Buffer.compare);
}

/** Throws MALFORMED unless the bytes are whole records in strictly ascending order. */
export function decodeTips(bytes: Uint8Array): Tip[] {
  if (bytes.byteLength % TIP_BYTES !== 0) throw malformed('sync.tips', 'is not a whole number of records');
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tips: Tip[] = [];
  for (let at = 0; at < buffer.length; at += TIP_BYTES) {
    const record = buffer.subarray(at, at + TIP_BYTES);
    if (at > 0 && Buffer.compare(buffer.subarray(at - TIP_BYTES, at), record) >= 0) throw malformed('sync.tips', 'is out of order');
    tips.push({
      author: record.toString('hex', 0, AUTHOR_BYTES),
      seq: record.readUInt32BE(AUTHOR_BYTES),
      head: record.toString('hex', AUTHOR_BYTES + SEQ_BYTES),
    });
  }
  return tips;
}
