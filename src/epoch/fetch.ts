/** Updates that gossip did not bring: the key from the author or any holder, the sealed bytes from all who have some of them. */
import { bytesOf } from '../aggregation/index.ts';
import { chunkAt } from '../crypto/index.ts';
import { asStarlingError, type ContentRoot, type EntryId, FRAME_MAX_BYTES, type PeerId, StarlingError } from '../spec/index.ts';
import { decodeKeysMessage, encodeKeysMessage, type UpdateKey } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import { answerMs } from './ports.ts';
import { indexInTurns, type ServedContent } from './served.ts';
import type { StoredModel } from './storedModel.ts';

/** Where an update may be had. */
export interface UpdateSources {
  /** Who says that it holds it, its author first: asked for the key, one after the other. */
  readonly holders: readonly PeerId[];
  /** Who may be pulling it too, and gives what it has of it. Asked again whenever there is room for one more. */
  readonly others?: () => readonly PeerId[];
  /** It is not wanted any more. */
  readonly signal?: AbortSignal;
}

/**
 * Tries the holders' keys in turn until the update opens. Returns whether it is held. A key that was pushed may be anyone's
 * lie: where it leads nowhere, the holders are asked for theirs.
 */
export async function fetchUpdate(ctx: EpochContext, id: EntryId, sources: UpdateSources, exponents: readonly number[]): Promise<boolean> {
  const isOver = (): boolean => ctx.updates.refusal(id) !== undefined || sources.signal?.aborted === true;
  const pushed = ctx.updates.key(id);
  if (pushed !== undefined && (await tryKey(ctx, id, () => pushed, sources, exponents))) return true;
  for (const holder of sources.holders) {
    if (isOver()) return false;
    if (await tryKey(ctx, id, () => askKey(ctx, id, holder), sources, exponents, holder)) return true;
  }
  return false;
}

/** `holder`: who gives the key. It is the first to be asked for what the key opens. */
async function tryKey(
  ctx: EpochContext,
  id: EntryId,
  give: () => UpdateKey | Promise<UpdateKey>,
  { holders, others, signal }: UpdateSources,
  exponents: readonly number[],
  holder?: PeerId,
): Promise<boolean> {
  const { updates } = ctx;
  const { streams, journal, entropy } = ctx.ports;
  try {
    const key = await give();
    if (key.cipherBytes > updates.maxSealedBytes())
      throw new StarlingError('BOUNDS_EXCEEDED', `a sealed update of ${key.cipherBytes} bytes, the bound is ${updates.maxSealedBytes()}`, {
        field: 'cipherBytes',
        phase: 'fetch',
      });
    updates.forgetKey(id);
    updates.offerKey(key);
    if (updates.sealed(key.cipherRoot) === undefined) {
      const first = holder === undefined ? holders : [holder, ...holders.filter((peer) => peer !== holder)];
      const everybody = () => [...new Set([...first, ...(others?.() ?? [])])];
      const sealed = await ctx.pulls.pull(streams, everybody, key.cipherRoot, key.cipherBytes, {
        timeoutMs: answerMs(key.cipherBytes),
        uniform: () => entropy.uniform(),
        onFault: (peer, fault) => {
          journal.count('content_faults', 1, { code: fault.code });
          journal.log('debug', 'epoch', 'a holder of an update was left', { ...fault.toJSON(), peer, entry: id });
        },
        ...(signal === undefined ? {} : { signal }),
      });
      updates.offerSealed(id, key.cipherRoot, sealed);
    }
    if (updates.open(id, exponents)) return true;
  } catch (error) {
    const problem = asStarlingError(error, { phase: 'fetch', ...(holder === undefined ? {} : { peer: holder }) });
    journal.log('debug', 'epoch', 'a holder did not give an update', { ...problem.toJSON(), entry: id });
  }
  updates.forgetKey(id);
  return updates.row(id) !== undefined;
}

async function askKey(ctx: EpochContext, id: EntryId, holder: PeerId): Promise<UpdateKey> {
  const answer = await ctx.ports.streams.request(holder, 'keys', encodeKeysMessage({ kind: 'request', ids: [id] }), {
    timeoutMs: answerMs(0),
    maxResponseBytes: FRAME_MAX_BYTES,
  });
  const message = decodeKeysMessage(answer);
  const key = message.kind === 'push' ? message.keys.find((k) => k.id === id) : undefined;
  if (key === undefined) throw new StarlingError('NOT_FOUND', 'the peer has no key for this update', { peer: holder, phase: 'fetch' });
  return key;
}

/** Answers the `keys` protocol: keys go to members alone (PROTOCOL section 4). A push is kept and answers nothing. */
export function serveKeys(
  ctx: EpochContext,
  from: PeerId,
  payload: Uint8Array,
): { readonly reply?: Uint8Array; readonly pushed: readonly EntryId[] } {
  // [REJECT] a peer whose join is not on the ledger is no member
  if (ctx.directory.nodeOf(from) === undefined)
    throw new StarlingError('NOT_MEMBER', 'keys are for members', {
      peer: from,
      phase: 'keys',
      fix: 'join the swarm first: send your join entry by ledger sync',
    });
  const message = decodeKeysMessage(payload);
  if (message.kind === 'request') {
    // A key that has not opened anything here may be a lie that was pushed.
    const keys = message.ids.flatMap((id) => (ctx.updates.row(id) === undefined ? [] : (ctx.updates.key(id) ?? [])));
    return { reply: encodeKeysMessage({ kind: 'push', keys }), pushed: [] };
  }
  for (const key of message.keys) ctx.updates.offerKey(key);
  return { pushed: message.keys.map((k) => k.id) };
}

/**
 * Content as the `content` protocol serves it: sealed updates, the newest models and what has come of content that is pulled
 * from memory, everything else from disk.
 */
export function servedBlobs(ctx: EpochContext): ServedContent {
  const { blobs, clock } = ctx.ports;
  const model = (root: ContentRoot) => ctx.chain.models.byRoot(root);
  const stored = (root: ContentRoot): StoredModel | undefined => {
    const held = model(root);
    return held instanceof Float32Array ? undefined : held;
  };
  const inMemory = (root: ContentRoot): Uint8Array | undefined => {
    const held = model(root);
    return ctx.updates.sealed(root) ?? (held instanceof Float32Array ? bytesOf(held) : undefined);
  };
  const partial = (root: ContentRoot) => (inMemory(root) === undefined && model(root) === undefined ? ctx.pulls.partial(root) : undefined);
  return {
    async index(root) {
      const content = inMemory(root);
      if (content !== undefined) return await indexInTurns(clock, root, content);
      return stored(root)?.index ?? partial(root)?.index ?? (await blobs.index(root));
    },
    async readChunk(root, i) {
      const content = inMemory(root);
      if (content !== undefined) return chunkAt(content, i);
      return partial(root)?.chunk(i) ?? (await (stored(root)?.store ?? blobs).readChunk(root, i));
    },
    held: (root) => partial(root)?.held,
  };
}
