/** What stays behind the base, as it is stored and sent. */
import {
  type ArchiveBase,
  type ArchiveSegment,
  type BlockHeader,
  type Handover,
  KIB,
  type Leaf,
  MAX_VOTERS,
  MIB,
  type SignedEntry,
  StarlingError,
} from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { decodeEntry, encodeEntry, SIGNED_ENTRY_MAX_BYTES } from './entry.ts';
import {
  hashBytes,
  hashList,
  malformed,
  readBool,
  readBytes,
  readHash,
  readHashSet,
  readInt,
  readList,
  readNullable,
  readOneOf,
  readTuple,
} from './fields.ts';
import { blockHash, leafFields } from './signBytes/index.ts';
import { QUORUM_MAX_BYTES, quorumFields, readQuorum } from './votes.ts';
import { compress, decompress } from './zstd.ts';

/** Bytes, compressed and not: the cut of one epoch may bring all that hundreds of nodes wrote apart from the others. */
export const SEGMENT_MAX_BYTES = 64 * MIB;
/** Bytes: ten thousand members, half a kilobyte each with their keys. */
export const STATE_MAX_BYTES = 32 * MIB;
/** Bytes: the state, a certificate, and what holds them. */
export const BASE_MAX_BYTES = STATE_MAX_BYTES + QUORUM_MAX_BYTES + KIB;
/** Headers and leaves of one segment. */
const MAX_HEADERS = 4_096;
const MAX_LEAVES = 2 ** 20;
/** CBOR items: five of a leaf, and the rest. Without this bound 2 KB of zstd would decode to 64 million arrays. */
const MAX_ITEMS = 6 * MAX_LEAVES;

/** Of a header, beside what is the same in all of them and what the one before gives. */
const HASHES = [
  'treeRoot',
  'cutHash',
  'rosterHash',
  'survivorsHash',
  'aggregateHash',
  'modelRoot',
  'stateRoot',
  'votersHash',
  'nextVotersHash',
  'evidenceHash',
] as const satisfies readonly (keyof BlockHeader)[];

/**
 * A zstd frame of [1, swarm, first epoch, prev, tree size, headers, leaves, joins, handovers, certificate]. A header's `prev` is
 * the hash of the one before. Throws TOO_LARGE.
 */
export function encodeSegment({ headers, treeSize, leaves, joins, handovers, certificate }: ArchiveSegment): Uint8Array {
  const first = headers[0] as BlockHeader;
  const bytes = encode([
    1,
    hashBytes(first.swarm),
    first.epoch,
    hashBytes(first.prev),
    treeSize,
    headers.map((header) => [header.treeSize, header.timeMs, ...HASHES.map((name) => hashBytes(header[name]))]),
    leaves.map(leafFields),
    joins.map(encodeEntry),
    handovers.map((handover) => [quorumFields(handover.certificate), hashList(handover.voters)]),
    quorumFields(certificate),
  ]);
  if (bytes.byteLength > SEGMENT_MAX_BYTES || headers.length > MAX_HEADERS || leaves.length > MAX_LEAVES)
    throw new StarlingError('TOO_LARGE', `a segment of ${headers.length} blocks and ${leaves.length} leaves`, { field: 'segment' });
  return compress(bytes);
}

