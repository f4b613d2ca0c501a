/** Which of the entries on a disk may stay: those that the rules accept, standing on others that stay. */
import type { ArchivedCut } from '../consensus/index.ts';
import { placeIn } from '../epoch/replica.ts';
import { checkEntry, LedgerGraph } from '../ledger/index.ts';
import type { SignedEntry, SwarmId } from '../spec/index.ts';
import type { Damage } from '../storage/index.ts';

export interface CheckedEntries {
  /** In the order of appending, parents first. */
  readonly graph: LedgerGraph;
  readonly damages: readonly Damage[];
}

/**
 * `entries`: as they were appended, on what stands behind the base. Signatures, ids, chains and Lamport numbers, as if they came
 * from a stranger. What is archived too was left by a crash: the next start drops it.
 */
export function checkEntries(entries: readonly SignedEntry[], swarm: SwarmId, archived: readonly ArchivedCut[] = []): CheckedEntries {
  const graph = new LedgerGraph();
  for (const { places } of archived) placeIn(graph, places);
  const damages: Damage[] = [];
  const without: string[] = [];
  const context = {
    swarm,
    place: (id: string) => graph.place(id),
    certificateOf: (author: string) => graph.certificateOf(author),
  };
  for (const entry of entries) {
    if (graph.has(entry.id)) continue;
    const verdict = checkEntry(entry, context);
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
