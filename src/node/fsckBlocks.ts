/** Which of the blocks on a disk may stay: the run from the base on that is final and leads where it says, by these entries. */
import { verifyQuorum } from '../consensus/index.ts';
import { ZERO_HASH } from '../crypto/index.ts';
import { type Archive, readArchive, standOn } from '../epoch/archive.ts';
import { decisionOf } from '../epoch/blocks.ts';
import { Chain } from '../epoch/chain.ts';
import type { BlobStore } from '../epoch/index.ts';
import type { LedgerGraph } from '../ledger/index.ts';
import {
  type AggregateHeader,
  type ArchiveBase,
  type ArchiveSegment,
  type BlockHeader,
  type Genesis,
  type Hex,
  StarlingError,
  type SwarmId,
} from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
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

/** The archive of these rows, read as one from a stranger. Nothing of it counts where a part does not hold. */
export function checkArchive(
  segments: readonly ArchiveSegment[],
  bases: readonly ArchiveBase[],
  { genesis, swarm }: Pick<BlockFacts, 'genesis' | 'swarm'>,
): { readonly archive: Archive | undefined; readonly damages: readonly Damage[] } {
  try {
    return { archive: readArchive({ base: () => bases[0], segments: () => segments }, genesis, swarm), damages: [] };
  } catch (e) {
    if (!(e instanceof StarlingError)) throw e;
    return { archive: undefined, damages: [{ kind: 'rule', where: 'blocks.db archive', message: `${e.code}: ${e.message}` }] };
  }
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
  get: async () => undefined,
  index: async () => undefined,
  readChunk: async () => undefined,
  has: async () => false,
  delete: async () => {},
};
