import { type Identity, identityFromSeeds, sha256, toHex, utf8 } from '../../src/crypto/index.ts';
import { LedgerGraph, lamportAfter } from '../../src/ledger/index.ts';
import type { AnyEntryCore, ContributionBody, EntryCore, EntryId, EntryKind, SignedEntry, SwarmId } from '../../src/spec/index.ts';
import { encodeCore, entryBytes, entryId, makeCertificate, UPDATE_CONTEXT } from '../../src/wire/index.ts';

export const SWARM: SwarmId = toHex(sha256(utf8('bench')));

const hashOf = (text: string): string => toHex(sha256(utf8(text)));

/** The same node at every call. */
export const identityOf = (name: string): Identity =>
  identityFromSeeds({ mldsaSeed: sha256(utf8(`${name} mldsa`)), ed25519Seed: sha256(utf8(`${name} ed25519`)) });

/** The body of a digits contribution: four tensors, one figure. */
export const contributionBody = (epoch: number): ContributionBody => ({
  epoch,
  updateHash: hashOf(`update ${epoch}`),
  sizeBytes: 4_820,
  samples: 350,
  maxAbs: [28_113, 12_001, 30_502, 9_750],
  metrics: { loss: 0.3172 },
  commitment: null,
  staleness: 0,
  links: [],
});

/**
 * The ledger of a swarm of `authors` after as many epochs as give `count` entries, parents first: joins, then in each
 * epoch everyone's contribution (with its composite signature) and everyone's decision over all of them. Without
 * contributions the same chains hold decisions alone.
 */
export function signedLedger(authors: number, count: number, contributions: boolean): SignedEntry[] {
  const graph = new LedgerGraph();
  const nodes = Array.from({ length: authors }, (_, i) => identityOf(`author ${i}`));
  const write = <K extends EntryKind>(node: Identity, kind: K, epoch: number, body: EntryCore<K>['body']): EntryId => {
    const tip = graph.get(graph.heads(node.fingerprint)[0] ?? '');
    const deps = graph.freshDeps(node.fingerprint);
    const parents = [...(tip === undefined ? [] : [tip]), ...deps.map((id) => graph.get(id) as SignedEntry)];
    const core = {
      v: 1,
      swarm: SWARM,
      author: node.fingerprint,
      seq: tip === undefined ? 0 : tip.core.seq + 1,
      prev: tip?.id ?? null,
      lam: lamportAfter(parents),
      epochSeen: Math.max(0, epoch - 1),
      anchorBlock: hashOf(`decision ${epoch - 1}`),
      kind,
      deps,
      body,
    } as AnyEntryCore;
    const coreBytes = encodeCore(core);
    const message = entryBytes(coreBytes);
    const composite = kind === 'contribution' ? { composite: node.signComposite(UPDATE_CONTEXT, message) } : {};
    const entry = { id: entryId(coreBytes), core, coreBytes, signature: node.signEd25519(message), ...composite };
    graph.add(entry);
    return entry.id;
  };
  for (const node of nodes) write(node, 'join', 0, { certificate: makeCertificate(node, 'core', ['update/int16']), invite: null });
  for (let epoch = 1; graph.size < count; epoch++) {
    const roster = contributions ? nodes.map((node) => write(node, 'contribution', epoch, contributionBody(epoch))).sort() : [];
    const weights = roster.map(() => 8_192);
    const [prev, aggregateHash] = [hashOf(`decision ${epoch - 1}`), hashOf(`aggregate ${epoch}`)];
    for (const node of nodes) write(node, 'decision', epoch, { epoch, prev, roster, weights, aggregateHash, dropped: [] });
  }
  return [...graph.entries()].slice(0, count);
}
