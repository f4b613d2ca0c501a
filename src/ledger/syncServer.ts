import type { EntryId, SignedEntry } from '../spec/index.ts';
import { differencePage } from './difference.ts';
import { encodeTips, frontierDigest } from './frontier.ts';
import type { LedgerGraph } from './graph.ts';
import { decodeRequest, encodeResponse, type OutgoingResponse, type SyncHead, type SyncRequest } from './syncMessages.ts';

/** Bounds of one frame. */
export interface SyncLimits {
  /** Bytes of entries in a frame: half of FRAME_MAX_BYTES, so that one large entry more never bursts it. */
  readonly pageBytes: number;
  /** Tips in a frame: 416 KiB. */
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

function respond(graph: LedgerGraph, head: SyncHead, request: SyncRequest, limits: SyncLimits): OutgoingResponse {
  switch (request.type) {
    case 'hello':
      return request.digest === frontierDigest(graph) ? { type: 'equal', head } : tipsAfter(graph, head, undefined, limits);
    case 'tips':
      return tipsAfter(graph, head, request.after, limits);
    case 'probe':
      return { type: 'known', known: request.ids.map((prefix) => graph.findByPrefix(prefix) !== undefined) };
    case 'want': {
      const have = request.have.map((prefix) => graph.findByPrefix(prefix)?.id);
      // Without a common point the difference cannot be told: the asker probes for it.
      if (have.includes(undefined)) return { type: 'known', known: have.map((id) => id !== undefined) };
      const want = request.want.flatMap((prefix) => graph.findByPrefix(prefix)?.id ?? []);
      return { type: 'entries', ...differencePage(graph, want, have as EntryId[], request.after ?? undefined, limits.pageBytes) };
    }
    case 'push':
      return { type: 'ok' };
  }
}

function tipsAfter(graph: LedgerGraph, head: SyncHead, after: Uint8Array | undefined, limits: SyncLimits): OutgoingResponse {
  const records = encodeTips(graph).filter((record) => after === undefined || Buffer.compare(record, after) > 0);
  return { type: 'tips', head, records: records.slice(0, limits.pageTips), more: records.length > limits.pageTips };
}
