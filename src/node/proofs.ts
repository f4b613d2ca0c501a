/** Makes what `starling audit` checks: proofs and checkpoints, from what a node holds. */
import type { CheckpointView, ProofRequest } from '../api/index.ts';
import { EMPTY_ROOT, fingerprintOf, fromHex, type Identity, type PublicKeys, toHex } from '../crypto/index.ts';
import type { BlockStore } from '../epoch/index.ts';
import {
  type AuditRules,
  type ChainProof,
  type LedgerGraph,
  type LedgerOrder,
  MerkleTree,
  type Proof,
  type Sibling,
  withSides,
} from '../ledger/index.ts';
import {
  type BlockHash,
  type BlockHeader,
  type Checkpoint,
  type EntryId,
  type FederatedRecord,
  type Fingerprint,
  type Genesis,
  type QuorumCertificate,
  type SignedEntry,
  StarlingError,
  type SwarmId,
  type SwarmState,
  type SystemEvent,
} from '../spec/index.ts';
import { initialState, proveState, quorumOf, votersOf } from '../state/index.ts';
import { type BlockRecord, encodeBlock, openCheckpoint, recordLeaf, signCheckpoint } from '../wire/index.ts';

/** What proofs are made of. Whatever takes an epoch answers undefined when this node no longer holds it. */
export interface ProofSource {
  readonly self: Fingerprint;
  readonly swarm: SwarmId;
  readonly genesis: Genesis;
  readonly genesisBytes: Uint8Array;
  readonly graph: Pick<LedgerGraph, 'get' | 'place'>;
  /** Public keys of whoever joined; the founders' are in the genesis. */
  readonly keysOf: (node: Fingerprint) => PublicKeys | undefined;
  /** Final blocks' cuts first; what is provisional after them is never proved. */
  readonly order: Pick<LedgerOrder, 'find' | 'tree'>;
  readonly blocks: Pick<BlockStore, 'head' | 'get'>;
  /** Headers of archived epochs. */
  readonly archivedHeader: (epoch: number) => BlockHeader | undefined;
  /** Blocks of epochs before `epoch` that elected another committee, ascending. */
  readonly handoversBefore: (epoch: number) => readonly ElectedCommittee[];
  /** The state after block `epoch`. */
  readonly stateAfter: (epoch: number) => SwarmState | undefined;
  /** Of the contributions of block `epoch`, in roster order. */
  readonly recordsOf: (epoch: number) => readonly FederatedRecord[] | undefined;
  readonly eventOf: (epoch: number) => SystemEvent | undefined;
}

/** A final block and the committee that it elected, ascending. */
export interface ElectedCommittee {
  readonly header: BlockHeader;
  readonly certificate: QuorumCertificate;
  readonly voters: readonly Fingerprint[];
}

/** What the audit takes from the rules of the swarm. */
export const AUDIT_RULES: AuditRules = {
  foundingVoters: (genesis, swarm) => votersOf(initialState(genesis, swarm, toHex(EMPTY_ROOT))),
  quorumOf,
};

/** The newest final block's roots, signed. Throws NOT_FOUND before the first block. */
export function makeCheckpoint({ swarm, blocks }: Pick<ProofSource, 'swarm' | 'blocks'>, identity: Identity): CheckpointView {
  const { epoch, treeSize, treeRoot, modelRoot } = recordAt({ blocks }, blocks.head()).block.header;
  const checkpoint: Checkpoint = { swarm, epoch, treeSize, treeRoot, modelRoot };
  return { ...checkpoint, note: signCheckpoint(checkpoint, identity), signer: identity.fingerprint };
}

/**
 * A proof that leads to the checkpoint that the reader holds, or to the newest block. Throws UNKNOWN_ENTRY; NOT_FOUND for
 * what no block holds yet, or this node no longer; BAD_PROOF for a checkpoint of another history; BAD_PARAMS.
 */
export function makeProof(source: ProofSource, request: ProofRequest): Proof {
  const goal = goalOf(source, request.checkpoint);
  switch (request.kind) {
    case 'entry':
      return entryProof(source, goal, required(request.id, 'id'));
    case 'record':
      return recordProof(source, goal, required(request.id, 'id'));
    case 'event':
      return eventProof(source, goal, request.epoch ?? goal.header.epoch);
    case 'block': {
      const chain = chainOf(source, goal, request.epoch ?? goal.header.epoch);
      const content = toHex(encodeBlock(recordAt(source, chain.block.header.epoch).block));
      return { kind: 'block', ...chain, content };
    }
    case 'consistency':
      return consistencyProof(source, goal, required(request.since, 'since'));
  }
}

