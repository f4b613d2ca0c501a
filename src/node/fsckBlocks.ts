/** Which of the blocks on a disk may stay: the run from the base on that is final and leads where it says, by these entries. */
import { verifyQuorum } from '../consensus/index.ts';
import { ZERO_HASH } from '../crypto/index.ts';
import { type Archive, readArchive, standOn } from '../epoch/archive.ts';
import { decisionOf } from '../epoch/blocks.ts';
import { Chain } from '../epoch/chain.ts';
import type { BlobStore } from '../epoch/index.ts';
import type { ArchivedPlace } from '../epoch/replica.ts';
import type { LedgerGraph, Placed } from '../ledger/index.ts';
import {
  type AggregateHeader,
  type ArchiveBase,
  type ArchiveSegment,
  type BlockHeader,
  type Genesis,
  type Hex,
  type SignedEntry,
  StarlingError,
  type SwarmId,
} from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { requireConsecutive } from '../storage/archiveOrder.ts';
import type { Damage } from '../storage/index.ts';
import { type BlockRecord, verifyVote, votersHash } from '../wire/index.ts';

export interface CheckedBlocks {
  readonly good: readonly BlockRecord[];
  /** What is wrong with the first block that may not stay. */
  readonly damages: readonly Damage[];
}

export interface BlockFacts {
  readonly genesis: Genesis;
  readonly swarm: SwarmId;
  readonly graph: LedgerGraph;
  /** Headers of aggregates that this node keeps, by their hash. */
  readonly headers: ReadonlyMap<Hex, AggregateHeader>;
  /** What stands behind the base; undefined where the chain starts with the genesis. */
  readonly archive: Archive | undefined;
}

export interface CheckedArchive {
  /** Certified from the genesis on; undefined where nothing is archived, and where there is no genesis to hold it against. */
  readonly archive: Archive | undefined;
  /** What may stay: all of it, or nothing where a part does not hold. */
  readonly segments: readonly ArchiveSegment[];
  readonly base: ArchiveBase | undefined;
  /** Where the archived entries stand. */
  readonly places: readonly ArchivedPlace[];
  readonly damages: readonly Damage[];
}

/** The archive of these rows, read as one from a stranger; without a genesis, by its own word. */
export function checkArchive(
  segments: readonly ArchiveSegment[],
  base: ArchiveBase | undefined,
  founded: Pick<BlockFacts, 'genesis' | 'swarm'> | undefined,
): CheckedArchive {
  const nothing = { archive: undefined, segments: [], base: undefined, places: [], damages: [] };
  const lost = (message: string): CheckedArchive => ({ ...nothing, damages: [{ kind: 'gap', where: 'blocks.db archive', message }] });
  if (segments.length === 0 && base === undefined) return nothing;
  if (base === undefined) return lost('what is archived has lost its base');
  try {
    requireConsecutive({ epoch: 0, treeSize: 0 }, segments, base);
    if (founded === undefined) return { ...nothing, segments, base, places: placesOf(segments) };
    const archive = readArchive({ base: () => base, segments: () => segments }, founded.genesis, founded.swarm);
    return { archive, segments, base, places: archive?.cuts.flatMap(({ places }) => places) ?? [], damages: [] };
  } catch (e) {
    if (!(e instanceof StarlingError)) throw e;
    if (e.code === 'EPOCH_REGRESSION') return lost(`a part of it is not there: ${e.message}`);
    return { ...nothing, damages: [{ kind: 'rule', where: 'blocks.db archive', message: `${e.code}: ${e.message}` }] };
  }
}

/** Where these segments say that their leaves stand, whoever signed them. */
function placesOf(segments: readonly ArchiveSegment[]): ArchivedPlace[] {
  const places: ArchivedPlace[] = [];
  for (const { leaves, joins } of segments) {
    const whole = new Map(joins.map((entry) => [entry.id, entry]));
    for (const { id, prev, lam } of leaves) {
      const before = prev === null ? undefined : places[prev]?.entry;
      if (before === undefined) places.push({ entry: whole.get(id) as SignedEntry, prev: null });
      else {
        const entry: Placed = { id, core: { author: before.core.author, seq: before.core.seq + 1, lam } };
        places.push({ entry, prev: before.id });
      }
    }
  }
  return places;
}

