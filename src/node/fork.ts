/** `starling swarm fork`: a swarm whose committee is gone for good begins again, from a checkpoint, under a new id. */
import { existsSync, readFileSync } from 'node:fs';
import { bytesOf } from '../aggregation/index.ts';
import { contentOf, identityFromSeeds } from '../crypto/index.ts';
import { heldHeader } from '../epoch/aggregates.ts';
import { archivedHeader, readArchive, standOn } from '../epoch/archive.ts';
import { Chain } from '../epoch/chain.ts';
import { type BlobStore, initialModelOf } from '../epoch/index.ts';
import { placeIn } from '../epoch/replica.ts';
import { LedgerGraph } from '../ledger/index.ts';
import {
  type Checkpoint,
  type Fingerprint,
  type Genesis,
  holdsSeat,
  type NodeCertificate,
  StarlingError,
  type SwarmId,
} from '../spec/index.ts';
import {
  type DataFolder,
  dataFolderAt,
  loadSeeds,
  lockDataFolder,
  openBlobStore,
  openBlocks,
  openLedger,
  openNodeStore,
  prepareDataFolder,
  writeFileAtomic,
} from '../storage/index.ts';
import { decodeGenesis, encodeGenesis, openCheckpoint, swarmIdOf, verifyCheckpoint } from '../wire/index.ts';
import { replayBlock } from './fsckBlocks.ts';

