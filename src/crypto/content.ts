import { equals } from 'uint8arrays';
import { CHUNK_BYTES, type ContentRoot } from '../spec/index.ts';
import { toHex } from './hash.ts';
import { leafHash, merkleRoot } from './merkle.ts';

/** What a holder needs to serve or check some content chunk by chunk. */
export interface ContentIndex {
  readonly root: ContentRoot;
  readonly sizeBytes: number;
  /** Leaf hash of each chunk, 32 bytes each. */
  readonly leaves: readonly Uint8Array[];
}

/** Chunks of CHUNK_BYTES that `sizeBytes` of content takes; the last may be short, no content has none. */
export const chunkCount = (sizeBytes: number): number => Math.ceil(sizeBytes / CHUNK_BYTES);

/** A view (not a copy) of chunk `i`, 0-based. */
export const chunkAt = (content: Uint8Array, i: number): Uint8Array => content.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);

/** Content address: RFC 9162 Merkle root over the chunks; empty content has the empty tree's root. */
export function contentOf(content: Uint8Array): ContentIndex {
  const leaves = Array.from({ length: chunkCount(content.byteLength) }, (_, i) => leafHash(chunkAt(content, i)));
  return { root: toHex(merkleRoot(leaves)), sizeBytes: content.byteLength, leaves };
}

/** True if `leaves` are the leaf hashes behind `root` and as many as `sizeBytes` needs. */
export const verifyIndex = (root: ContentRoot, sizeBytes: number, leaves: readonly Uint8Array[]): boolean =>
  leaves.length === chunkCount(sizeBytes) && toHex(merkleRoot(leaves)) === root;

/**
 * True if `chunk` is chunk `i` of the content with these leaves. Every chunk but the last must be full: otherwise
 * the pieces would verify and the whole, cut anew, would have another root.
 */
export function verifyChunk(leaves: readonly Uint8Array[], i: number, chunk: Uint8Array): boolean {
  const leaf = leaves[i];
  if (leaf === undefined) return false;
  const isLast = i === leaves.length - 1;
  const lengthFits = isLast ? chunk.byteLength > 0 && chunk.byteLength <= CHUNK_BYTES : chunk.byteLength === CHUNK_BYTES;
  return lengthFits && equals(leafHash(chunk), leaf);
}
