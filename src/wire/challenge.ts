/** Questions to a peer about what its disk holds, answered by a hash over it that only the bytes themselves give. */
import { hashWithDomain, toHex } from '../crypto/index.ts';
import { type ContentRoot, type Hex, StarlingError } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { malformed, readBytes, readHash, readInt, readNullable, readOneOf, readTuple } from './fields.ts';

/** Bytes: nobody who has not drawn it can have an answer ready. */
export const CHALLENGE_NONCE_BYTES = 16;
/** Items of one question: some ten milliseconds of reading each, 16 MiB of content. */
export const CHALLENGE_ITEMS = { entries: 512, blocks: 128, content: 64 } as const;
export type ChallengeKind = keyof typeof CHALLENGE_ITEMS;
const KINDS = Object.keys(CHALLENGE_ITEMS) as ChallengeKind[];
/** Bytes: 80 at most, and room. */
const CHALLENGE_MAX_BYTES = 128;
export const CHALLENGE_ANSWER_MAX_BYTES = 64;

/** Items `from` to `to` (exclusive): cores of the entries at these leaves, blocks of these epochs, chunks of the content `root`. */
export interface Challenge {
  readonly nonce: Uint8Array;
  readonly kind: ChallengeKind;
  readonly from: number;
  readonly to: number;
  /** Null unless the kind is `content`. */
  readonly root: ContentRoot | null;
}

/** What was read; or the first item that could not be. */
export type ChallengeAnswer = { readonly digest: Hex } | { readonly unreadable: number };

export const encodeChallenge = ({ nonce, kind, from, to, root }: Challenge): Uint8Array =>
  encode([nonce, kind, from, to, root === null ? null : Buffer.from(root, 'hex')]);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL, and BOUNDS_EXCEEDED for more items than one question may name. */
export function decodeChallenge(bytes: Uint8Array): Challenge {
  const [nonce, name, first, end, of] = readTuple(decode(bytes, 'challenge', CHALLENGE_MAX_BYTES), 'challenge', 5);
  const kind = readOneOf(name, 'challenge.kind', KINDS);
  const from = readInt(first, 'challenge.from', kind === 'blocks' ? 1 : 0);
  const to = readInt(end, 'challenge.to', from + 1);
  const root = readNullable(of, 'challenge.root', readHash);
  if ((root !== null) !== (kind === 'content')) throw malformed('challenge.root', `does not go with ${kind}`);
  if (to - from > CHALLENGE_ITEMS[kind])
    throw new StarlingError('BOUNDS_EXCEEDED', `a question names ${to - from} ${kind}, at most ${CHALLENGE_ITEMS[kind]} fit`, {
      field: 'challenge.to',
      fix: 'ask for them in several questions',
    });
  return { nonce: readBytes(nonce, 'challenge.nonce', CHALLENGE_NONCE_BYTES), kind, from, to, root };
}

export const encodeChallengeAnswer = (answer: ChallengeAnswer): Uint8Array =>
  encode('digest' in answer ? Buffer.from(answer.digest, 'hex') : answer.unreadable);

/** Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeChallengeAnswer(bytes: Uint8Array): ChallengeAnswer {
  const value = decode(bytes, 'answer', CHALLENGE_ANSWER_MAX_BYTES);
  return typeof value === 'number' ? { unreadable: readInt(value, 'answer') } : { digest: toHex(readBytes(value, 'answer', 32)) };
}

/** One item under a nonce. Whoever holds the hash of an item alone cannot answer for it. */
export const challengedItem = (nonce: Uint8Array, item: Uint8Array): Uint8Array => hashWithDomain('starling/challenge-item/1', nonce, item);

/** Over all items of a question, each as `challengedItem` gives it, in their order. */
export const challengeDigest = (items: readonly Uint8Array[]): Hex => toHex(hashWithDomain('starling/challenge/1', ...items));