/** Replays blocks as a daemon does when it starts. Nothing beyond the first that cannot be replayed counts. */
export async function checkBlocks(records: readonly BlockRecord[], facts: BlockFacts): Promise<CheckedBlocks> {
  const { genesis, swarm, graph, archive } = facts;
  const archivedRoot = (epoch: number) => archive?.cuts[epoch - 1]?.header.modelRoot;
  const chain = new Chain({ genesis, swarm, graph, blobs: NO_BLOBS, initialModel: new Float32Array(), archivedRoot });
  if (archive !== undefined) standOn(chain, archive);
  const base = chain.base.state.epoch;
  const good: BlockRecord[] = [];
  for (const record of records) {
    const { epoch } = record.block.header;
    const expected = base + good.length + 1;
    if (epoch !== expected)
      return { good, damages: [{ kind: 'gap', where: `blocks.db block ${expected}`, message: 'it is not there, and later ones are' }] };
    try {
      await replayBlock(chain, record, facts);
    } catch (e) {
      if (!(e instanceof StarlingError)) throw e;
      const kind = e.code === 'MISSING_PARENT' || e.code === 'AGGREGATE_MISSING' ? 'gap' : 'rule';
      return { good, damages: [{ kind, where: `blocks.db block ${epoch}`, message: `${e.code}: ${e.message}` }] };
    }
    good.push(record);
  }
  return { good, damages: [] };
}

/**
 * Takes the next block as one from a stranger: its certificate, and where it leads. Throws BAD_QUORUM, BAD_BLOCK,
 * AGGREGATE_MISSING, MISSING_PARENT, WRONG_SWARM.
 */
export async function replayBlock(
  chain: Chain,
  { block, certificate }: BlockRecord,
  { swarm, headers }: Pick<BlockFacts, 'swarm'> & { readonly headers: Pick<BlockFacts['headers'], 'get'> },
): Promise<void> {
  const base = chain.finalized;
  const { header, body } = block;
  if (header.swarm !== swarm) throw new StarlingError('WRONG_SWARM', `it is of swarm ${header.swarm}`, { field: 'swarm' });
  const voters = votersOf(base.state);
  const keys = new Map(base.state.members.map((m) => [m.fingerprint, m.ed25519PublicKey]));
  verifyQuorum(certificate, voters, (vote) => verifyVote(swarm, vote, keys.get(vote.voter) ?? NO_KEY));
  const aggregate = headers.get(header.aggregateHash);
  if (aggregate === undefined && header.aggregateHash !== ZERO_HASH)
    throw new StarlingError('AGGREGATE_MISSING', `its aggregate ${header.aggregateHash} is not held`, { field: 'aggregateHash' });
  const parts = { tips: body.tips, evidence: body.evidence, timeMs: header.timeMs };
  const draft = await chain.draft(base, decisionOf(block), { header: aggregate, sum: undefined }, parts, header.modelRoot);
  const leadsTo: Partial<BlockHeader> = {
    treeSize: draft.state.treeSize,
    treeRoot: draft.state.treeRoot,
    modelRoot: draft.state.modelRoot,
    stateRoot: draft.stateRoot,
    votersHash: votersHash(voters),
    nextVotersHash: votersHash(votersOf(draft.state)),
  };
  for (const [field, own] of Object.entries(leadsTo)) {
    const said = header[field as keyof BlockHeader];
    if (said !== own) throw new StarlingError('BAD_BLOCK', `${field} is ${said}, the ledger here makes it ${own}`, { field });
  }
  chain.finalise(block, draft);
}

const NO_KEY = new Uint8Array(32);

/** Model roots are certified by the blocks: no content is asked for. */
const NO_BLOBS: BlobStore = {
  put: () => Promise.reject(new Error('fsck keeps no content')),
  putParts: () => Promise.reject(new Error('fsck keeps no content')),
  get: async () => undefined,
  index: async () => undefined,
  readChunk: async () => undefined,
  has: async () => false,
  delete: async () => {},
  roots: async () => [],
};