/** Where a proof leads: a final block, and who signed the checkpoint that shows it. */
interface Goal {
  readonly header: BlockHeader;
  readonly signer: Fingerprint;
}

function goalOf(source: ProofSource, note: string | undefined): Goal {
  if (note === undefined) return { header: recordAt(source, source.blocks.head()).block.header, signer: source.self };
  const { checkpoint, signer } = openCheckpoint(note);
  const header = source.archivedHeader(checkpoint.epoch) ?? recordAt(source, checkpoint.epoch).block.header;
  for (const name of ['swarm', 'treeSize', 'treeRoot', 'modelRoot'] as const)
    if (header[name] !== checkpoint[name])
      throw new StarlingError(
        'BAD_PROOF',
        `the checkpoint's ${name} is ${checkpoint[name]}, the block of epoch ${header.epoch} has ${header[name]}`,
        {
          field: `checkpoint.${name}`,
          fix: 'nothing joins two histories: keep the checkpoint, and ask its signer where it comes from',
        },
      );
  return { header, signer };
}

function entryProof(source: ProofSource, goal: Goal, id: EntryId): Proof {
  const { index } = placeOf(source, id);
  // The reader's own block, if it holds the entry already: then nothing has to join two trees.
  const { header } = index < goal.header.treeSize ? goal : { header: recordAt(source, source.blocks.head()).block.header };
  const { core, coreBytes, signature, composite } = entryAt(source, id);
  const entry = {
    core: toHex(coreBytes),
    signature: toHex(signature),
    composite: composite === undefined ? null : toHex(composite),
    index,
    path: source.order.tree.inclusionPath(index, header.treeSize).map(toHex),
  };
  return { kind: 'entry', ...chainOf(source, goal, header.epoch, [core.author]), entry };
}

function recordProof(source: ProofSource, goal: Goal, id: EntryId): Proof {
  const { epoch } = placeOf(source, id);
  const { core } = entryAt(source, id);
  const records = held(source.recordsOf(epoch), epoch);
  const index = records.findIndex((r) => core.kind === 'contribution' && r.nodeId === core.author && r.deltaHash === core.body.updateHash);
  const record = records[index];
  if (record === undefined)
    throw new StarlingError('NOT_FOUND', `no record of entry ${id} in the block of epoch ${epoch}`, {
      field: 'id',
      fix: 'name a contribution that a block averaged',
    });
  const tree = new MerkleTree();
  for (const r of records) tree.append(recordLeaf(r));
  const path = climb(withSides(index, tree.size, tree.inclusionPath(index, tree.size)));
  const { recordsRoot } = held(source.stateAfter(epoch), epoch);
  return { kind: 'record', ...chainOf(source, goal, epoch), record, path, recordsRoot, statePath: statePath(source, epoch, 'records') };
}

function eventProof(source: ProofSource, goal: Goal, epoch: number): Proof {
  const chain = chainOf(source, goal, epoch);
  const previous = held(source.stateAfter(epoch - 1), epoch - 1).eventHash;
  return { kind: 'event', ...chain, previous, event: held(source.eventOf(epoch), epoch), statePath: statePath(source, epoch, 'event') };
}

function consistencyProof(source: ProofSource, goal: Goal, since: string): Proof {
  const earlier = goalOf(source, since);
  if (earlier.header.epoch > goal.header.epoch)
    throw new StarlingError('BAD_PARAMS', `the earlier checkpoint is of epoch ${earlier.header.epoch}, the later of ${goal.header.epoch}`, {
      field: 'since',
      fix: 'name the older checkpoint with `since`',
    });
  const { swarm } = source;
  const keys = keysOf(source, [earlier.signer, goal.signer]);
  return { v: 1, kind: 'consistency', swarm, keys, since, consistency: consistency(source, earlier.header, goal.header) };
}

type Chain = Pick<ChainProof, 'v' | 'swarm' | 'keys' | 'genesis' | 'handovers' | 'block' | 'consistency'>;

/** From the genesis to the block of `epoch`, and from its tree to the goal's; `authors` have their keys in the file too. */
function chainOf(source: ProofSource, goal: Goal, epoch: number, authors: readonly Fingerprint[] = []): Chain {
  const { swarm, genesis, genesisBytes } = source;
  const target = recordAt(source, epoch);
  const handovers = source
    .handoversBefore(epoch)
    .map(({ header, certificate, voters }): Chain['handovers'][number] => ({ ...finalBlock(header, certificate), voters: [...voters] }));
  const block = finalBlock(target.block.header, target.certificate);
  const voters = [...handovers, block].flatMap(({ certificate }) => certificate.votes.map(({ voter }) => voter));
  const founders = new Set(genesis.founders.map((f) => fingerprintOf(f.mldsaPublicKey, f.ed25519PublicKey)));
  const keys = keysOf(
    source,
    [...voters, ...authors, goal.signer].filter((node) => !founders.has(node)),
  );
  const { header } = target.block;
  const joint = header.epoch === goal.header.epoch ? null : consistency(source, ...inOrder(header, goal.header));
  return { v: 1, swarm, keys, genesis: toHex(genesisBytes), handovers, block, consistency: joint };
}

