/** Which of the entries on a disk may stay: those that the rules accept, standing on others that stay. */
import { verifyEd25519 } from '../crypto/index.ts';
import { checkEntry, type EntryVerdict, LedgerGraph } from '../ledger/index.ts';
import type { SignedEntry, SwarmId } from '../spec/index.ts';
import type { Damage } from '../storage/index.ts';
import { entryBytes } from '../wire/index.ts';

export interface CheckedEntries {
  /** In the order of appending, parents first. */
  readonly graph: LedgerGraph;
  readonly damages: readonly Damage[];
}

/** `entries`: as they were appended. Signatures, ids, chains and Lamport numbers, as if they came from a stranger. */
export function checkEntries(entries: readonly SignedEntry[], swarm: SwarmId): CheckedEntries {
  const graph = new LedgerGraph();
  const damages: Damage[] = [];
  const without: string[] = [];
  const context = {
    swarm,
    get: (id: string) => graph.get(id),
    certificateOf: (author: string) => graph.certificateOf(author),
  };
  for (const entry of entries) {
    const verdict = judge(entry, context, graph);
    if (verdict.kind === 'accept') graph.add(entry);
    else if (verdict.kind === 'missing') without.push(entry.id);
    else damages.push({ kind: 'rule', where: `ledger.db entry ${entry.id}`, message: `${verdict.code}: ${verdict.reason}` });
  }
  if (without.length > 0)
    damages.push({
      kind: 'gap',
      where: 'ledger.db',
      message: `${without.length} entries stand on others that are not there or are damaged, the first of them ${without[0]}`,
    });
  return { graph, damages };
}

/** A composite signature that is not there was pruned: its row has a checksum, so nothing else can have taken it. */
function judge(entry: SignedEntry, context: Parameters<typeof checkEntry>[1], graph: LedgerGraph): EntryVerdict {
  const verdict = checkEntry(entry, context);
  if (verdict.kind !== 'reject' || verdict.code !== 'BAD_SIGNATURE' || entry.core.kind !== 'contribution' || entry.composite !== undefined)
    return verdict;
  const keys = graph.certificateOf(entry.core.author);
  // The composite signature is the last thing that is looked at: with the other one valid, only that is missing.
  return keys !== undefined && verifyEd25519(entryBytes(entry.coreBytes), entry.signature, keys.ed25519PublicKey)
    ? { kind: 'accept' }
    : verdict;
}
