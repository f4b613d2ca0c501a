import { equals } from 'uint8arrays';
import { leafHash, nodeHash } from '../crypto/merkle.ts';

/**
 * Whether `leaf` (a leaf hash) is leaf `index` of the tree with `size` leaves and this root.
 * RFC 9162 section 2.1.3.2; the numbers beside the lines are its steps. Answers false for any malformed input.
 */
export function verifyInclusion(leaf: Uint8Array, index: number, size: number, path: readonly Uint8Array[], root: Uint8Array): boolean {
  if (!areSizes(index, size) || index >= size || !areHashes([leaf, ...path])) return false; // 1
  let fn = BigInt(index); // 2
  let sn = BigInt(size - 1);
  let r = leaf; // 3
  for (const p of path) {
    if (sn === 0n) return false; // 4.1
    if ((fn & 1n) === 1n || fn === sn) {
      r = nodeHash(p, r); // 4.2
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      r = nodeHash(r, p); // 4.3
    }
    fn >>= 1n; // 4.4
    sn >>= 1n;
  }
  return sn === 0n && equals(r, root); // 5
}

/**
 * Whether the tree of `from` leaves is a prefix of the tree of `to` leaves. RFC 9162 section 2.1.4.2; the numbers
 * beside the lines are its steps. `from` must be at least 1: the empty tree is a prefix of every tree and needs no
 * proof. Equal sizes need an empty path and equal roots. Answers false for any malformed input.
 */
export function verifyConsistency(
  from: number,
  to: number,
  path: readonly Uint8Array[],
  rootFrom: Uint8Array,
  rootTo: Uint8Array,
): boolean {
  if (!areSizes(from, to) || from < 1 || from > to || !areHashes(path)) return false;
  if (from === to) return path.length === 0 && equals(rootFrom, rootTo);
  // 1, 2: the old root is the first piece when it is a whole subtree of the new tree
  const pieces = Number.isInteger(Math.log2(from)) ? [rootFrom, ...path] : path;
  let fn = BigInt(from - 1); // 3
  let sn = BigInt(to - 1);
  while ((fn & 1n) === 1n) {
    fn >>= 1n; // 4
    sn >>= 1n;
  }
  const first = pieces[0];
  if (path.length === 0 || first === undefined) return false;
  let fr = first; // 5
  let sr = first;
  for (const c of pieces.slice(1)) {
    if (sn === 0n) return false; // 6.1
    if ((fn & 1n) === 1n || fn === sn) {
      fr = nodeHash(c, fr); // 6.2
      sr = nodeHash(c, sr);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      sr = nodeHash(sr, c); // 6.3
    }
    fn >>= 1n; // 6.4
    sn >>= 1n;
  }
  return sn === 0n && equals(fr, rootFrom) && equals(sr, rootTo); // 7
}

/** A sibling on the way from a leaf to the root, and on which side of the way it lies. */
export interface Sibling {
  readonly side: 'left' | 'right';
  readonly hash: Uint8Array;
}

/**
 * The siblings of an inclusion path, with the sides that RFC 9162 section 2.1.3.2 takes from index and size. What vouches
 * for no index and no size can be proved so.
 */
export function withSides(index: number, size: number, path: readonly Uint8Array[]): Sibling[] {
  let [fn, sn] = [index, size - 1];
  return path.map((hash) => {
    const isRight = fn % 2 === 1 || fn === sn;
    if (isRight) for (; fn % 2 === 0 && fn !== 0; sn = Math.floor(sn / 2)) fn /= 2;
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
    return { side: isRight ? 'left' : 'right', hash };
  });
}

/** The root that a leaf and its siblings give (RFC 9162 section 2.1.1). `leaf` is what the leaf hash covers. */
export const rootAbove = (leaf: Uint8Array, siblings: readonly Sibling[]): Uint8Array =>
  siblings.reduce((below, { side, hash }) => (side === 'left' ? nodeHash(hash, below) : nodeHash(below, hash)), leafHash(leaf));

const areSizes = (...sizes: readonly number[]): boolean => sizes.every((s) => Number.isSafeInteger(s) && s >= 0);

/** A hash of another length could make an inner node's preimage out of something else. */
const areHashes = (hashes: readonly Uint8Array[]): boolean => hashes.every((h) => h.byteLength === 32);
