/** The three databases of a data folder, together: blocks stand on entries and on the headers that the node keeps. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { VOTES_LOST } from '../epoch/index.ts';
import {
  type AggregateHeader,
  type ArchiveBase,
  type ArchiveSegment,
  type Hex,
  type SignedEntry,
  StarlingError,
  type SwarmId,
} from '../spec/index.ts';
import {
  BASES,
  BLOCKS,
  type Damage,
  type DataFolder,
  ENTRIES,
  FACTS,
  type Fact,
  inspectTable,
  openBlocks,
  openLedger,
  openNodeStore,
  type Quarantine,
  SEGMENTS,
} from '../storage/index.ts';
import { aggregateHash, type BlockRecord, decodeAggregate } from '../wire/index.ts';
import { checkArchive, checkBlocks } from './fsckBlocks.ts';
import { type Finding, hasDatabases, rejoinFix, type Swarm } from './fsckFiles.ts';
import { checkEntries } from './fsckLedger.ts';

export interface CheckedDatabases {
  readonly findings: readonly Finding[];
  /** Entries and blocks that may stay. */
  readonly entries: number;
  readonly blocks: number;
}

const LEDGER_FIX =
  'start the daemon with a peer in reach: it fetches what is missing, its own entries too, before it writes any. A node that has no peer goes on from what is left';
const BLOCKS_FIX = 'start the daemon with a peer in reach: any peer has the later blocks';
const ARCHIVE_FIX =
  'start the daemon with a peer in reach: it takes the archive from there, and these entries count again. They are kept; a node that has no peer signs nothing';
const FACTS_FIX =
  'start the daemon with a peer in reach: votes of its own may be lost, so it does not vote before a block that is new to it is final';

/** `known`: the folder's swarm, `undefined` where its genesis is damaged: then blocks are read, and not replayed. */
export async function checkDatabases(folder: DataFolder, quarantine: Quarantine, known: Swarm | undefined): Promise<CheckedDatabases> {
  const held = inspectTable(folder.ledger, ENTRIES);
  const blocks = inspectTable(folder.blocks, BLOCKS);
  const segments = inspectTable(folder.blocks, SEGMENTS);
  const bases = inspectTable(folder.blocks, BASES);
  const facts = inspectTable(folder.node, FACTS);

  const swarm = swarmOf(held.rows) ?? known?.swarm;
  const genesis = known?.swarm === swarm ? known : undefined;
  const archived = checkArchive(segments.rows, bases.rows[0], genesis);
  const { base, places } = archived;
  // Only the genesis and an archive are no entries: one that is not there was the ground of entries, and nothing says of which.
  const isLost = base === undefined && blocks.rows[0]?.block.header.epoch !== 1;
  const { graph, entries, damages, unchecked } =
    swarm === undefined
      ? { graph: undefined, entries: [], damages: [], unchecked: [] }
      : checkEntries(held.rows, swarm, { places, isLost });
  const replayed =
    genesis === undefined || graph === undefined
      ? { good: withoutGap(blocks.rows, base?.epoch ?? 0), damages: [] }
      : await checkBlocks(blocks.rows, { ...genesis, graph, headers: headersOf(facts.rows), archive: archived.archive });

  const findings: Finding[] = [
    {
      damages: [...missing(folder, folder.ledger), ...held.damages, ...damages],
      repair: () => quarantine.replaceDatabase(folder.ledger, (path) => writeEntries(path, entries)),
      fix: LEDGER_FIX,
    },
    { damages: unchecked, fix: ARCHIVE_FIX },
    {
      damages: [
        ...missing(folder, folder.blocks),
        ...once([...blocks.damages, ...segments.damages, ...bases.damages]),
        ...archived.damages,
        ...replayed.damages,
      ],
      repair: () => quarantine.replaceDatabase(folder.blocks, (path) => writeBlocks(path, replayed.good, archived.segments, base)),
      fix: BLOCKS_FIX,
    },
    {
      damages: [...missing(folder, folder.node), ...facts.damages],
      repair: () => quarantine.replaceDatabase(folder.node, (path) => writeFacts(path, facts.rows)),
      fix: FACTS_FIX,
    },
  ];
  if (known !== undefined && known.swarm !== swarm)
    findings.push({
      damages: [
        { kind: 'mismatch', where: basename(folder.genesis), message: `it founds swarm ${known.swarm}, the ledger is of swarm ${swarm}` },
      ],
      fix: rejoinFix(folder, swarm),
    });
  return { findings, entries: entries.length, blocks: replayed.good.length };
}

/** All three are made when a daemon starts for the first time. */
const missing = (folder: DataFolder, path: string): Damage[] =>
  existsSync(path) || !hasDatabases(folder)
    ? []
    : [{ kind: 'missing', where: basename(path), message: 'it is not there, and other databases are' }];

/** What is wrong with a file as a whole is found with each of its tables. */
const once = (damages: readonly Damage[]): Damage[] => [
  ...new Map(damages.map((damage) => [`${damage.kind} ${damage.where} ${damage.message}`, damage])).values(),
];

/** The swarm that most entries name: one that rotted speaks for no other. */
function swarmOf(entries: readonly SignedEntry[]): SwarmId | undefined {
  const votes = [...Map.groupBy(entries, (entry) => entry.core.swarm)];
  return votes.sort((a, b) => b[1].length - a[1].length)[0]?.[0];
}

/** The blocks that follow `base` one by one. */
function withoutGap(records: readonly BlockRecord[], base: number): readonly BlockRecord[] {
  const gap = records.findIndex(({ block }, i) => block.header.epoch !== base + 1 + i);
  return gap === -1 ? records : records.slice(0, gap);
}

/** Whatever among the facts is the header of an aggregate, by its hash. */
function headersOf(facts: readonly Fact[]): ReadonlyMap<Hex, AggregateHeader> {
  const headers = new Map<Hex, AggregateHeader>();
  for (const { value } of facts) {
    try {
      const header = decodeAggregate(value);
      headers.set(aggregateHash(header), header);
    } catch (e) {
      if (!(e instanceof StarlingError)) throw e;
    }
  }
  return headers;
}

function writeEntries(path: string, entries: readonly SignedEntry[]): void {
  using store = openLedger(path);
  store.append(entries);
}

function writeBlocks(
  path: string,
  records: readonly BlockRecord[],
  segments: readonly ArchiveSegment[],
  base: ArchiveBase | undefined,
): void {
  using store = openBlocks(path);
  if (base !== undefined) store.archive(segments, base);
  for (const record of records) store.append(record);
}

function writeFacts(path: string, facts: readonly Fact[]): void {
  using store = openNodeStore(path);
  for (const { key, value } of facts) store.set(key, value);
  store.set(VOTES_LOST, new Uint8Array());
}
