/** Questions to members about an attempt. */
import { CHUNK_BYTES, type Fingerprint, type Hex, KIB } from '../../spec/index.ts';
import { type AverageAnswer, type AverageMessage, decodeAnswer, encodeAverage, type OpeningKind } from '../../wire/index.ts';
import { answerMs } from '../ports.ts';
import type { ExchangeWorld } from './world.ts';

/** Bytes of an answer: a chunk, its proof and what frames them. */
const ANSWER_MAX_BYTES = CHUNK_BYTES + 256 * KIB;

export type AskWorld = Pick<ExchangeWorld, 'peerOf'> & { readonly streams: Pick<ExchangeWorld['streams'], 'request'> };

/** Undefined where it does not answer in time. */
export async function ask(
  world: AskWorld,
  node: Fingerprint,
  message: AverageMessage,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<AverageAnswer | undefined> {
  const peer = world.peerOf(node);
  if (peer === undefined) return undefined;
  try {
    const answer = await world.streams.request(peer, 'average', encodeAverage(message), { ...options, maxResponseBytes: ANSWER_MAX_BYTES });
    return decodeAnswer(answer);
  } catch {
    return undefined;
  }
}

export interface OpenOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** Bytes that a member opens, undefined where it does not now. */
export async function open(
  world: AskWorld,
  node: Fingerprint,
  attempt: Hex,
  what: OpeningKind,
  at: readonly number[],
  { signal, timeoutMs = answerMs(CHUNK_BYTES) }: OpenOptions,
): Promise<Uint8Array | undefined> {
  const answer = await ask(world, node, { kind: 'open', attempt, what, at }, { timeoutMs, signal });
  return answer?.kind === 'taken' ? answer.bytes : undefined;
}
