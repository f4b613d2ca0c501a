/** Updates that gossip did not bring: key and sealed bytes from the author or any holder, one at a time. */
import { bytesOf } from '../aggregation/index.ts';
import { chunkAt } from '../crypto/index.ts';
import { asStarlingError, type ContentRoot, type EntryId, FRAME_MAX_BYTES, type PeerId, StarlingError } from '../spec/index.ts';
import { decodeKeysMessage, encodeKeysMessage, type UpdateKey } from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import { answerMs } from './ports.ts';
import { pullContent } from './pull.ts';
import { indexInTurns, type ServedContent } from './served.ts';

/**
 * Tries the holders in turn until the update opens. Returns whether it is held. A key that was pushed may be anyone's
 * lie: where it leads nowhere, the holder is asked for its own.
 */
export async function fetchUpdate(
  ctx: EpochContext,
  id: EntryId,
  holders: readonly PeerId[],
  exponents: readonly number[],
): Promise<boolean> {
  for (const holder of holders) {
    const pushed = ctx.updates.key(id);
    if (pushed !== undefined && (await tryHolder(ctx, id, holder, pushed, exponents))) return true;
    if (ctx.updates.refusal(id) !== undefined) return false;
    if (await tryHolder(ctx, id, holder, undefined, exponents)) return true;
    if (ctx.updates.refusal(id) !== undefined) return false;
  }
  return false;
}

/** With this key, or with the one that the holder gives. */
async function tryHolder(
  ctx: EpochContext,
  id: EntryId,
  holder: PeerId,
  known: UpdateKey | undefined,
  exponents: readonly number[],
): Promise<boolean> {
  const { updates } = ctx;
  const { streams, journal } = ctx.ports;
  try {
    const key = known ?? (await askKey(ctx, id, holder));
    if (key.cipherBytes > updates.maxSealedBytes())
      throw new StarlingError('BOUNDS_EXCEEDED', `a sealed update of ${key.cipherBytes} bytes`, { peer: holder, phase: 'fetch' });
    updates.forgetKey(id);
    updates.offerKey(key);
    if (updates.sealed(key.cipherRoot) === undefined) {
      const sealed = await pullContent(streams, [holder], key.cipherRoot, key.cipherBytes, { timeoutMs: answerMs(key.cipherBytes) });
      updates.offerSealed(id, key.cipherRoot, sealed);
    }
    if (updates.open(id, exponents)) return true;
  } catch (error) {
    const problem = asStarlingError(error, { peer: holder, phase: 'fetch' });
    journal.log('debug', 'epoch', 'a holder did not give an update', { ...problem.toJSON(), peer: holder, entry: id });
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

/** Content as the `content` protocol serves it: sealed updates and the newest models from memory, everything else from disk. */
export function servedBlobs(ctx: EpochContext): ServedContent {
  const { blobs, clock } = ctx.ports;
  const inMemory = (root: ContentRoot): Uint8Array | undefined => {
    const model = ctx.chain.models.byRoot(root);
    return ctx.updates.sealed(root) ?? (model === undefined ? undefined : bytesOf(model));
  };
  return {
    async index(root) {
      const content = inMemory(root);
      return await (content === undefined ? blobs.index(root) : indexInTurns(clock, root, content));
    },
    async readChunk(root, i) {
      const content = inMemory(root);
      return content === undefined ? await blobs.readChunk(root, i) : chunkAt(content, i);
    },
  };
}
