import assert from 'node:assert/strict';
import { answerSync, LedgerGraph, SYNC_LIMITS, SyncClient, type SyncHead, type SyncLimits } from '../../../src/ledger/index.ts';
import { FRAME_MAX_BYTES, type SignedEntry, StarlingError } from '../../../src/spec/index.ts';
import { draft, hashOf } from './entries.ts';

export const HEAD: SyncHead = { epoch: 3, size: 12, root: hashOf('root') };
export const bytesOf = (entries: readonly SignedEntry[]): number =>
  entries.reduce((sum, e) => sum + e.coreBytes.byteLength + e.signature.byteLength + (e.composite?.byteLength ?? 0), 0);
export const idsOf = (graph: LedgerGraph): string[] => [...graph.entries()].map((e) => e.id).sort();
export const code = (expected: string) => (e: unknown) => e instanceof StarlingError && e.code === expected;

export interface Traffic {
  /** Of frames, without the entries in them. */
  metadataBytes: number;
  rounds: number;
  pulled: SignedEntry[];
  pushed: SignedEntry[];
}

/** Runs a sync of `a` with `b`; every received entry goes into the graph, so a child before its parent throws. */
export function sync(a: LedgerGraph, b: LedgerGraph, limits: SyncLimits = SYNC_LIMITS): Traffic {
  const traffic: Traffic = { metadataBytes: 0, rounds: 0, pulled: [], pushed: [] };
  const client = new SyncClient(a, HEAD, limits);
  for (let request = client.next(); request !== undefined; request = client.next()) {
    const { response, pushed } = answerSync(b, HEAD, request, limits);
    for (const entry of pushed) assert.ok(b.add(entry), 'pushed an entry that the peer held');
    const pulled = client.receive(response);
    for (const entry of pulled) assert.ok(a.add(entry), 'pulled an entry that was held');
    assert.ok(request.byteLength <= FRAME_MAX_BYTES && response.byteLength <= FRAME_MAX_BYTES);
    traffic.metadataBytes += request.byteLength + response.byteLength - bytesOf(pulled) - bytesOf(pushed);
    traffic.pulled.push(...pulled);
    traffic.pushed.push(...pushed);
    traffic.rounds += 1;
    assert.ok(traffic.rounds < 1_000, 'a sync must end');
  }
  assert.deepEqual(client.peer, HEAD);
  return traffic;
}

/**
 * The chains of many authors, for what only looks at ids and places: entries that are never sent need no bytes.
 * Nobody signs, so that a hundred thousand of them take a tenth of a second.
 */
export function bareChains(authors: readonly string[], count: number): SignedEntry[] {
  const { core } = draft({ author: hashOf('template') });
  const last = new Map<string, SignedEntry>();
  return Array.from({ length: count }, (_, i) => {
    const author = authors[i % authors.length] as string;
    const prev = last.get(author);
    const place = { author, seq: prev === undefined ? 0 : prev.core.seq + 1, prev: prev?.id ?? null, lam: 1 + (prev?.core.lam ?? 0) };
    const entry = { id: hashOf(`base ${i}`), core: { ...core, ...place }, coreBytes: new Uint8Array(), signature: new Uint8Array() };
    last.set(author, entry);
    return entry;
  });
}

/** Two graphs that hold the same entries. */
export function pairOf(entries: readonly SignedEntry[]): [LedgerGraph, LedgerGraph] {
  const graphs: [LedgerGraph, LedgerGraph] = [new LedgerGraph(), new LedgerGraph()];
  for (const graph of graphs) for (const entry of entries) graph.add(entry);
  return graphs;
}

/** Adds `count` entries of an author after its entry number `after`, the last one by default. */
export function extend(graph: LedgerGraph, author: string, salt: string, count = 1, after?: number): void {
  let prev = graph.get((after === undefined ? graph.heads(author) : graph.at(author, after))[0] ?? '');
  for (let i = 0; i < count; i++) {
    prev = draft({ author, prev, salt: `${salt} ${i}` });
    graph.add(prev);
  }
}
