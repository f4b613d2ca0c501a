/** A whole state as bytes: what a node starts from when it does not replay from the genesis. */
import { ED25519_PUBLIC_KEY_BYTES, fingerprintOf, fromHex, leafHash, MLDSA_PUBLIC_KEY_BYTES, merkleRoot, toHex } from '../crypto/index.ts';
import {
  MEMBER_STATUSES,
  type MemberState,
  type Motion,
  NODE_CLASSES,
  StarlingError,
  type SwarmState,
  VOTE_RIGHTS,
} from '../spec/index.ts';
import {
  BALLOT_ACTIONS,
  decode,
  encode,
  malformed,
  readBool,
  readBytes,
  readHash,
  readInt,
  readList,
  readNullable,
  readOneOf,
  readTuple,
  STATE_MAX_BYTES,
} from '../wire/index.ts';
import { LEAVES, type StateLeafName, stateLeaves } from './root.ts';

/** Bounds of lists; what they hold is bounded by STATE_MAX_BYTES. */
const MAX_ITEMS = 1_000_000;
/** CBOR items beside those in the leaves: three of each member, of whom STATE_MAX_BYTES hold 16 thousand with their keys. */
const MAX_OUTER_ITEMS = 100_000;

/** [1, decision, leaves as the state root covers them, [ML-DSA key, Ed25519 key] of each member]. */
export const encodeState = (state: SwarmState): Uint8Array =>
  encode([
    1,
    fromHex(state.decision),
    stateLeaves(state).map((leaf) => leaf.bytes),
    state.members.map((m) => [m.mldsaPublicKey, m.ed25519PublicKey]),
  ]);

/**
 * Throws TOO_LARGE, MALFORMED, NON_CANONICAL, and HASH_MISMATCH unless its root is `root`, as a block's header says. The root covers
 * all but `decision`, which is the block's hash.
 */
export function decodeState(bytes: Uint8Array, root: string): SwarmState {
  const [v, decision, leafList, keyList] = readTuple(decode(bytes, 'state', STATE_MAX_BYTES, MAX_OUTER_ITEMS), 'state', 4);
  readOneOf(v, 'state.v', [1]);
  const leaves = readList(leafList, 'state.leaves', LEAVES.length, (item, field) => readBytes(item, field, 1, STATE_MAX_BYTES));
  // Before anything in them is read: what has this root was certified.
  const found = toHex(merkleRoot(leaves.map(leafHash)));
  if (found !== root)
    throw new StarlingError('HASH_MISMATCH', `the state's root is ${found}, the block says ${root}`, { field: 'stateRoot' });
  const values = leaves.map((leaf, i) => {
    const [version, name, epoch, value] = readTuple(decode(leaf, `state.leaves[${i}]`, STATE_MAX_BYTES), `state.leaves[${i}]`, 4);
    readOneOf(version, `state.leaves[${i}].v`, [1]);
    readOneOf(name as string, `state.leaves[${i}].name`, [LEAVES[i] as StateLeafName]);
    return { epoch: readInt(epoch, `state.leaves[${i}].epoch`), value };
  });
  const [model, records, event, ledger, scales, members, invites, motions] = values;
  if (motions === undefined) throw malformed('state.leaves', `is not ${LEAVES.length} leaves`);
  const [modelRoot, refused] = readTuple(model?.value, 'state.model', 2);
  const [treeSize, treeRoot, leavesHash] = readTuple(ledger?.value, 'state.ledger', 3);
  const keys = readList(keyList, 'state.keys', MAX_ITEMS, (item, field) => {
    const [mldsa, ed25519] = readTuple(item, field, 2);
    return {
      mldsaPublicKey: readBytes(mldsa, field, MLDSA_PUBLIC_KEY_BYTES),
      ed25519PublicKey: readBytes(ed25519, field, ED25519_PUBLIC_KEY_BYTES),
    };
  });
  let next = 0;
  const state: SwarmState = {
    epoch: motions.epoch,
    decision: readHash(decision, 'state.decision'),
    members: readList(members?.value, 'state.members', MAX_ITEMS, (item, field) => readMember(item, field, keys[next++])),
    scaleExponents: readList(scales?.value, 'state.scales', MAX_ITEMS, (item, field) =>
      readInt(item, field, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    ),
    treeSize: readInt(treeSize, 'state.treeSize'),
    treeRoot: readHash(treeRoot, 'state.treeRoot'),
    leavesHash: readHash(leavesHash, 'state.leavesHash'),
    modelRoot: readHash(modelRoot, 'state.modelRoot'),
    invites: readList(invites?.value, 'state.invites', MAX_ITEMS, (item, field) => {
      const [issuer, nonce, used] = readTuple(item, field, 3);
      const bytesOfNonce = readBytes(nonce, `${field}.nonce`, 1, 64);
      return { issuer: readHash(issuer, `${field}.issuer`), nonce: toHex(bytesOfNonce), used: readInt(used, `${field}.used`, 1) };
    }),
    motions: readList(motions.value, 'state.motions', MAX_ITEMS, readMotion),
    recordsRoot: readHash(records?.value, 'state.records'),
    eventHash: readHash(event?.value, 'state.event'),
    refused: readBool(refused, 'state.refused'),
  };
  if (keys.length !== state.members.length) throw malformed('state.keys', 'are not those of its members');
  return state;
}

function readMember(
  value: unknown,
  field: string,
  keys: Pick<MemberState, 'mldsaPublicKey' | 'ed25519PublicKey'> | undefined,
): MemberState {
  const [fingerprint, nodeClass, status, vote, joinedEpoch, lastEpoch, emaX, farStreak, trust] = readTuple(value, field, 9);
  const node = readHash(fingerprint, `${field}.fingerprint`);
  if (keys === undefined || fingerprintOf(keys.mldsaPublicKey, keys.ed25519PublicKey) !== node)
    throw new StarlingError('HASH_MISMATCH', `the keys given for ${node} are not its own`, { field: `${field}.keys` });
  return {
    fingerprint: node,
    nodeClass: readOneOf(nodeClass as string, `${field}.nodeClass`, NODE_CLASSES),
    status: readOneOf(status as string, `${field}.status`, MEMBER_STATUSES),
    vote: readOneOf(vote as string, `${field}.vote`, VOTE_RIGHTS),
    ...keys,
    joinedEpoch: readInt(joinedEpoch, `${field}.joinedEpoch`),
    lastEpoch: readInt(lastEpoch, `${field}.lastEpoch`),
    emaX: readInt(emaX, `${field}.emaX`),
    farStreak: readInt(farStreak, `${field}.farStreak`),
    trust: readInt(trust, `${field}.trust`),
  };
}

function readMotion(value: unknown, field: string): Motion {
  const [action, subject, epoch, opened, ayes] = readTuple(value, field, 5);
  return {
    action: readOneOf(action as string, `${field}.action`, BALLOT_ACTIONS),
    subject: readNullable(subject, `${field}.subject`, readHash),
    epoch: readInt(epoch, `${field}.epoch`),
    opened: readInt(opened, `${field}.opened`),
    ayes: readList(ayes, `${field}.ayes`, MAX_ITEMS, readHash),
  };
}
