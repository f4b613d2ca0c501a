import { contentOf, type Identity, toHex } from '../../src/crypto/index.ts';
import { archivedHeader, readArchive, standOn } from '../../src/epoch/archive.ts';
import { archiveUpTo } from '../../src/epoch/archiving.ts';
import { decisionOf } from '../../src/epoch/blocks.ts';
import { Chain } from '../../src/epoch/chain.ts';
import type { BlobStore, BlockStore, EntryStore, NodeStore } from '../../src/epoch/index.ts';
import { Replica } from '../../src/epoch/replica.ts';
import { type LedgerGraph, lamportAfter, type Placed } from '../../src/ledger/index.ts';
import type { SwarmConfig } from '../../src/node/swarmConfig.ts';
import {
  type AggregateHeader,
  type AnyEntryCore,
  type ContentRoot,
  type Genesis,
  type SignedEntry,
  type SwarmId,
  type VoteBody,
  WEIGHT_TOTAL,
} from '../../src/spec/index.ts';
import { votersOf } from '../../src/state/index.ts';
import {
  aggregateHash,
  type BlockRecord,
  decodeAggregate,
  encodeAggregate,
  encodeCore,
  entryBytes,
  entryId,
  makeBlock,
  makeCertificate,
  signVote,
  UPDATE_CONTEXT,
  votersHash,
} from '../../src/wire/index.ts';

/** A swarm of 15 parameters and one founder, who is a quorum by itself. */
export const TINY_SWARM: SwarmConfig = {
  name: 'tiny',
  model: { kind: 'mlp', layers: [4, 3], seed: 1 },
  aggregation: 'mean',
  dtype: 'int16',
  eta: 1,
  lambda: 1,
  clipNorm: 10,
  maxSamples: 1_000,
  epochDeadlineMs: 1_000,
  minDeadlineMs: 100,
  missEpochs: 3,
  admission: 'open',
  voting: 'invited',
  snapshotEpochs: 10,
  retainEpochs: 10,
  encoding: 'dense',
  topkShare: 0.05,
  schedule: 'auto',
  withoutQuorum: 'decide',
  scaleExponent: -10,
};

export interface Stores {
  readonly entries: EntryStore;
  readonly blocks: BlockStore;
  readonly blobs: BlobStore;
  readonly store: NodeStore;
}

export interface Founder {
  readonly genesis: Genesis;
  readonly swarm: SwarmId;
  readonly identity: Identity;
}

const ZERO = '0'.repeat(64);

/**
 * Writes to the stores of a founder what a node alone in its swarm would, in the order in which it would: one chain of
 * entries, final blocks over it, some with an aggregate, and an archive. It goes on from what is there.
 */
export class LedgerWriter {
  readonly #replica: Replica;
  readonly #founder: Founder;
  readonly #stores: Stores;
  readonly #chain: Chain;
  readonly #certificate;

