/** What blocks.db holds: the base, the archive up to it, and the blocks after it. */
import type { ArchiveBase, ArchiveSegment, BlockHeader } from '../spec/index.ts';
import { type BlockRecord, decodeBase, decodeBlockRecord, decodeSegment } from '../wire/index.ts';
import type { ArchiveEnd } from './archiveOrder.ts';
import { checksumOf } from './checksum.ts';
import { corrupt, decoded, type Layout, type Row, type Table } from './sqlite.ts';

/**
 * 'SLBL', in a file of its own: a block is written after the entries of its cut are durable, so that a crash between the
 * two leaves entries without a block, never a block without entries. `base` has one row, or none.
 */
export const BLOCKS_LAYOUT: Layout = {
  applicationId: 0x534c424c,
  version: 2,
  schema: `
    CREATE TABLE block (epoch INTEGER PRIMARY KEY, record BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
    CREATE TABLE segment (
      from_epoch INTEGER PRIMARY KEY,
      to_epoch INTEGER NOT NULL,
      tree_size INTEGER NOT NULL,
      bytes BLOB NOT NULL,
      checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE base (epoch INTEGER PRIMARY KEY, bytes BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;`,
};

/** The checksum covers the certificate too, which the block's hash does not. */
export const BLOCKS: Table<BlockRecord> = {
  layout: BLOCKS_LAYOUT,
  name: 'block',
  columns: 'epoch, record, checksum',
  key: 'epoch',
  read({ epoch, record: stored, checksum }, path) {
    const bytes = stored as Uint8Array;
    if (checksumOf(bytes) !== checksum) throw corrupt(path, `block ${String(epoch)} does not match its checksum`);
    const record = decoded(path, () => decodeBlockRecord(bytes));
    const found = record.block.header.epoch;
    if (found !== epoch) throw corrupt(path, `block ${found} stands in the place of block ${String(epoch)}`);
    return record;
  },
};

export const SEGMENTS: Table<ArchiveSegment> = {
  layout: BLOCKS_LAYOUT,
  name: 'segment',
  columns: 'from_epoch, to_epoch, tree_size, bytes, checksum',
  key: 'from_epoch',
  read(row, path) {
    const { from, end, bytes } = readSegmentRow(row, path);
    const segment = decoded(path, () => decodeSegment(bytes));
    const last = endOf(segment);
    if (segment.headers[0]?.epoch !== from || last.epoch !== end.epoch || last.treeSize !== end.treeSize)
      throw corrupt(path, `another segment stands in the place of segment ${from}`);
    return segment;
  },
};

export interface SegmentRow {
  /** Epoch of its first header. */
  readonly from: number;
  readonly end: ArchiveEnd;
  /** As `encodeSegment` makes them. */
  readonly bytes: Uint8Array;
}

/** The checksum covers the place too: bytes that are only handed on are not decoded. */
export const segmentChecksum = ({ from, end, bytes }: SegmentRow): number => checksumOf(`${from} ${end.epoch} ${end.treeSize} `, bytes);

/** A row of SEGMENTS whose bytes nobody has decoded. Throws DATA_CORRUPT. */
export function readSegmentRow(row: Row, path: string): SegmentRow {
  const from = row.from_epoch as number;
  const segment = { from, end: { epoch: row.to_epoch as number, treeSize: row.tree_size as number }, bytes: row.bytes as Uint8Array };
  if (segmentChecksum(segment) !== row.checksum) throw corrupt(path, `segment ${from} does not match its checksum`);
  return segment;
}

export const endOf = ({ headers }: ArchiveSegment): ArchiveEnd => headers.at(-1) as BlockHeader;

export const BASES: Table<ArchiveBase> = {
  layout: BLOCKS_LAYOUT,
  name: 'base',
  columns: 'epoch, bytes, checksum',
  key: 'epoch',
  read({ epoch, bytes: stored, checksum }, path) {
    const bytes = stored as Uint8Array;
    if (checksumOf(bytes) !== checksum) throw corrupt(path, `base ${String(epoch)} does not match its checksum`);
    const base = decoded(path, () => decodeBase(bytes));
    if (base.epoch !== epoch) throw corrupt(path, `base ${base.epoch} stands in the place of base ${String(epoch)}`);
    return base;
  },
};