export interface ForkRequest {
  /** Text of a signed checkpoint of the old swarm. */
  readonly checkpoint: string;
  /** Absolute path of the new data folder. */
  readonly to: string;
  /** Founders, and voters, of the new swarm: members of the old one at the checkpoint. Empty: this node alone. */
  readonly founders: readonly Fingerprint[];
  /** Whether this node's keys go along: without them it is a stranger in the new swarm. */
  readonly identity: boolean;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

export interface Forked {
  readonly swarmId: SwarmId;
  readonly name: string;
  readonly data: string;
  readonly parent: SwarmId;
  /** The checkpoint's. */
  readonly epoch: number;
  readonly modelRoot: string;
  readonly founders: readonly Fingerprint[];
}

/**
 * Founds a swarm with the rules of the one in `data` and, as its initial model, that of the checkpoint. The old folder is only
 * read, and its daemon must be stopped. Every block up to the checkpoint is replayed with its certificate first. Throws
 * NOT_FOUND, DATA_IN_USE, BAD_PROOF, NOT_MEMBER, AGGREGATE_MISSING, BAD_USAGE.
 */
export async function forkSwarm(data: string, request: ForkRequest): Promise<Forked> {
  const folder = dataFolderAt(data);
  if (!existsSync(folder.genesis))
    throw new StarlingError('NOT_FOUND', `${data} belongs to no swarm`, { field: 'data', fix: 'name the data folder with --data' });
  using lock = lockDataFolder(folder.lock);
  void lock;
  const self = identityFromSeeds(requireSeeds(folder)).fingerprint;
  const old = await replayTo(folder, openCheckpoint(request.checkpoint));
  const wanted = request.founders.length === 0 ? [self] : [...new Set(request.founders)];
  const founders = wanted.map((fingerprint) => old.certificateOf(fingerprint));
  if (!founders.some(({ nodeClass }) => holdsSeat(nodeClass)))
    throw new StarlingError('BAD_USAGE', 'none of the founders is of a class that votes', {
      field: 'founder',
      fix: 'name a core or relay',
    });
  const genesis: Genesis = {
    ...old.genesis,
    initialModelRoot: old.checkpoint.modelRoot,
    scaleExponents: old.scaleExponents,
    founders,
    createdMs: request.nowMs,
  };
  const swarmId = await write(folder, request, genesis, old.model);
  const { epoch, modelRoot, swarm } = old.checkpoint;
  return { swarmId, name: genesis.name, data: request.to, parent: swarm, epoch, modelRoot, founders: wanted };
}

interface Old {
  readonly genesis: Genesis;
  readonly checkpoint: Checkpoint;
  readonly scaleExponents: readonly number[];
  /** Content of the model at the checkpoint; its root is checked. */
  readonly model: Uint8Array;
  /** Of a member at the checkpoint that was not expelled. Throws NOT_MEMBER. */
  certificateOf(fingerprint: Fingerprint): NodeCertificate;
}

/** The old swarm as it stood at the checkpoint, out of this folder. */
async function replayTo(folder: DataFolder, opened: ReturnType<typeof openCheckpoint>): Promise<Old> {
  const bytes = new Uint8Array(readFileSync(folder.genesis));
  const [genesis, swarm, { checkpoint }] = [decodeGenesis(bytes), swarmIdOf(bytes), opened];
  if (checkpoint.swarm !== swarm) throw bad('swarm', `is of swarm ${checkpoint.swarm}, this folder belongs to ${swarm}`);
  using entries = openLedger(folder.ledger);
  using blocks = openBlocks(folder.blocks);
  using store = openNodeStore(folder.node);
  const graph = new LedgerGraph();
  const archive = readArchive(blocks, genesis, swarm);
  for (const { places } of archive?.cuts ?? []) placeIn(graph, places);
  for (const entry of entries.all()) if (!graph.has(entry.id)) graph.add(entry);
  const blobs: BlobStore = openBlobStore(folder.blobs);
  const initialModel = initialModelOf(genesis, (await blobs.get(genesis.initialModelRoot)) ?? new Uint8Array());
  const chain = new Chain({
    genesis,
    swarm,
    graph,
    blobs,
    initialModel,
    archivedRoot: (epoch) => archivedHeader(blocks, epoch)?.modelRoot,
  });
  if (archive !== undefined) standOn(chain, archive);
  const { epoch: base } = chain.base.state;
  if (checkpoint.epoch < base) throw bad('epoch', `is of epoch ${checkpoint.epoch}, this folder has archived all before ${base}`);
  const headers = { get: (hash: string) => heldHeader({ ports: { store } }, hash) };
  for (let epoch = base + 1; epoch <= checkpoint.epoch; epoch++) {
    const record = blocks.get(epoch);
    if (record === undefined) throw bad('epoch', `is of epoch ${checkpoint.epoch}, this folder holds blocks up to ${epoch - 1}`);
    await replayBlock(chain, record, { swarm, headers });
  }
  const { state } = chain.finalized;
  for (const field of ['treeSize', 'treeRoot', 'modelRoot'] as const)
    if (state[field] !== checkpoint[field]) throw bad(field, `says ${field} ${checkpoint[field]}, the blocks here lead to ${state[field]}`);
  const signer = state.members.find((m) => m.fingerprint === opened.signer);
  if (signer === undefined || !verifyCheckpoint(opened, signer)) throw bad('signer', `is not signed by a member (${opened.signer})`);
  const model = bytesOf(await chain.model(checkpoint.epoch));
  if (contentOf(model).root !== checkpoint.modelRoot) throw bad('modelRoot', 'names a model that this folder does not hold');
  return {
    genesis,
    checkpoint,
    scaleExponents: state.scaleExponents,
    model,
    certificateOf(fingerprint) {
      const member = state.members.find((m) => m.fingerprint === fingerprint);
      const certificate = genesis.founders.find((c) => isOf(c, member)) ?? graph.certificateOf(fingerprint);
      if (member === undefined || member.status === 'expelled' || certificate === undefined)
        throw new StarlingError('NOT_MEMBER', `${fingerprint} is no member at the checkpoint`, {
          field: 'founder',
          fix: '`starling swarm show` lists the members',
        });
      return certificate;
    },
  };
}

const isOf = (certificate: NodeCertificate, member: { readonly ed25519PublicKey: Uint8Array } | undefined): boolean =>
  member !== undefined && Buffer.from(certificate.ed25519PublicKey).equals(member.ed25519PublicKey);

/** The new folder: keys, model, and last the genesis that makes it a swarm's. */
async function write(folder: DataFolder, { to, identity }: ForkRequest, genesis: Genesis, model: Uint8Array): Promise<SwarmId> {
  const fresh = prepareDataFolder(to);
  using lock = lockDataFolder(fresh.lock);
  void lock;
  if (existsSync(fresh.genesis))
    throw new StarlingError('BAD_USAGE', `${to} belongs to a swarm already`, { field: 'to', fix: 'name an empty folder with --to' });
  if (identity && existsSync(fresh.identity) && !readFileSync(fresh.identity).equals(readFileSync(folder.identity)))
    throw new StarlingError('BAD_USAGE', `${to} has an identity of its own`, {
      field: 'to',
      fix: 'name an empty folder, or add --no-identity',
    });
  const bytes = encodeGenesis(genesis);
  decodeGenesis(bytes); // what a newcomer would refuse is refused here
  if (identity) writeFileAtomic(fresh.identity, readFileSync(folder.identity));
  await openBlobStore(fresh.blobs).put(model);
  writeFileAtomic(fresh.founding, '');
  writeFileAtomic(fresh.genesis, bytes, 0o644);
  return swarmIdOf(bytes);
}

function requireSeeds(folder: DataFolder) {
  const seeds = loadSeeds(folder.identity);
  if (seeds === undefined)
    throw new StarlingError('NOT_FOUND', `${folder.path} has no identity`, { field: 'data', fix: 'restore identity.json from a backup' });
  return seeds;
}

const bad = (field: string, message: string): StarlingError =>
  new StarlingError('BAD_PROOF', `the checkpoint ${message}`, {
    field,
    phase: 'fork',
    fix: 'take a checkpoint of this swarm with `starling ledger checkpoint`, not newer than what this folder holds',
  });
