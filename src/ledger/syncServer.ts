import type { EntryId, Hex, SignedEntry } from '../spec/index.ts';
import { differencePage } from './difference.ts';
import { Frontier, resolvePoints, SALT_BYTES } from './frontier.ts';
import type { LedgerGraph } from './graph.ts';
import { answerRanges, WHOLE_FRONTIER } from './reconcile.ts';
import { decodeRequest, encodeResponse, type SyncHead, type SyncRequest, type SyncResponse } from './syncMessages.ts';

/** Bounds of one frame. */
export interface SyncLimits {
  /** Bytes of entries in a frame: half of FRAME_MAX_BYTES, so that one large entry more never bursts it. */
  readonly pageBytes: number;
  /** Tips and tags of ranges in a frame: 200 KiB. */
  readonly pageTips: number;
}

export const SYNC_LIMITS: SyncLimits = { pageBytes: 512 * 1024, pageTips: 16_384 };

export interface SyncAnswer {
  readonly response: Uint8Array;
  /** Entries that the peer sent, parents first: check them and add them before the response is sent. */
  readonly pushed: readonly SignedEntry[];
}

/**
 * The answering side of sync: one request frame in, one response frame out, nothing kept in between.
 * Throws TOO_LARGE, MALFORMED or NON_CANONICAL for what is no request.
 */
export function answerSync(graph: LedgerGraph, head: SyncHead, request: Uint8Array, limits: SyncLimits = SYNC_LIMITS): SyncAnswer {
  const message = decodeRequest(request);
  const response = encodeResponse(respond(graph, head, message, limits));
  return { response, pushed: message.type === 'push' ? message.entries : [] };
}

function respond(graph: LedgerGraph, head: SyncHead, request: SyncRequest, limits: SyncLimits): SyncResponse {
  switch (request.type) {
    case 'hello': {
      const frontier = new Frontier(graph);
      if (request.digest === frontier.digest()) return { type: 'equal', head };
      return { type: 'differs', head, answers: answerRanges(frontier, saltOf(request.digest), [WHOLE_FRONTIER], limits.pageTips) };
    }
    case 'look':
      return { type: 'ranges', answers: answerRanges(new Frontier(graph), request.salt, request.asks, limits.pageTips) };
    case 'probe':
      return { type: 'known', known: resolvePoints(graph, request.salt, request.points).map((entry) => entry !== undefined) };
    case 'want': {
      const found = resolvePoints(graph, request.salt, [...request.have, ...request.want]);
      const have = found.splice(0, request.have.length);
      // Without a common point the difference cannot be told: the asker probes for it.
      if (have.includes(undefined)) return { type: 'known', known: have.map((entry) => entry !== undefined) };
      const [haveIds, wantIds] = [have, found].map((entries) => entries.flatMap((entry) => entry?.id ?? [])) as [EntryId[], EntryId[]];
      return { type: 'entries', ...differencePage(graph, wantIds, haveIds, request.after ?? undefined, limits.pageBytes) };
    }
    case 'push':
      return { type: 'ok' };
  }
}

/** The salt of an exchange, from the digest of the one who asks. */
export const saltOf = (digest: Hex): Hex => digest.slice(0, 2 * SALT_BYTES);
