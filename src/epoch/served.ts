/** Content for whoever pulls it: leaves once, then chunk by chunk, and never all of it in the hands of one request. */
import { pipe } from 'it-pipe';
import { type ContentIndex, chunkAt, chunkCount, leafHash, merkleRoot, toHex, verifyChunk } from '../crypto/index.ts';
import { type ContentRoot, type PeerId, StarlingError } from '../spec/index.ts';
import { decodeContentRequest, encodeContentIndex, encodeHeldChunks } from '../wire/messages.ts';
import type { BlobStore, Clock } from './ports.ts';
import { turn } from './turns.ts';

type LeafOf = (chunk: Uint8Array) => Uint8Array;

/** What can be read in parts, from memory or from disk. */
export interface ServedContent extends Pick<BlobStore, 'index' | 'readChunk'> {
  /** Chunks of content that is not all here yet; undefined where it is. */
  held?(root: ContentRoot): ReadonlySet<number> | undefined;
}

/** Contents whose leaves are kept at hand: 4 bytes a 32 KiB of content, 5 KiB for ten million parameters. */
const INDEXES_KEPT = 64;
/** Chunks hashed before others have a turn: 4 MiB, some ten milliseconds. */
const CHUNKS_A_TURN = 16;

/** Answers the content protocol. The handler throws MALFORMED, NOT_FOUND, or DATA_CORRUPT where a chunk has rotted. */
export function serveContent(source: ServedContent): (from: PeerId, payload: Uint8Array) => Promise<Uint8Array> {
  const indexes = new Map<ContentRoot, Promise<ContentIndex | undefined>>();

  /** One run for all who ask; what was not found or failed is looked for again. */
  async function indexOf(root: ContentRoot): Promise<ContentIndex> {
    const known = indexes.get(root);
    const running = known ?? source.index(root);
    indexes.delete(root);
    indexes.set(root, running);
    if (indexes.size > INDEXES_KEPT) indexes.delete(indexes.keys().next().value as ContentRoot);
    try {
      const index = await running;
      if (index !== undefined) return index;
    } catch (error) {
      forget(root, running);
      throw error;
    }
    forget(root, running);
    throw new StarlingError('NOT_FOUND', `content ${root.slice(0, 8)} is not held here`, { fix: 'ask another holder' });
  }

  function forget(root: ContentRoot, running: Promise<ContentIndex | undefined>): void {
    if (indexes.get(root) === running) indexes.delete(root);
  }

  return async (_from, payload) => {
    const { root, index: chunk } = decodeContentRequest(payload);
    const index = await indexOf(root);
    if (chunk === 'leaves') return encodeContentIndex(index, source.held?.(root));
    if (chunk === 'held') return encodeHeldChunks(source.held?.(root) ?? 'all', index.leaves.length);
    if (chunk >= index.leaves.length)
      throw new StarlingError('NOT_FOUND', `content ${root.slice(0, 8)} has ${index.leaves.length} chunks`, { field: 'index' });
    const bytes = await source.readChunk(root, chunk);
    if (bytes !== undefined && verifyChunk(index.leaves, chunk, bytes)) return bytes;
    // Gone, or rotten, since its leaves were read: the next request looks at all of it again.
    indexes.delete(root);
    throw bytes === undefined
      ? new StarlingError('NOT_FOUND', `content ${root.slice(0, 8)} is not held here any more`, { fix: 'ask another holder' })
      : new StarlingError('DATA_CORRUPT', `chunk ${chunk} of content ${root.slice(0, 8)} has rotted here`, { fix: 'ask another holder' });
  };
}

/** The leaves of content in memory whose root is known, hashed in turns with whatever else the node does. */
export async function indexInTurns(clock: Pick<Clock, 'after'>, root: ContentRoot, content: Uint8Array): Promise<ContentIndex> {
  return { root, sizeBytes: content.byteLength, leaves: await leavesInTurns(clock, content) };
}

/** As `contentOf`, in turns. */
export async function contentInTurns(clock: Pick<Clock, 'after'>, content: Uint8Array): Promise<ContentIndex> {
  const leaves = await leavesInTurns(clock, content);
  return { root: toHex(merkleRoot(leaves)), sizeBytes: content.byteLength, leaves };
}

/** `leafOf`: a leaf hash of a chunk where it is not the plain one. */
export const leavesInTurns = (clock: Pick<Clock, 'after'>, content: Uint8Array, leafOf: LeafOf = leafHash): Promise<Uint8Array[]> =>
  pipe(
    chunksOf(content),
    (chunks) => inTurns(clock, chunks),
    (chunks) => hashed(chunks, leafOf),
  );

function* chunksOf(content: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < chunkCount(content.byteLength); i++) yield chunkAt(content, i);
}

/** Lets others have a turn after every CHUNKS_A_TURN. */
async function* inTurns(clock: Pick<Clock, 'after'>, chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let given = 0;
  for (const chunk of chunks) {
    if (given > 0 && given % CHUNKS_A_TURN === 0) await turn(clock);
    given += 1;
    yield chunk;
  }
}

async function hashed(chunks: AsyncIterable<Uint8Array>, leafOf: LeafOf): Promise<Uint8Array[]> {
  const leaves: Uint8Array[] = [];
  for await (const chunk of chunks) leaves.push(leafOf(chunk));
  return leaves;
}
