import { pipe } from 'it-pipe';
import { chunkAt, chunkCount, contentOf, verifyChunk } from '../crypto/index.ts';
import { CHUNK_BYTES, type ContentRoot, FRAME_MAX_BYTES, type PeerId, StarlingError } from '../spec/index.ts';
import { decodeContentIndex, decodeContentRequest, encodeContentIndex, encodeContentRequest } from '../wire/messages.ts';
import type { BlobStore, Streams } from './ports.ts';

export interface PullOptions {
  /** Ms for one chunk. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** A holder failed or lied (HASH_MISMATCH, PROTOCOL_VIOLATION); the error names it. The next holder goes on. */
  readonly onFault?: (holder: PeerId, error: StarlingError) => void;
}

/** Chunks asked for at once: hides the round trip, and three answers are all a holder must keep for us. */
const OUTSTANDING = 3;

interface Pull {
  readonly streams: Pick<Streams, 'request'>;
  readonly root: ContentRoot;
  readonly sizeBytes: number;
  readonly options: PullOptions;
}

/**
 * Pulls content by its root, one holder at a time, every chunk verified on arrival; a holder that fails or lies is
 * left and the next goes on from the chunk reached. Holds `sizeBytes` of memory: the caller bounds it.
 * Throws NOT_FOUND when no holder is left, HASH_MISMATCH when the content has another size than was announced.
 */
export async function pullContent(
  streams: Pick<Streams, 'request'>,
  holders: readonly PeerId[],
  root: ContentRoot,
  sizeBytes: number,
  options: PullOptions,
): Promise<Uint8Array> {
  if (sizeBytes === 0) return requireEmpty(root);
  return await pipe(chunksFromHolders({ streams, root, sizeBytes, options }, holders), (chunks) => collect(chunks, sizeBytes));
}

/** Verified chunks in order, from as many holders as it takes. */
async function* chunksFromHolders(pull: Pull, holders: readonly PeerId[]): AsyncGenerator<Uint8Array> {
  let leaves: readonly Uint8Array[] | undefined;
  let next = 0;
  let last: StarlingError | undefined;
  for (const holder of holders) {
    try {
      leaves ??= await askLeaves(pull, holder);
      requireCount(pull, leaves);
      for await (const chunk of chunksFrom(pull, holder, leaves, next)) {
        yield chunk;
        next += 1;
      }
      return;
    } catch (error) {
      if (!(error instanceof HolderFault)) throw error;
      last = error.fault;
      pull.options.onFault?.(holder, error.fault);
    }
  }
  throw new StarlingError(
    'NOT_FOUND',
    `none of ${holders.length} holders gave content ${pull.root.slice(0, 8)} (${next} of ${chunkCount(pull.sizeBytes)} chunks arrived)`,
    {
      phase: 'pull',
      fix: 'wait until a peer that holds it is connected',
      ...(last?.facts.peer === undefined ? {} : { peer: last.facts.peer }),
    },
    { cause: last },
  );
}

/** From one holder, a few chunks ahead of the reader. */
async function* chunksFrom(pull: Pull, holder: PeerId, leaves: readonly Uint8Array[], first: number): AsyncGenerator<Uint8Array> {
  const asked: Promise<Uint8Array>[] = [];
  for (let i = first; i < leaves.length || asked.length > 0; i++) {
    if (i < leaves.length) asked.push(handled(askChunk(pull, holder, leaves, i)));
    if (asked.length === OUTSTANDING || i >= leaves.length - 1) yield await (asked.shift() as Promise<Uint8Array>);
  }
}

