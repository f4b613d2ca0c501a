import { EMPTY_ROOT, fingerprintOf, fromHex, type PublicKeys, toHex } from '../crypto/index.ts';
import { type BlockHeader, type Checkpoint, type Fingerprint, type Genesis, type Hex, StarlingError, type SwarmId } from '../spec/index.ts';
import { blockHash, decodeGenesis, swarmIdOf, verifyVote, votersHash } from '../wire/index.ts';
import { verifyConsistency } from './proof.ts';
import type { ChainProof, Proof } from './proofFile.ts';

/** Rules that belong to rooms above this one. */
export interface AuditRules {
  /** The first committee, ascending. */
  readonly foundingVoters: (genesis: Genesis, swarm: SwarmId) => readonly Fingerprint[];
  /** Votes that make a quorum of so many voters. */
  readonly quorumOf: (voters: number) => number;
}

/** Called with each thing that held: the field that it speaks for, and what was found. */
export type Pass = (name: string, detail: string) => void;

/** A check that failed. `field` names what does not match. */
export const mismatch = (field: string, message: string): StarlingError => new StarlingError('BAD_PROOF', message, { field });

/** Runs `read`; what it throws is said of `field`. */
export function named<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof StarlingError)) throw error;
    const inner = error.facts.field;
    throw new StarlingError(error.code, error.message, { field: inner === undefined ? field : `${field}: ${inner}` }, { cause: error });
  }
}

/** The public keys that a proof carries, and the founders' of its genesis. A node is named by the hash of its keys. */
export class KeyRing {
  readonly #keys = new Map<Fingerprint, PublicKeys>();