  private constructor(founder: Founder, stores: Stores) {
    const { genesis, swarm, identity } = founder;
    this.#founder = founder;
    this.#stores = stores;
    this.#certificate = makeCertificate(identity, 'core', []);
    const archive = readArchive(stores.blocks, genesis, swarm);
    const archived = archive?.cuts.flatMap(({ places }) => places) ?? [];
    this.#replica = new Replica({ swarm, identity, store: stores.entries, archived });
    const { graph } = this;
    const archivedRoot = (epoch: number) => archivedHeader(stores.blocks, epoch)?.modelRoot;
    this.#chain = new Chain({ genesis, swarm, graph, blobs: stores.blobs, initialModel: new Float32Array(), archivedRoot });
    if (archive !== undefined) standOn(this.#chain, archive);
  }

  /** Replays the blocks that are there. */
  static async open(founder: Founder, stores: Stores): Promise<LedgerWriter> {
    const writer = new LedgerWriter(founder, stores);
    for (let epoch = writer.base + 1; epoch <= stores.blocks.head(); epoch++) {
      const { block } = stores.blocks.get(epoch) as BlockRecord;
      const { header, body } = block;
      const parts = { tips: body.tips, evidence: body.evidence, timeMs: header.timeMs };
      const aggregate = writer.#headers(header.aggregateHash);
      writer.#chain.finalise(
        block,
        await writer.#chain.draft(
          writer.#chain.finalized,
          decisionOf(block),
          { header: aggregate, sum: undefined },
          parts,
          header.modelRoot,
        ),
      );
    }
    return writer;
  }

  get graph(): LedgerGraph {
    return this.#replica.graph;
  }

  get tip(): SignedEntry | Placed | undefined {
    return this.#replica.tip;
  }

  /** Epoch of the newest archived block. */
  get base(): number {
    return this.#chain.base.state.epoch;
  }

  get epoch(): number {
    return this.#chain.finalized.state.epoch;
  }

  /** Appends this many entries at once, as sync brings them: the chain's join, then contributions and others in turn. */
  append(count: number): readonly SignedEntry[] {
    const batch: SignedEntry[] = [];
    for (let last = this.tip; batch.length < count; ) {
      const next = this.#next(last);
      batch.push(next);
      last = next;
    }
    this.#stores.entries.append(batch);
    for (const entry of batch) this.graph.add(entry);
    return batch;
  }

  /** Makes the tip final: sum, header, then block. With an aggregate when the tip is a contribution. */
  async finalise(sum: Uint8Array): Promise<BlockRecord> {
    const { swarm, identity } = this.#founder;
    const base = this.#chain.finalized;
    const epoch = base.state.epoch + 1;
    const { id } = this.tip as Placed;
    const isOpen = this.#chain.find(id) === undefined;
    const roster = isOpen && this.graph.get(id)?.core.kind === 'contribution' ? [id] : [];
    const weights = roster.map(() => WEIGHT_TOTAL);
    const header = roster.length === 0 ? undefined : await this.#keepAggregate(epoch, sum);
    const body = { epoch, prev: base.id, roster, weights, aggregateHash: header === undefined ? ZERO : aggregateHash(header), dropped: [] };
    const parts = { tips: isOpen && roster.length === 0 ? [id] : [], evidence: [], timeMs: Date.now() + epoch };
    const certified = header === undefined ? base.state.modelRoot : contentOf(sum.subarray(4)).root;
    const draft = await this.#chain.draft(base, body, { header, sum: undefined }, parts, certified);
    const voters = votersOf(base.state);
    const block = makeBlock(
      {
        v: 1,
        swarm,
        epoch,
        prev: base.id,
        treeSize: draft.state.treeSize,
        treeRoot: draft.state.treeRoot,
        aggregateHash: body.aggregateHash,
        modelRoot: draft.state.modelRoot,
        stateRoot: draft.stateRoot,
        votersHash: votersHash(voters),
        nextVotersHash: votersHash(votersOf(draft.state)),
        timeMs: parts.timeMs,
      },
      { tips: parts.tips, roster, weights, evidence: [], dropped: [] },
    );
    const vote: VoteBody = { epoch, round: 0, step: 'precommit', block: block.hash, voter: identity.fingerprint };
    const { voter, signature } = signVote(swarm, vote, identity);
    const record: BlockRecord = {
      block,
      certificate: { epoch, round: 0, step: 'precommit', block: block.hash, votes: [{ voter, signature }] },
    };
    this.#stores.blocks.append(record);
    this.#chain.finalise(block, draft);
    return record;
  }

  /** Moves the base to this final block: archive first, then what it takes the place of. */
  archive(epoch: number): void {
    archiveUpTo({ chain: this.#chain, replica: this.#replica, ports: this.#stores }, epoch);
  }

  /** Takes back the blocks after `epoch`, as a local rollback does. */
  rollback(epoch: number): void {
    this.#stores.blocks.truncate(epoch);
    this.#chain.rollback(epoch);
  }

  async #keepAggregate(epoch: number, sum: Uint8Array): Promise<AggregateHeader> {
    const sumRoot: ContentRoot = await this.#stores.blobs.put(sum);
    const header: AggregateHeader = {
      v: 1,
      epoch,
      weightTotal: WEIGHT_TOTAL,
      sumRoot,
      sumBytes: sum.byteLength,
      distances: ['0'],
      opening: null,
    };
    this.#stores.store.set(`aggregate/${aggregateHash(header)}`, encodeAggregate(header));
    return header;
  }

  #headers(hash: string): AggregateHeader | undefined {
    const bytes = hash === ZERO ? undefined : this.#stores.store.get(`aggregate/${hash}`);
    return bytes === undefined ? undefined : decodeAggregate(bytes);
  }

  #next(prev: Placed | undefined): SignedEntry {
    const { swarm, identity } = this.#founder;
    const seq = prev === undefined ? 0 : prev.core.seq + 1;
    const place = { seq, prev: prev?.id ?? null, lam: lamportAfter(prev === undefined ? [] : [prev]) };
    const common = { v: 1, swarm, author: identity.fingerprint, ...place, epochSeen: 0, anchorBlock: swarm, deps: [] } as const;
    const core = coreOf(common, this.#certificate);
    const coreBytes = encodeCore(core);
    const message = entryBytes(coreBytes);
    const entry = { id: entryId(coreBytes), core, coreBytes, signature: identity.signEd25519(message) };
    return core.kind === 'contribution' ? { ...entry, composite: identity.signComposite(UPDATE_CONTEXT, message) } : entry;
  }
}

type Common = Pick<AnyEntryCore, 'v' | 'swarm' | 'author' | 'seq' | 'prev' | 'lam' | 'epochSeen' | 'anchorBlock' | 'deps'>;

function coreOf(common: Common, certificate: ReturnType<typeof makeCertificate>): AnyEntryCore {
  if (common.seq === 0) return { ...common, kind: 'join', body: { certificate, invite: null } };
  if (common.seq % 4 !== 1) return { ...common, kind: 'membership', body: { action: 'resume' } };
  const updateHash = toHex(Uint8Array.from(Buffer.alloc(32, `${common.prev}`)));
  return {
    ...common,
    kind: 'contribution',
    body: {
      epoch: common.seq,
      updateHash,
      sizeBytes: 30,
      samples: 1,
      maxAbs: [1, 1],
      metrics: {},
      commitment: null,
      staleness: 0,
      links: [],
    },
  };
}
