import { toHex } from '../crypto/hash.ts';
import type { SignedEntry } from '../spec/index.ts';
import type { EntryJson } from './calls.ts';

/** A ledger entry as clients see it: byte strings become lower-case hex, nothing else changes. */
export function entryJson(entry: SignedEntry, index: number | null): EntryJson {
  const { author, seq, prev, lam, epochSeen, anchorBlock, kind, deps, body } = entry.core;
  return {
    index,
    id: entry.id,
    author,
    seq,
    prev,
    lam,
    epochSeen,
    anchorBlock,
    kind,
    deps,
    body: bytesToHex(body),
    signature: toHex(entry.signature),
    ...(entry.composite === undefined ? {} : { composite: toHex(entry.composite) }),
  };
}

function bytesToHex(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(bytesToHex);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, bytesToHex(inner)]));
}
