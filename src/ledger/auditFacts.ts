import { fromHex, leafHash, toHex, verifyComposite, verifyEd25519 } from '../crypto/index.ts';
import type { BlockHeader, Hex } from '../spec/index.ts';
import {
  blockHash,
  decodeBlock,
  decodeCore,
  encode,
  entryBytes,
  entryId,
  hashBytes,
  nextEventHash,
  recordLeaf,
  UPDATE_CONTEXT,
} from '../wire/index.ts';
import { type KeyRing, mismatch, named, type Pass } from './auditChain.ts';
import { rootAbove, verifyInclusion } from './proof.ts';
import type { ChainProof } from './proofFile.ts';

type Of<K extends ChainProof['kind']> = Extract<ChainProof, { kind: K }>;
type Climb = Of<'event'>['statePath'];

/** What a proof is about, under the roots of a block that is final. */
export function checkFact(proof: ChainProof, keys: KeyRing, pass: Pass): void {
  const { header } = proof.block;
  switch (proof.kind) {
    case 'entry':
      checkEntry(proof, header, keys, pass);
      break;
    case 'record':
      checkRecord(proof, header, pass);
      break;
    case 'event':
      checkEvent(proof, header, pass);
      break;
    case 'block':
      checkContent(proof, header, pass);
  }
}

/** An entry, signed by its author, at its place in the block's tree. */
function checkEntry({ entry }: Of<'entry'>, header: BlockHeader, keys: KeyRing, pass: Pass): void {
  const coreBytes = fromHex(entry.core);
  const core = named('proof.entry.core', () => decodeCore(coreBytes));
  const id = entryId(coreBytes);
  if (core.swarm !== header.swarm) throw mismatch('proof.entry.core', `the entry is of swarm ${core.swarm}`);
  const author = keys.of(core.author, 'proof.entry.core');
  const message = entryBytes(coreBytes);
  if (!verifyEd25519(message, fromHex(entry.signature), author.ed25519PublicKey))
    throw mismatch('proof.entry.signature', `${core.author} did not sign entry ${id}`);
  if (entry.composite !== null) {
    if (core.kind !== 'contribution') throw mismatch('proof.entry.composite', `a ${core.kind} has none`);
    if (!verifyComposite(UPDATE_CONTEXT, message, fromHex(entry.composite), author))
      throw mismatch('proof.entry.composite', `${core.author} did not sign entry ${id} with both of its keys`);
  }
  const keysUsed = entry.composite === null ? 'Ed25519' : 'both keys';
  pass('proof.entry.signature', `${core.kind} ${id}, number ${core.seq} of ${core.author}, signed with ${keysUsed}`);
  const { index } = entry;
  if (!verifyInclusion(leafHash(fromHex(id)), index, header.treeSize, entry.path.map(fromHex), fromHex(header.treeRoot)))
    throw mismatch('proof.entry.path', `entry ${id} is not number ${index} of the ${header.treeSize} under ${header.treeRoot}`);
  pass('proof.entry.path', `number ${index} of ${header.treeSize}`);
}

/** A contribution's record under the state root. */
function checkRecord({ record, path, recordsRoot, statePath }: Of<'record'>, header: BlockHeader, pass: Pass): void {
  if (rootOf(recordLeaf(record), path) !== recordsRoot)
    throw mismatch('proof.record', `the record of ${record.nodeId} is not under the records' root ${recordsRoot}`);
  checkStateLeaf('records', recordsRoot, statePath, header);
  pass('proof.record', `trust of ${record.nodeId} went from ${record.trustBefore} to ${record.trustAfter} (2^-30 units)`);
}

/** A system event, next in the chain of events whose head is under the state root. */
function checkEvent({ previous, event, statePath }: Of<'event'>, header: BlockHeader, pass: Pass): void {
  checkStateLeaf('event', nextEventHash(previous, event), statePath, header);
  pass('proof.event', `event of epoch ${header.epoch}, after ${previous}`);
}

/** What the header's hashes of cut, roster and evidence stand for. */
function checkContent({ content }: Of<'block'>, header: BlockHeader, pass: Pass): void {
  const block = named('proof.content', () => decodeBlock(fromHex(content)));
  const hash = blockHash(header);
  if (block.hash !== hash) throw mismatch('proof.content', `it is block ${block.hash}, the header's hash is ${hash}`);
  pass(
    'proof.content',
    `${block.body.roster.length} in the roster, ${block.body.tips.length} tips, ${block.body.evidence.length} evidence`,
  );
}

/** The state's leaves are [1, name, epoch, value] in canonical CBOR (docs/proofs.md). */
function checkStateLeaf(name: 'records' | 'event', value: Hex, path: Climb, header: BlockHeader): void {
  if (rootOf(encode([1, name, header.epoch, hashBytes(value)]), path) !== header.stateRoot)
    throw mismatch('proof.statePath', `${name} ${value} is not under the state root ${header.stateRoot}`);
}

const rootOf = (leaf: Uint8Array, path: Climb): Hex =>
  toHex(
    rootAbove(
      leaf,
      path.map(({ side, hash }) => ({ side, hash: fromHex(hash) })),
    ),
  );
