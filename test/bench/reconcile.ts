import type { LedgerGraph } from '../../src/ledger/index.ts';
import type { EntryId, SignedEntry } from '../../src/spec/index.ts';
import { hashOf } from '../unit/ledger/entries.ts';
import { bareChains, extend, idsOf, pairOf, sync } from '../unit/ledger/syncing.ts';
import type { BenchRow } from './row.ts';
import { median, timed } from './samples.ts';

/** Bytes of an id, and of what names the end of a chain where nothing is salted: 6 of its author, 4 of its number, 16 of its id. */
const ID_BYTES = 32;
const CHAIN_END_BYTES = 26;
/** Runs of what is timed; the median is reported. */
const RUNS = 3;

interface Scenario {
  readonly name: string;
  readonly authors: number;
  readonly entries: number;
  /** Makes two equal ledgers differ. `authors` are by number. */
  readonly change: (a: LedgerGraph, b: LedgerGraph, authors: readonly string[]) => void;
}

const hundred: Scenario['change'] = (a, b, authors) => {
  authors.slice(0, 100).forEach((author, i) => {
    extend(i % 2 === 0 ? a : b, author, 'new');
  });
};

const SCENARIOS: readonly Scenario[] = [
  { name: '100,000 entries of 200 authors, equal', authors: 200, entries: 100_000, change: () => {} },
  { name: '100,000 entries of 200 authors, 100 differ', authors: 200, entries: 100_000, change: hundred },
  {
    name: '100,000 entries of 200 authors, 100 differ, 3 authors forked',
    authors: 200,
    entries: 100_000,
    change: (a, b, authors) => {
      hundred(a, b, authors);
      authors.slice(190, 193).forEach((author) => {
        extend(a, author, 'one side');
        extend(b, author, 'other side');
      });
    },
  },
  {
    name: '10,000 entries of 5,000 authors, 20 differ',
    authors: 5_000,
    entries: 10_000,
    change: (a, b, authors) => {
      for (let i = 0; i < 20; i++) extend(i % 2 === 0 ? a : b, authors[i * 250] as string, 'new');
    },
  },
];

/** Bytes beside the entries, rounds and time until both sides hold the union, against exchanges that list what is there. */
export async function rows(): Promise<BenchRow[]> {
  const all: BenchRow[] = [];
  for (const scenario of SCENARIOS) all.push(...(await compared(scenario)));
  return all;
}

async function compared({ name, authors, entries, change }: Scenario): Promise<BenchRow[]> {
  const names = Array.from({ length: authors }, (_, i) => hashOf(`author ${i}`));
  const base = bareChains(names, entries);
  const pair = (): [LedgerGraph, LedgerGraph] => {
    const graphs = pairOf(base);
    change(...graphs, names);
    return graphs;
  };
  const [synced, listed]: [number[], number[]] = [[], []];
  let [ours, theirs] = [
    { bytes: 0, rounds: 0 },
    { bytes: 0, rounds: 0 },
  ];
  let ends = 0;
  for (let run = 0; run < RUNS; run++) {
    const [a, b] = pair();
    ends = Math.min(...[a, b].map(chainEnds)) * CHAIN_END_BYTES;
    synced.push(
      await timed(() => {
        const { metadataBytes, rounds } = sync(a, b);
        ours = { bytes: metadataBytes, rounds };
      }),
    );
    const [c, d] = pair();
    listed.push(
      await timed(() => {
        theirs = allIds(c, d);
      }),
    );
    const union = idsOf(a).join();
    if ([b, c, d].some((graph) => idsOf(graph).join() !== union)) throw new Error('the exchanges do not agree on the union');
  }
  const row = (what: string, value: number, unit: string, baseline: string, of: number, n: number): BenchRow => ({
    bench: 'reconcile',
    case: `${name}: ${what}`,
    value,
    unit,
    baseline,
    ratio: value / of,
    n,
  });
  return [
    row('metadata', ours.bytes, 'B', `all ids (${theirs.bytes} B)`, theirs.bytes, 1),
    row('metadata', ours.bytes, 'B', `one side's chain ends alone (${ends} B)`, ends, 1),
    row('rounds', ours.rounds, 'rounds', `all ids (${theirs.rounds} rounds)`, theirs.rounds, 1),
    row('time, no network', median(synced), 'ms', 'all ids', median(listed), RUNS),
  ];
}

const chainEnds = (graph: LedgerGraph): number => graph.authors().reduce((sum, author) => sum + graph.heads(author).length, 0);

/** The naive exchange: one side sends all ids, the other what is new and the ids that it lacks, the first sends those. */
function allIds(a: LedgerGraph, b: LedgerGraph): { bytes: number; rounds: number } {
  const listed = [...a.entries()].map((entry) => entry.id);
  const known = new Set<EntryId>(listed);
  const lacking = listed.filter((id) => !b.has(id));
  const answer: SignedEntry[] = [...b.entries()].filter((entry) => !known.has(entry.id));
  for (const entry of answer) a.add(entry);
  for (const id of lacking) b.add(a.get(id) as SignedEntry);
  return { bytes: ID_BYTES * (listed.length + lacking.length), rounds: 2 };
}
