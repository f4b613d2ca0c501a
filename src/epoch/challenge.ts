/**
 * Whether a peer's disk still holds what is final. A heartbeat says what a peer has in memory; a row or a file that was
 * altered under it shows only when it is read. So a peer is asked for a hash, under a nonce of the asker's, over entries,
 * blocks and content as it reads them from its disk now, and the asker holds that against its own.
 */
import { type ContentIndex, verifyChunk } from '../crypto/index.ts';
import { asStarlingError, type Fingerprint, type PeerId, StarlingError } from '../spec/index.ts';
import {
  CHALLENGE_ANSWER_MAX_BYTES,
  CHALLENGE_NONCE_BYTES,
  type Challenge,
  challengeDigest,
  challengedItem,
  decodeChallenge,
  decodeChallengeAnswer,
  encodeBlock,
  encodeChallenge,
  encodeChallengeAnswer,
} from '../wire/index.ts';
import type { EpochContext } from './context.ts';
import type { Divergence } from './reach.ts';

/** Items read before others have a turn: some two milliseconds of entries, 2 MiB of content. */
const TURN = { entries: 32, blocks: 32, content: 8 } as const;
/** Ms for an answer: its reading waits for that of others, and for the disk. */
const ANSWER_MS = 10_000;

/** A question without its nonce. */
export type Question = Omit<Challenge, 'nonce'>;

/** Answers the `challenge` protocol from disk, one question after another, with half of the node's time at most. */
export function serveChallenges(ctx: EpochContext): (from: PeerId, payload: Uint8Array) => Promise<Uint8Array> {
  const { clock, journal } = ctx.ports;
  let last: Promise<unknown> = Promise.resolve();
  async function answer(challenge: Challenge): Promise<Uint8Array> {
    const sinceMs = clock.nowMs();
    const digest = await digestOf(ctx, challenge, (i) => stored(ctx, challenge, i));
    // It was archived while it waited, or was being read.
    if (challenge.from < firstOf(ctx, challenge.kind)) throw archived(ctx, challenge);
    // What this node cannot read it is the first to know of.
    if (typeof digest === 'number' && challenge.kind !== 'content')
      journal.log('error', 'ledger', 'this node cannot read its own copy of what is final', {
        code: 'DATA_CORRUPT',
        where: placeOf(ctx, challenge, digest),
        fix: 'stop the daemon and run `starling fsck --repair`; what is lost then is fetched from peers',
      });
    await new Promise<void>((resolve) => clock.after(clock.nowMs() - sinceMs, resolve));
    return encodeChallengeAnswer(typeof digest === 'number' ? { unreadable: digest } : { digest });
  }
  return (_from, payload) => {
    const challenge = decodeChallenge(payload);
    const { epoch, treeSize } = ctx.chain.finalized.state;
    const end = { entries: treeSize, blocks: epoch + 1, content: Number.MAX_SAFE_INTEGER }[challenge.kind];
    if (challenge.to > end)
      throw new StarlingError('NOT_READY', `this node has ${end} ${challenge.kind} that are final`, { fix: 'ask again later' });
    if (challenge.from < firstOf(ctx, challenge.kind)) throw archived(ctx, challenge);
    const answering = last.then(() => answer(challenge));
    last = answering.catch(() => undefined);
    return answering;
  };
}

/** The oldest that this node has not archived. */
function firstOf({ chain }: EpochContext, kind: Question['kind']): number {
  const { epoch, treeSize } = chain.base.state;
  return { entries: treeSize, blocks: epoch + 1, content: 0 }[kind];
}

const archived = (ctx: EpochContext, { kind }: Question): StarlingError =>
  new StarlingError('NOT_FOUND', `this node has archived the ${kind} before ${firstOf(ctx, kind)}`, { fix: 'ask for newer ones' });

/**
 * Asks one question. Resolves with how the peer's copy differs, or with undefined: it does not, or this node cannot tell
 * because it does not hold that content itself. Throws what kept the peer from answering.
 */
