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
  const accepted = new Set<SignedEntry>();
  const damages: Damage[] = [];
  const context = {
    swarm,
    place: (id: string) => graph.place(id),
    certificateOf: (author: string) => graph.certificateOf(author),
  };
  let without = held.filter(({ id }) => !graph.has(id));
  // What a stranded one stood on may have come after it, from a peer.
  for (let left = -1; left !== without.length; ) {
    left = without.length;
    without = without.filter((entry) => {
      const verdict = checkEntry(entry, context);
      if (verdict.kind === 'reject')
        damages.push({ kind: 'rule', where: `ledger.db entry ${entry.id}`, message: `${verdict.code}: ${verdict.reason}` });
      else if (verdict.kind === 'accept') {
        graph.add(entry);
        accepted.add(entry);
      }
      return verdict.kind === 'missing';
    });
  }
  const kept = new Set(isLost ? [...accepted, ...without] : accepted);
  const entries = held.filter((entry) => kept.has(entry));
  const what = `${without.length} entries stand on others that are not there or are damaged, the first of them ${without[0]?.id}`;
  const gaps: Damage[] = without.length === 0 ? [] : [{ kind: 'gap', where: 'ledger.db', message: what }];
  return isLost ? { graph, entries, damages, unchecked: gaps } : { graph, entries, damages: [...damages, ...gaps], unchecked: [] };
}