/** Those asked ahead of one that failed fail too, and nobody waits for them any more. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

async function askLeaves(pull: Pull, holder: PeerId): Promise<readonly Uint8Array[]> {
  const answer = await ask(pull, holder, 'leaves', FRAME_MAX_BYTES);
  try {
    return decodeContentIndex(answer, pull.root).leaves;
  } catch (cause) {
    throw fault('HASH_MISMATCH', holder, `${holder} gave leaves that are not those of content ${pull.root.slice(0, 8)}`, cause);
  }
}

async function askChunk(pull: Pull, holder: PeerId, leaves: readonly Uint8Array[], i: number): Promise<Uint8Array> {
  const chunk = await ask(pull, holder, i, CHUNK_BYTES);
  if (!verifyChunk(leaves, i, chunk))
    throw fault('HASH_MISMATCH', holder, `${holder} gave a chunk ${i} that is not of content ${pull.root.slice(0, 8)}`);
  return chunk;
}

async function ask(pull: Pull, holder: PeerId, index: number | 'leaves', maxResponseBytes: number): Promise<Uint8Array> {
  const { signal, timeoutMs } = pull.options;
  try {
    return await pull.streams.request(holder, 'content', encodeContentRequest({ root: pull.root, index }), {
      timeoutMs,
      maxResponseBytes,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted === true || !(error instanceof StarlingError)) throw error;
    throw new HolderFault(error);
  }
}

/** Carries the error of one holder to the loop over holders; anything else ends the pull. */
class HolderFault extends Error {
  readonly fault: StarlingError;
  constructor(fault: StarlingError) {
    super(fault.message, { cause: fault });
    this.fault = fault;
  }
}

const fault = (code: 'HASH_MISMATCH', peer: PeerId, message: string, cause?: unknown): HolderFault =>
  new HolderFault(new StarlingError(code, message, { peer, phase: 'pull' }, { cause }));

/** The root binds the number of leaves, so a count that differs is the announcement's fault and no holder's. */
function requireCount(pull: Pull, leaves: readonly Uint8Array[]): void {
  if (leaves.length !== chunkCount(pull.sizeBytes)) throw wrongSize(pull.sizeBytes);
}

const wrongSize = (sizeBytes: number): StarlingError =>
  new StarlingError('HASH_MISMATCH', `the content is not of the ${sizeBytes} bytes that were announced`, {
    field: 'sizeBytes',
    phase: 'pull',
  });

function requireEmpty(root: ContentRoot): Uint8Array {
  if (contentOf(new Uint8Array(0)).root !== root) throw wrongSize(0);
  return new Uint8Array(0);
}

async function collect(chunks: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  const content = new Uint8Array(sizeBytes);
  let filled = 0;
  for await (const chunk of chunks) {
    if (filled + chunk.byteLength > sizeBytes) throw wrongSize(sizeBytes);
    content.set(chunk, filled);
    filled += chunk.byteLength;
  }
  if (filled !== sizeBytes) throw wrongSize(sizeBytes);
  return content;
}

/** Bytes of content kept at hand for those who pull it chunk by chunk; one larger piece is kept alone. */
const RECENT_BYTES = 64 * 1024 * 1024;

/** Answers the content protocol from a blob store. The handler throws MALFORMED or NOT_FOUND. */
export function serveContent(blobs: Pick<BlobStore, 'get'>): (from: PeerId, payload: Uint8Array) => Promise<Uint8Array> {
  const recent = new Map<ContentRoot, { readonly content: Uint8Array; readonly index: Uint8Array }>();
  let recentBytes = 0;

  async function held(root: ContentRoot): Promise<{ readonly content: Uint8Array; readonly index: Uint8Array }> {
    const kept = recent.get(root);
    if (kept !== undefined) return kept;
    const content = await blobs.get(root);
    if (content === undefined)
      throw new StarlingError('NOT_FOUND', `content ${root.slice(0, 8)} is not held here`, { fix: 'ask another holder' });
    const one = { content, index: encodeContentIndex(contentOf(content)) };
    if (!recent.has(root)) recentBytes += content.byteLength;
    recent.set(root, one);
    for (const [oldest, old] of recent) {
      if (recentBytes <= RECENT_BYTES || oldest === root) break;
      recent.delete(oldest);
      recentBytes -= old.content.byteLength;
    }
    return one;
  }

  return async (_from, payload) => {
    const { root, index } = decodeContentRequest(payload);
    const { content, index: indexBytes } = await held(root);
    if (index === 'leaves') return indexBytes;
    if (index >= chunkCount(content.byteLength))
      throw new StarlingError('NOT_FOUND', `content ${root.slice(0, 8)} has ${chunkCount(content.byteLength)} chunks`, { field: 'index' });
    return chunkAt(content, index);
  };
}