const founderOf = (genesis: Genesis, node: Fingerprint): PublicKeys | undefined =>
  genesis.founders.find((f) => fingerprintOf(f.mldsaPublicKey, f.ed25519PublicKey) === node);

/** Public keys of each of these nodes, once. */
function keysOf(source: ProofSource, nodes: readonly Fingerprint[]): Proof['keys'] {
  return [...new Set(nodes)].sort().map((node) => {
    const keys = founderOf(source.genesis, node) ?? source.keysOf(node);
    if (keys === undefined)
      throw new StarlingError('UNKNOWN_AUTHOR', `the keys of ${node} are not known here`, { node, fix: 'wait for ledger sync' });
    return { node, mldsa: toHex(keys.mldsaPublicKey), ed25519: toHex(keys.ed25519PublicKey) };
  });
}

const finalBlock = (header: BlockHeader, certificate: QuorumCertificate): ChainProof['block'] => {
  const { epoch, round, votes } = certificate;
  return {
    header: { ...header },
    certificate: {
      epoch,
      round,
      step: 'precommit',
      block: certificate.block as BlockHash,
      votes: votes.map(({ voter, signature }) => ({ voter, signature: toHex(signature) })),
    },
  };
};

const inOrder = (a: BlockHeader, b: BlockHeader): [BlockHeader, BlockHeader] => (a.epoch < b.epoch ? [a, b] : [b, a]);

const consistency = ({ order }: ProofSource, earlier: BlockHeader, later: BlockHeader) => ({
  from: earlier.treeSize,
  to: later.treeSize,
  path: order.tree.consistencyPath(earlier.treeSize, later.treeSize).map(toHex),
});

function statePath(source: ProofSource, epoch: number, leaf: 'records' | 'event') {
  const { index, size, path } = proveState(held(source.stateAfter(epoch), epoch), leaf);
  return climb(withSides(index, size, path.map(fromHex)));
}

const climb = (siblings: readonly Sibling[]) => siblings.map(({ side, hash }) => ({ side, hash: toHex(hash) }));

/** Where a final entry stands. */
function placeOf({ order, graph, blocks }: ProofSource, id: EntryId) {
  if (graph.place(id) === undefined)
    throw new StarlingError('UNKNOWN_ENTRY', `entry ${id} is not held here`, { field: 'id', fix: 'check the id, or wait for ledger sync' });
  if (graph.get(id) === undefined)
    throw new StarlingError('NOT_FOUND', `entry ${id} is archived here: its place is kept, what it says is not`, {
      field: 'id',
      fix: 'ask a node that keeps more epochs',
    });
  const place = order.find(id);
  if (place === undefined || place.epoch > blocks.head())
    throw new StarlingError('NOT_FOUND', `entry ${id} is in no final block yet`, {
      field: 'id',
      fix: 'wait until a block holds it: `starling status` shows the finalized epoch',
    });
  return place;
}

const entryAt = ({ graph }: ProofSource, id: EntryId) => graph.get(id) as SignedEntry;

function recordAt({ blocks }: Pick<ProofSource, 'blocks'>, epoch: number): BlockRecord {
  const record = epoch < 1 ? undefined : blocks.get(epoch);
  if (record === undefined)
    throw new StarlingError('NOT_FOUND', epoch < 1 ? 'no block is final yet' : `block ${epoch} is not held here`, {
      field: 'epoch',
      fix: `blocks are held from the base of this node to ${blocks.head()}; ask a node that keeps more, or wait for the voters`,
    });
  return record;
}

function held<T>(value: T | undefined, epoch: number): T {
  if (value !== undefined) return value;
  throw new StarlingError('NOT_FOUND', `this node no longer holds what epoch ${epoch} derived`, {
    field: 'epoch',
    fix: 'ask a node that has followed the swarm since then',
  });
}

function required<T>(value: T | undefined, field: string): T {
  if (value !== undefined) return value;
  throw new StarlingError('BAD_PARAMS', `${field} is missing for a proof of this kind`, { field, fix: `give ${field}` });
}