/** Checks form and what ties its parts together, no signature and no root. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeSegment(bytes: Uint8Array): ArchiveSegment {
  const plain = decompress(bytes, SEGMENT_MAX_BYTES);
  const [v, swarm, firstEpoch, prev, treeSize, headerList, leafList, joinList, handoverList, end] = readTuple(
    decode(plain, 'segment', SEGMENT_MAX_BYTES, MAX_ITEMS),
    'segment',
    10,
  );
  readOneOf(v, 'segment.v', [1]);
  const common = { v: 1, swarm: readHash(swarm, 'segment.swarm') } as const;
  let epoch = readInt(firstEpoch, 'segment.epoch', 1);
  let before = readHash(prev, 'segment.prev');
  let size = readInt(treeSize, 'segment.treeSize');
  const headers = readList(headerList, 'segment.headers', MAX_HEADERS, (item, field): BlockHeader => {
    const [leaves, timeMs, ...hashes] = readTuple(item, field, 2 + HASHES.length);
    const named = HASHES.map((name, i) => [name, readHash(hashes[i], `${field}.${name}`)]);
    const header = {
      ...common,
      epoch: epoch++,
      prev: before,
      treeSize: readInt(leaves, `${field}.treeSize`, size),
      timeMs: readInt(timeMs, `${field}.timeMs`),
      ...(Object.fromEntries(named) as Pick<BlockHeader, (typeof HASHES)[number]>),
    };
    before = blockHash(header);
    size = header.treeSize;
    return header;
  });
  const from = readInt(treeSize, 'segment.treeSize');
  let index = from;
  const leaves = readList(leafList, 'segment.leaves', MAX_LEAVES, (item, field): Leaf => {
    const [parent, lam, isVoid, id] = readTuple(item, field, 4);
    const leaf = {
      id: readHash(id, `${field}.id`),
      prev: readNullable(parent, `${field}.prev`, (value, name) => readInt(value, name, 0, index - 1)),
      lam: readInt(lam, `${field}.lam`, 1),
      void: readBool(isVoid, `${field}.void`),
    };
    index++;
    return leaf;
  });
  const joins = readList(joinList, 'segment.joins', MAX_LEAVES, (item, field) =>
    decodeEntry(readBytes(item, field, 1, SIGNED_ENTRY_MAX_BYTES)),
  );
  const handovers = readList(handoverList, 'segment.handovers', MAX_HEADERS, (item, field): Handover => {
    const [certificate, voters] = readTuple(item, field, 2);
    return {
      certificate: readQuorum(certificate, `${field}.certificate`),
      voters: readHashSet(voters, `${field}.voters`, MAX_VOTERS),
    };
  });
  if (headers.length === 0) throw malformed('segment.headers', 'is empty');
  if (size - from !== leaves.length) throw malformed('segment.leaves', `has ${leaves.length} leaves, its headers tell of ${size - from}`);
  requireJoins(leaves, joins);
  return { headers, treeSize: from, leaves, joins, handovers, certificate: readQuorum(end, 'segment.certificate') };
}

/** The joins are the leaves without a predecessor, one by one. */
function requireJoins(leaves: readonly Leaf[], joins: readonly SignedEntry[]): void {
  const starts = leaves.filter((leaf) => leaf.prev === null);
  const isOf = (join: SignedEntry | undefined, { id }: Leaf): boolean =>
    join?.id === id && join.core.kind === 'join' && join.composite === undefined;
  const same = starts.length === joins.length && starts.every((leaf, i) => isOf(joins[i], leaf));
  if (!same) throw malformed('segment.joins', 'are not the joins among its leaves');
}

/** [1, epoch, certificate, state]. Throws TOO_LARGE. */
export function encodeBase({ epoch, certificate, state }: ArchiveBase): Uint8Array {
  if (state.byteLength > STATE_MAX_BYTES)
    throw new StarlingError('TOO_LARGE', `a state of ${state.byteLength} bytes`, { field: 'base.state' });
  return encode([1, epoch, quorumFields(certificate), state]);
}

/** Checks form alone. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeBase(bytes: Uint8Array): ArchiveBase {
  const [v, epoch, certificate, state] = readTuple(decode(bytes, 'base', BASE_MAX_BYTES), 'base', 4);
  readOneOf(v, 'base.v', [1]);
  return {
    epoch: readInt(epoch, 'base.epoch', 1),
    certificate: readQuorum(certificate, 'base.certificate'),
    state: readBytes(state, 'base.state', 1, STATE_MAX_BYTES),
  };
}