  constructor(proof: Proof) {
    proof.keys.forEach(({ node, mldsa, ed25519 }, i) => {
      this.add({ mldsaPublicKey: fromHex(mldsa), ed25519PublicKey: fromHex(ed25519) });
      if (!this.#keys.has(node)) throw mismatch(`proof.keys.${i}`, `the keys are not those of ${node}`);
    });
  }

  add(node: PublicKeys): void {
    this.#keys.set(fingerprintOf(node.mldsaPublicKey, node.ed25519PublicKey), node);
  }

  of(node: Fingerprint, field: string): PublicKeys {
    const keys = this.#keys.get(node);
    if (keys === undefined)
      throw mismatch(field, `the keys of ${node} are not in the proof; make it with \`--checkpoint\` for a checkpoint of another node`);
    return keys;
  }
}

/** The genesis that the swarm's id is the hash of; its founders' keys join the ring. */
export function checkGenesis(proof: ChainProof, keys: KeyRing, pass: Pass): Genesis {
  const bytes = fromHex(proof.genesis);
  const swarm = swarmIdOf(bytes);
  if (swarm !== proof.swarm) throw mismatch('proof.genesis', `it is the genesis of swarm ${swarm}, not of ${proof.swarm}`);
  const genesis = named('proof.genesis', () => decodeGenesis(bytes));
  for (const founder of genesis.founders) keys.add(founder);
  pass('proof.genesis', `swarm ${genesis.name}, ${genesis.founders.length} founders`);
  return genesis;
}

/**
 * Whether the proof's block is final: each committee, from the one that the genesis names, voted for the block that
 * elected the next, and the last one for this block. Then whether its tree and the checkpoint's are one ledger.
 */
export function checkChain(
  proof: ChainProof,
  genesis: Genesis,
  checkpoint: Checkpoint,
  keys: KeyRing,
  rules: AuditRules,
  pass: Pass,
): void {
  let voters = rules.foundingVoters(genesis, proof.swarm);
  let epoch = 0;
  proof.handovers.forEach((handover, i) => {
    const field = `proof.handovers.${i}`;
    checkFinal(handover, field, proof.swarm, voters, epoch, keys, rules);
    if (!isAscending(handover.voters) || votersHash(handover.voters) !== handover.header.nextVotersHash)
      throw mismatch(`${field}.voters`, 'they are not the committee that the block elected');
    ({ voters } = handover);
    ({ epoch } = handover.header);
  });
  checkFinal(proof.block, 'proof.block', proof.swarm, voters, epoch, keys, rules);
  const { header, certificate } = proof.block;
  const changes =
    proof.handovers.length === 0 ? 'the founding committee' : `a committee ${proof.handovers.length} changes after the founding one`;
  pass('proof.block', `epoch ${header.epoch} is final: ${certificate.votes.length} of ${voters.length} voters of ${changes}`);
  checkRoots(proof, header, checkpoint, pass);
}

type Final = ChainProof['block'];

function checkFinal(
  { header, certificate }: Final,
  field: string,
  swarm: SwarmId,
  voters: readonly Fingerprint[],
  after: number,
  keys: KeyRing,
  rules: AuditRules,
): void {
  if (header.swarm !== swarm) throw mismatch(`${field}.header.swarm`, `the block is of swarm ${header.swarm}, not of ${swarm}`);
  if (header.epoch <= after) throw mismatch(`${field}.header.epoch`, `epoch ${header.epoch} does not come after epoch ${after}`);
  if (header.votersHash !== votersHash(voters)) throw mismatch(`${field}.header.votersHash`, 'another committee votes on this block');
  const hash = blockHash(header);
  if (certificate.block !== hash)
    throw mismatch(`${field}.certificate.block`, `the votes are for ${certificate.block}, the header's hash is ${hash}`);
  if (certificate.epoch !== header.epoch)
    throw mismatch(`${field}.certificate.epoch`, `the votes are of epoch ${certificate.epoch}, the block of ${header.epoch}`);
  checkVotes(certificate, `${field}.certificate.votes`, swarm, voters, keys, rules);
}

/** Whether a quorum of `voters` voted as the certificate says, each once, and nobody else. */
function checkVotes(
  { votes, ...vote }: Final['certificate'],
  field: string,
  swarm: SwarmId,
  voters: readonly Fingerprint[],
  keys: KeyRing,
  rules: AuditRules,
): void {
  if (!isAscending(votes.map(({ voter }) => voter))) throw mismatch(field, 'they are out of order, or a voter is there twice');
  votes.forEach(({ voter, signature }, i) => {
    if (!voters.includes(voter)) throw mismatch(`${field}.${i}.voter`, `${voter} does not sit in this committee`);
    const { ed25519PublicKey } = keys.of(voter, `${field}.${i}.voter`);
    if (!verifyVote(swarm, { ...vote, voter, signature: fromHex(signature) }, ed25519PublicKey))
      throw mismatch(`${field}.${i}.signature`, `${voter} did not vote so`);
  });
  const quorum = rules.quorumOf(voters.length);
  if (votes.length < quorum) throw mismatch(field, `${votes.length} votes of ${voters.length} voters, a quorum is ${quorum}`);
}

/** Strictly: a set in its one order. */
const isAscending = (ids: readonly Fingerprint[]): boolean => ids.every((id, i) => i === 0 || (ids[i - 1] as Fingerprint) < id);

/** Whether the block's tree and the checkpoint's are one ledger at two times. */
function checkRoots(proof: ChainProof, header: BlockHeader, checkpoint: Checkpoint, pass: Pass): void {
  const field = 'proof.block.header';
  if (header.epoch === checkpoint.epoch) {
    for (const name of ['treeSize', 'treeRoot', 'modelRoot'] as const)
      if (header[name] !== checkpoint[name])
        throw mismatch(`${field}.${name}`, `the block has ${header[name]}, the checkpoint of the same epoch ${checkpoint[name]}`);
    if (proof.consistency !== null) throw mismatch('proof.consistency', 'block and checkpoint are of one epoch: there is nothing to join');
    pass(`${field}.treeRoot`, `the checkpoint's: ${header.treeRoot}`);
    return;
  }
  if (proof.consistency === null)
    throw mismatch(
      'proof.consistency',
      `missing between the block of epoch ${header.epoch} and the checkpoint of epoch ${checkpoint.epoch}`,
    );
  const [earlier, later] = header.epoch < checkpoint.epoch ? [header, checkpoint] : [checkpoint, header];
  checkConsistency(proof.consistency, earlier, later, pass);
}

interface Tree {
  readonly treeSize: number;
  readonly treeRoot: Hex;
}

/** RFC 9162 section 2.1.4.2, and for the empty tree, which is a prefix of every tree, that it is empty. */
export function checkConsistency(
  proof: Extract<Proof, { kind: 'consistency' }>['consistency'],
  earlier: Tree,
  later: Tree,
  pass: Pass,
): void {
  const { from, to } = proof;
  if (from !== earlier.treeSize)
    throw mismatch('proof.consistency.from', `it begins with ${from} entries, the earlier tree has ${earlier.treeSize}`);
  if (to !== later.treeSize) throw mismatch('proof.consistency.to', `it ends with ${to} entries, the later tree has ${later.treeSize}`);
  const path = proof.path.map(fromHex);
  const holds =
    from === 0
      ? path.length === 0 && earlier.treeRoot === toHex(EMPTY_ROOT) && (to > 0 || later.treeRoot === earlier.treeRoot)
      : verifyConsistency(from, to, path, fromHex(earlier.treeRoot), fromHex(later.treeRoot));
  if (!holds) throw mismatch('proof.consistency.path', `the tree of ${from} entries is not the beginning of the tree of ${to}`);
  pass('proof.consistency', `the first ${from} of ${to} entries are the same`);
}
