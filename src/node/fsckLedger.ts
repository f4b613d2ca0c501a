/** Which of the entries on a disk may stay: those that the rules accept, standing on others that stay. */
import { type ArchivedPlace, placeIn } from '../epoch/replica.ts';
import { checkEntry, LedgerGraph } from '../ledger/index.ts';
import type { SignedEntry, SwarmId } from '../spec/index.ts';
import type { Damage } from '../storage/index.ts';

export interface CheckedEntries {
  readonly graph: LedgerGraph;
  /** Those that may stay, as they were appended. */
  readonly entries: readonly SignedEntry[];
  readonly damages: readonly Damage[];
  /** Entries among `entries` that stand on others that are not there: nothing says whether they hold. */
  readonly unchecked: readonly Damage[];
}

export interface Ground {
  /** What is archived, in the order of the ledger. */
  readonly places: readonly ArchivedPlace[];
  /** What the oldest entries stood on is lost: what is not there is missed by sound ones too. */
  readonly isLost: boolean;
}

/**
 * `held`: as they were appended, on what stands behind the base. Signatures, ids, chains and Lamport numbers, as if they came
 * from a stranger. What is archived too was left by a crash: the next start drops it.
 */
export function checkEntries(held: readonly SignedEntry[], swarm: SwarmId, { places, isLost }: Ground): CheckedEntries {
  const graph = new LedgerGraph();
  placeIn(graph, places);
  const entries: SignedEntry[] = [];
  const damages: Damage[] = [];
  const without: string[] = [];
  const context = {
    swarm,
    place: (id: string) => graph.place(id),
    certificateOf: (author: string) => graph.certificateOf(author),
  };
  for (const entry of held) {
    if (graph.has(entry.id)) continue;
    const verdict = checkEntry(entry, context);
    if (verdict.kind === 'reject')
      damages.push({ kind: 'rule', where: `ledger.db entry ${entry.id}`, message: `${verdict.code}: ${verdict.reason}` });
    else if (verdict.kind === 'missing') without.push(entry.id);
    if (verdict.kind === 'accept') graph.add(entry);
    if (verdict.kind === 'accept' || (verdict.kind === 'missing' && isLost)) entries.push(entry);
  }
  const what = `${without.length} entries stand on others that are not there or are damaged, the first of them ${without[0]}`;
  const gaps: Damage[] = without.length === 0 ? [] : [{ kind: 'gap', where: 'ledger.db', message: what }];
  return isLost ? { graph, entries, damages, unchecked: gaps } : { graph, entries, damages: [...damages, ...gaps], unchecked: [] };
}