export async function challenge(
  ctx: EpochContext,
  node: Fingerprint,
  peer: PeerId,
  question: Question,
  indexOf: (root: string) => Promise<ContentIndex | undefined>,
): Promise<Divergence | undefined> {
  const asked: Challenge = { ...question, nonce: ctx.ports.entropy.bytes(CHALLENGE_NONCE_BYTES) };
  const index = asked.root === null ? undefined : await indexOf(asked.root);
  const here = await digestOf(ctx, asked, (i) => own(ctx, asked, i, index));
  if (typeof here === 'number') return undefined;
  const bytes = await ctx.ports.streams.request(peer, 'challenge', encodeChallenge(asked), {
    timeoutMs: ANSWER_MS,
    maxResponseBytes: CHALLENGE_ANSWER_MAX_BYTES,
  });
  const answer = decodeChallengeAnswer(bytes);
  // Content may have been pruned, or never have been kept as a file.
  if ('digest' in answer ? answer.digest === here : asked.kind === 'content') return undefined;
  const at = 'digest' in answer || answer.unreadable < asked.from || answer.unreadable >= asked.to ? undefined : answer.unreadable;
  return {
    node,
    sinceEpoch: ctx.chain.finalized.state.epoch,
    field: asked.kind,
    where: placeOf(ctx, asked, at),
    here,
    there: 'digest' in answer ? answer.digest : 'unreadable',
    noticedMs: ctx.ports.clock.wallMs(),
  };
}

/** The digest over these items, read in turns with whatever else the node does; the first that could not be read else. */
async function digestOf(
  ctx: EpochContext,
  { kind, from, to, nonce }: Challenge,
  read: (i: number) => Promise<Uint8Array | undefined>,
): Promise<string | number> {
  const items: Uint8Array[] = [];
  for (let i = from; i < to; i++) {
    if (i > from && (i - from) % TURN[kind] === 0) await new Promise<void>((resolve) => ctx.ports.clock.after(0, resolve));
    const item = await read(i);
    if (item === undefined) return i;
    items.push(challengedItem(nonce, item));
  }
  return challengeDigest(items);
}

/** An item as this node's disk holds it; undefined where it is not there, or not as it was written. */
async function stored(ctx: EpochContext, { kind, root }: Question, i: number): Promise<Uint8Array | undefined> {
  const { entries, blocks, blobs } = ctx.ports;
  try {
    if (kind === 'content') return await blobs.readChunk(root as string, i);
    if (kind === 'entries') return entries.get(ctx.chain.order.at(i)?.entry.id ?? '')?.coreBytes;
    const record = blocks.get(i);
    return record === undefined ? undefined : encodeBlock(record.block);
  } catch (error) {
    const problem = asStarlingError(error);
    if (problem.code === 'DATA_CORRUPT') return undefined;
    throw problem;
  }
}

/** An item as it must be: what this node itself recomputed when it applied the block. */
async function own(ctx: EpochContext, { kind, root }: Question, i: number, index?: ContentIndex): Promise<Uint8Array | undefined> {
  if (kind === 'entries') return ctx.replica.graph.get(ctx.chain.order.at(i)?.entry.id ?? '')?.coreBytes;
  if (kind === 'blocks') {
    const block = ctx.chain.at(i)?.block;
    return block === undefined ? undefined : encodeBlock(block);
  }
  const chunk = index === undefined ? undefined : await ctx.ports.blobs.readChunk(root as string, i);
  return chunk !== undefined && index !== undefined && verifyChunk(index.leaves, i, chunk) ? chunk : undefined;
}

/** In words, for a person who looks for the damage. */
function placeOf(ctx: EpochContext, { kind, from, to, root }: Question, at: number | undefined): string {
  const range = at === undefined ? (to - from === 1 ? `${from}` : `${from} to ${to - 1}`) : `${at}`;
  if (kind === 'content') return `content ${root ?? ''}, chunk ${range}`;
  if (kind === 'blocks') return `block ${range}`;
  const entry = at === undefined ? undefined : ctx.chain.order.at(at)?.entry.id;
  return entry === undefined ? `leaf ${range}` : `leaf ${range}, entry ${entry}`;
}
