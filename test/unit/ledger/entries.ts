import { sha256, toHex, utf8 } from '../../../src/crypto/index.ts';
import { type LedgerGraph, lamportAfter } from '../../../src/ledger/index.ts';
import type { AnyEntryCore, EntryId, Fingerprint, Hex, SignedEntry } from '../../../src/spec/index.ts';
import { encodeCore, entryId } from '../../../src/wire/index.ts';

export const hashOf = (text: string): Hex => toHex(sha256(utf8(text)));
export const SWARM = hashOf('swarm');

export interface Draft {
  readonly author: Fingerprint;
  readonly prev?: SignedEntry | undefined;
  readonly deps?: readonly SignedEntry[];
  /** Makes two entries at one place differ. */
  readonly salt?: string;
  readonly epoch?: number;
  readonly change?: Partial<AnyEntryCore>;
}

/** A contribution with true core bytes and id and a signature of zeros: for what does not check signatures. */
export function draft({ author, prev, deps = [], salt = '', epoch = 1, change = {} }: Draft): SignedEntry {
  const core = {
    v: 1,
    swarm: SWARM,
    author,
    seq: prev === undefined ? 0 : prev.core.seq + 1,
    prev: prev?.id ?? null,
    lam: lamportAfter(prev === undefined ? deps : [prev, ...deps]),
    epochSeen: 0,
    anchorBlock: SWARM,
    kind: 'contribution',
    deps: deps.map((dep) => dep.id).sort(),
    body: {
      epoch,
      updateHash: hashOf(salt),
      sizeBytes: 2,
      samples: 1,
      maxAbs: [1],
      metrics: {},
      commitment: null,
      staleness: 0,
      links: [],
    },
    ...change,
  } as AnyEntryCore;
  return sealed(core);
}

export function sealed(core: AnyEntryCore): SignedEntry {
  const coreBytes = encodeCore(core);
  return { id: entryId(coreBytes), core, coreBytes, signature: new Uint8Array(64) };
}

/** Steps of a random history: everything is a number, so that fast-check can shrink it. */
export interface Step {
  readonly author: number;
  /** Forks off an older entry of the author when it is small. */
  readonly back: number;
  readonly deps: readonly number[];
}

/** Adds one entry to a graph as a step says. */
export function grow(graph: LedgerGraph, step: Step, salt: string): SignedEntry {
  const author = hashOf(`author ${step.author}`);
  const heads = graph.heads(author);
  const head = heads[step.back % Math.max(heads.length, 1)];
  const chain = head === undefined ? [] : graph.chain(head);
  // Three of four follow the head; the fourth goes back up to the whole length, even before the first entry.
  const length = step.back % 4 === 3 ? step.back % (chain.length + 1) : chain.length;
  const prev = length === 0 ? undefined : graph.get(chain[length - 1] as EntryId);
  const others = [...graph.entries()].filter((entry) => entry.core.author !== author);
  const deps = others.length === 0 ? [] : step.deps.map((d) => others[Math.max(0, others.length - 1 - (d % 12))] as SignedEntry);
  const entry = draft({ author, prev, deps: [...new Set(deps)], salt });
  graph.add(entry);
  return entry;
}
