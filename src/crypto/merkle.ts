import { sha256 } from './hash.ts';

/** Root of a tree without leaves: sha256 of nothing (RFC 9162 section 2.1.1). */
export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array(0));

const LEAF_PREFIX = Uint8Array.of(0x00);
const NODE_PREFIX = Uint8Array.of(0x01);

/** sha256(0x00 || leaf). RFC 9162 section 2.1.1; the prefix keeps a leaf from posing as an inner node. */
export const leafHash = (leaf: Uint8Array): Uint8Array => sha256(LEAF_PREFIX, leaf);

/** sha256(0x01 || left || right). RFC 9162 section 2.1.1. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Uint8Array => sha256(NODE_PREFIX, left, right);

/**
 * Merkle tree hash of leaves that are hashed already (RFC 9162 section 2.1.1). Pairing neighbours level by
 * level and lifting an odd last node unchanged gives the RFC's tree, split at the largest power of two.
 */
export function merkleRoot(leafHashes: readonly Uint8Array[]): Uint8Array {
  let level = leafHashes;
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Uint8Array;
      const right = level[i + 1];
      above.push(right === undefined ? left : nodeHash(left, right));
    }
    level = above;
  }
  return level[0] ?? EMPTY_ROOT;
}
