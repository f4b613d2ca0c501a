/** Final blocks from a peer: before the entries, since they say which entries matter (PROTOCOL section 3). */
import { asStarlingError, FRAME_MAX_BYTES, type PeerId, StarlingError } from '../spec/index.ts';
import {
  type BlockItem,
  decodeBlocksAnswer,
  decodeBlocksRequest,
  encodeBlockRecord,
  encodeBlocksAnswer,
  encodeBlocksRequest,
} from '../wire/index.ts';
import { heldHeader } from './aggregates.ts';
import { fetchArchive } from './archiveSync.ts';
import type { EpochContext } from './context.ts';
import { answerMs } from './ports.ts';

/** Blocks asked for at once, and bytes of an answer beyond which it holds no more of them. */
const BLOCKS_ASKED = 256;
const ANSWER_BYTES = FRAME_MAX_BYTES / 2;
/** Requests of one exchange: a newcomer takes the next hundred thousand blocks with the next one. */
const MAX_REQUESTS = 400;

/** Answers the `blocks` protocol from disk. */
export function serveBlocks(ctx: EpochContext, payload: Uint8Array): Uint8Array {
  const { from, limit } = decodeBlocksRequest(payload);
  const { blocks } = ctx.ports;
  const records: BlockItem[] = [];
  let bytes = 0;
  for (let epoch = Math.max(1, from); epoch <= blocks.head() && records.length < Math.min(limit, BLOCKS_ASKED); epoch++) {
    const record = blocks.get(epoch);
    if (record === undefined) break;
    const header = heldHeader(ctx, record.block.header.aggregateHash) ?? null;
    bytes += encodeBlockRecord(record).byteLength + 128 * (header?.distances.length ?? 0);
    if (bytes > ANSWER_BYTES && records.length > 0) break;
    records.push({ record, header });
  }
  return encodeBlocksAnswer({ head: blocks.head(), base: blocks.base()?.epoch ?? 0, records });
}

/**
 * Asks one peer for the blocks after the newest here, and lets them wait for their turn. Returns how many came. Whether they are
 * final is found when they are applied. Throws what the peer or the way to it did wrong.
 */
export async function fetchBlocks(ctx: EpochContext, peer: PeerId): Promise<number> {
  let from = ctx.chain.finalized.state.epoch + 1;
  let came = 0;
  for (let n = 0; n < MAX_REQUESTS; n++) {
    while (ctx.finals.has(from)) from++;
    const answer = await ctx.ports.streams.request(peer, 'blocks', encodeBlocksRequest({ from, limit: BLOCKS_ASKED }), {
      timeoutMs: answerMs(FRAME_MAX_BYTES),
      maxResponseBytes: FRAME_MAX_BYTES,
    });
    const { head, base, records } = decodeBlocksAnswer(answer);
    // Blocks that wait here may wait for entries that nobody has whole any more.
    if (ctx.chain.finalized.state.epoch < base) {
      await fetchArchive(ctx, peer);
      from = ctx.chain.finalized.state.epoch + 1;
      if (from <= base) break;
      continue;
    }
    for (const [i, { record, header }] of records.entries()) {
      if (record.block.header.epoch !== from + i || record.block.header.swarm !== ctx.swarm)
        throw new StarlingError('PROTOCOL_VIOLATION', `asked for block ${from + i}, got ${record.block.header.epoch}`, {
          peer,
          phase: 'blocks',
        });
      ctx.finals.add({ record, header }, ctx.chain.finalized.state.epoch);
      came++;
    }
    from += records.length;
    if (records.length === 0 || from > head) break;
    // The chain takes no more ahead than it can hold; the rest comes with the next exchange.
    if (!ctx.finals.has(from - 1)) break;
  }
  return came;
}

/** The same where a failure is only said: the next peer, or the next heartbeat, brings them. False when it failed. */
export async function tryFetchBlocks(ctx: EpochContext, peer: PeerId): Promise<boolean> {
  try {
    await fetchBlocks(ctx, peer);
    return true;
  } catch (error) {
    ctx.ports.journal.log('debug', 'epoch', 'a peer gave no blocks', { ...asStarlingError(error, { phase: 'blocks' }).toJSON(), peer });
    return false;
  }
}
