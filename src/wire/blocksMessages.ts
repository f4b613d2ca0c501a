import { type AggregateHeader, FRAME_MAX_BYTES, StarlingError } from '../spec/index.ts';
import { AGGREGATE_MAX_BYTES, decodeAggregate, encodeAggregate } from './aggregate.ts';
import { SEGMENT_MAX_BYTES } from './archive.ts';
import { BLOCK_RECORD_MAX_BYTES, type BlockRecord, decodeBlockRecord, encodeBlockRecord } from './blocks.ts';
import { decode, encode } from './cbor.ts';
import { malformed, readBytes, readInt, readList, readNullable, readTuple } from './fields.ts';
import { aggregateHash } from './signBytes/index.ts';

/** Final blocks in one answer: one with its certificate has a kilobyte or more, so a frame ends before this does. */
const MAX_BLOCKS = 1024;
/** Bytes around the records of an answer, and around each of them. */
const ANSWER_HEAD_BYTES = 32;
const ITEM_HEAD_BYTES = 16;

/** Blocks protocol: asks for final blocks of the epochs from `from` on, at most `limit` (1..1024). */
export interface BlocksRequest {
  readonly from: number;
  readonly limit: number;
}

/** `header` is the aggregate's where the block averaged and the node still has it. */
export interface BlockItem {
  readonly record: BlockRecord;
  readonly header: AggregateHeader | null;
}

export interface BlocksAnswer {
  /** Epoch of the newest final block that the answering node holds, 0 for none. */
  readonly head: number;
  /** Epoch up to which that node has archived its blocks, 0 for none: what was asked for before it comes as an archive. */
  readonly base: number;
  /** Epochs one after the other. */
  readonly records: readonly BlockItem[];
}

export const encodeBlocksRequest = ({ from, limit }: BlocksRequest): Uint8Array => encode([from, limit]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeBlocksRequest(bytes: Uint8Array): BlocksRequest {
  const [from, limit] = readTuple(decode(bytes, 'blocksRequest', 64), 'blocksRequest', 2);
  return { from: readInt(from, 'blocksRequest.from', 1), limit: readInt(limit, 'blocksRequest.limit', 1, MAX_BLOCKS) };
}

/** At most FRAME_MAX_BYTES: from the first record that does not fit on, the rest is left out, and asked for again. */
export function encodeBlocksAnswer({ head, base, records }: BlocksAnswer): Uint8Array {
  const items: (readonly [Uint8Array, Uint8Array | null])[] = [];
  let sizeBytes = ANSWER_HEAD_BYTES;
  for (const { record, header } of records.slice(0, MAX_BLOCKS)) {
    const item = [encodeBlockRecord(record), header === null ? null : encodeAggregate(header)] as const;
    sizeBytes += item[0].byteLength + (item[1]?.byteLength ?? 0) + ITEM_HEAD_BYTES;
    if (sizeBytes > FRAME_MAX_BYTES) break;
    items.push(item);
  }
  return encode([head, base, items]);
}

/** Checks form, no signature. Throws as `decodeBlockRecord` and `decodeAggregate` do, and HASH_MISMATCH for the header of another aggregate. */
export function decodeBlocksAnswer(bytes: Uint8Array): BlocksAnswer {
  const [head, base, items] = readTuple(decode(bytes, 'blocks', FRAME_MAX_BYTES), 'blocks', 3);
  const records = readList(items, 'blocks.records', MAX_BLOCKS, (item, field) => {
    const [packed, packedHeader] = readTuple(item, field, 2);
    const record = decodeBlockRecord(readBytes(packed, `${field}.record`, 1, BLOCK_RECORD_MAX_BYTES));
    const header = readNullable(packedHeader, `${field}.header`, (value, name) =>
      decodeAggregate(readBytes(value, name, 1, AGGREGATE_MAX_BYTES)),
    );
    if (header !== null && aggregateHash(header) !== record.block.header.aggregateHash)
      throw new StarlingError('HASH_MISMATCH', `the aggregate's header is not that of block ${record.block.header.epoch}`, {
        field: `${field}.header`,
      });
    return { record, header };
  });
  records.forEach(({ record }, i) => {
    const before = records[i - 1]?.record.block.header.epoch;
    if (before !== undefined && record.block.header.epoch !== before + 1) throw malformed(`blocks.records[${i}]`, 'is not the next epoch');
  });
  const newest = readInt(head, 'blocks.head');
  return { head: newest, base: readInt(base, 'blocks.base', 0, newest), records };
}

/** Archive protocol: part of the segment that holds the header of `epoch`; of the base where `epoch` is null. */
export interface ArchiveRequest {
  readonly epoch: number | null;
  /** Bytes from the beginning. */
  readonly offset: number;
}

/** `total` is 0 where there is no such segment, or no base. */
export interface ArchiveAnswer {
  readonly total: number;
  readonly part: Uint8Array;
}

export const encodeArchiveRequest = ({ epoch, offset }: ArchiveRequest): Uint8Array => encode([epoch, offset]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeArchiveRequest(bytes: Uint8Array): ArchiveRequest {
  const [epoch, offset] = readTuple(decode(bytes, 'archiveRequest', 64), 'archiveRequest', 2);
  return {
    epoch: readNullable(epoch, 'archiveRequest.epoch', (value, field) => readInt(value, field, 1)),
    offset: readInt(offset, 'archiveRequest.offset', 0, SEGMENT_MAX_BYTES),
  };
}

export const encodeArchiveAnswer = ({ total, part }: ArchiveAnswer): Uint8Array => encode([total, part]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeArchiveAnswer(bytes: Uint8Array): ArchiveAnswer {
  const [total, part] = readTuple(decode(bytes, 'archive', FRAME_MAX_BYTES), 'archive', 2);
  const sizeBytes = readInt(total, 'archive.total', 0, SEGMENT_MAX_BYTES);
  return { total: sizeBytes, part: readBytes(part, 'archive.part', 0, sizeBytes) };
}
