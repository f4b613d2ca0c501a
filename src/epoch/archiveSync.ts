/** The archive from a peer, for who is behind the base of all it can reach (PROTOCOL section 3: newcomers start at a checkpoint). */
import { ArchiveReader } from '../consensus/index.ts';
import { asStarlingError, FRAME_MAX_BYTES, type PeerId, StarlingError } from '../spec/index.ts';
import {
  BASE_MAX_BYTES,
  decodeArchiveAnswer,
  decodeArchiveRequest,
  decodeBase,
  decodeSegment,
  encodeArchiveAnswer,
  encodeArchiveRequest,
  encodeBase,
  SEGMENT_MAX_BYTES,
} from '../wire/index.ts';
import { install } from './archiving.ts';
import type { EpochContext } from './context.ts';
import { answerMs } from './ports.ts';

/** Bytes of every answer but the last: leaves room in a frame for what stands around it. */
const PART_BYTES = FRAME_MAX_BYTES / 2;
/** Segments of one exchange, each certified by a quorum: a hundred million leaves. A peer that never ends is left. */
const MAX_SEGMENTS = 50_000;

/** Answers the `archive` protocol from disk. */
export function serveArchive(ctx: EpochContext, payload: Uint8Array): Uint8Array {
  const { epoch, offset } = decodeArchiveRequest(payload);
  const { blocks } = ctx.ports;
  const base = epoch === null ? blocks.base() : undefined;
  const bytes = epoch === null ? base && encodeBase(base) : blocks.segment(epoch);
  return encodeArchiveAnswer({ total: bytes?.byteLength ?? 0, part: bytes?.subarray(offset, offset + PART_BYTES) ?? new Uint8Array() });
}

/**
 * Takes from one peer what it has archived after the newest block here, and stands on its base. Nothing changes before all of
 * it is checked; where this node moves on, or is rolled back, meanwhile, nothing changes at all. Throws BAD_ARCHIVE, BAD_QUORUM,
 * and what else the peer or the way to it did wrong, naming the peer.
 */
export async function fetchArchive(ctx: EpochContext, peer: PeerId): Promise<void> {
  try {
    await follow(ctx, peer);
  } catch (error) {
    throw asStarlingError(error, { peer, phase: 'archive' });
  }
}

async function follow(ctx: EpochContext, peer: PeerId): Promise<void> {
  const { chain, ports, swarm } = ctx;
  const from = chain.finalized;
  const { state } = from;
  const leaves = chain.order.slice(0, state.treeSize).map(({ entry }) => entry);
  const reader = new ArchiveReader({ swarm, state, leaves });
  const isOver = (): boolean => chain.finalized !== from || ctx.pinned !== undefined;
  /** Where it had no more segments the last time. */
  let ended = -1;
  for (let n = 0; n < MAX_SEGMENTS; n++) {
    const segment = await whole(ctx, peer, reader.epoch + 1, SEGMENT_MAX_BYTES);
    if (isOver()) return;
    if (segment !== undefined) {
      reader.add(decodeSegment(segment));
      continue;
    }
    const bytes = await whole(ctx, peer, null, BASE_MAX_BYTES);
    if (bytes === undefined) throw unfit(peer, 'has no archive, and said that it has');
    const base = decodeBase(bytes);
    // Its base has moved on meanwhile: there are more segments, or it made the base up.
    if (base.epoch > reader.epoch && reader.epoch > ended) {
      ended = reader.epoch;
      continue;
    }
    if (isOver()) return;
    const archive = reader.finish(base);
    install(ctx, archive, base);
    ports.journal.log('info', 'epoch', 'starts from the archive of a peer', { peer, epoch: base.epoch, entries: archive.state.treeSize });
    return;
  }
  throw unfit(peer, `sent more than ${MAX_SEGMENTS} segments`);
}

/** A segment or a base in parts; undefined where the peer has none. */
async function whole(ctx: EpochContext, peer: PeerId, epoch: number | null, maxBytes: number): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  for (let [offset, size] = [0, 1]; offset < size; ) {
    const answer = await ctx.ports.streams.request(peer, 'archive', encodeArchiveRequest({ epoch, offset }), {
      timeoutMs: answerMs(PART_BYTES),
      maxResponseBytes: FRAME_MAX_BYTES,
    });
    const { total, part } = decodeArchiveAnswer(answer);
    if (total === 0) return undefined;
    const isSame = offset === 0 || total === size;
    if (total > maxBytes || !isSame || part.byteLength !== Math.min(PART_BYTES, total - offset))
      throw unfit(peer, 'sent parts that make no whole');
    size = total;
    offset += part.byteLength;
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

const unfit = (peer: PeerId, what: string): StarlingError =>
  new StarlingError('PROTOCOL_VIOLATION', `the peer ${what}`, { peer, phase: 'archive', fix: 'take the archive from another peer' });
