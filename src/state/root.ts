import { fromHex, toHex } from '../crypto/hash.ts';
import { leafHash, merkleRoot } from '../crypto/merkle.ts';
import { MerkleTree } from '../ledger/index.ts';
import { type Hex, StarlingError, type SwarmState } from '../spec/index.ts';
import { encode } from '../wire/cbor.ts';

/** Concerns of the state, in the order of their leaves. */
export const LEAVES = ['model', 'records', 'event', 'ledger', 'scales', 'members', 'invites', 'motions'] as const;
export type StateLeafName = (typeof LEAVES)[number];

interface StateLeaf {
  readonly name: StateLeafName;
  /** Canonical CBOR of [1, name, epoch, value]. */
  readonly bytes: Uint8Array;
}

/** Shows that `leaf` is leaf `index` of the `size` under a state root: `verifyInclusion(leafHash(leaf), index, size, path, root)`. */
interface StateProof {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly path: readonly Hex[];
}

/**
 * The state as leaves, one a concern, so that a short path proves one of them. `decision` is not among them: a
 * block's header holds the state root. Keys are: a member's fingerprint is their hash.
 */
export const stateLeaves = (state: SwarmState): StateLeaf[] =>
  LEAVES.map((name) => ({ name, bytes: encode([1, name, state.epoch, contentOf(state, name)]) }));

function contentOf(state: SwarmState, name: StateLeafName): unknown {
  switch (name) {
    case 'model':
      return [fromHex(state.modelRoot), state.refused];
    case 'records':
      return fromHex(state.recordsRoot);
    case 'event':
      return fromHex(state.eventHash);
    case 'ledger':
      return [state.treeSize, fromHex(state.treeRoot), fromHex(state.leavesHash)];
    case 'scales':
      return [...state.scaleExponents];
    case 'members':
      return state.members.map((m) => [
        fromHex(m.fingerprint),
        m.nodeClass,
        m.status,
        m.vote,
        m.joinedEpoch,
        m.lastEpoch,
        m.emaX,
        m.farStreak,
        m.trust,
      ]);
    case 'invites':
      return state.invites.map((i) => [fromHex(i.issuer), fromHex(i.nonce), i.used]);
    case 'motions':
      return state.motions.map((m) => [
        m.action,
        m.subject === null ? null : fromHex(m.subject),
        m.epoch,
        m.opened,
        m.ayes.map((f) => fromHex(f)),
      ]);
  }
}

/** RFC 9162 root over the leaves. Two nodes with the same history have the same state root. */
export const stateRoot = (state: SwarmState): Hex => toHex(merkleRoot(stateLeaves(state).map((leaf) => leafHash(leaf.bytes))));

/** The leaf of one concern and its path to `stateRoot(state)`. Throws NOT_FOUND for a name that no leaf has. */
export function proveState(state: SwarmState, name: string): StateProof {
  const leaves = stateLeaves(state);
  const index = leaves.findIndex((leaf) => leaf.name === name);
  const leaf = leaves[index];
  if (leaf === undefined)
    throw new StarlingError('NOT_FOUND', `the state has no leaf named ${name}`, { field: 'name', fix: `name one of ${LEAVES.join(', ')}` });
  const tree = new MerkleTree();
  for (const { bytes } of leaves) tree.append(bytes);
  return { leaf: leaf.bytes, index, size: leaves.length, path: tree.inclusionPath(index, leaves.length).map(toHex) };
}
