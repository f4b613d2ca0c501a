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

/** As `contentOf`, for content that comes in parts of any length and is nowhere as a whole. */
export class ContentHasher {
  readonly #leaves: Uint8Array[] = [];
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  /** Bytes in the chunk that is not full yet. */
  #filled = 0;
  #sizeBytes = 0;

  update(part: Uint8Array): this {
    this.#sizeBytes += part.byteLength;
    for (let at = 0; at < part.byteLength; ) {
      const taken = part.subarray(at, at + CHUNK_BYTES - this.#filled);
      at += taken.byteLength;
      if (taken.byteLength === CHUNK_BYTES) {
        this.#leaves.push(leafHash(taken));
        continue;
      }
      this.#chunk.set(taken, this.#filled);
      this.#filled += taken.byteLength;
      if (this.#filled === CHUNK_BYTES) this.#endChunk();
    }
    return this;
  }

  finish(): ContentIndex {
    if (this.#filled > 0) this.#endChunk();
    return { root: toHex(merkleRoot(this.#leaves)), sizeBytes: this.#sizeBytes, leaves: this.#leaves };
  }

  #endChunk(): void {
    this.#leaves.push(leafHash(this.#chunk.subarray(0, this.#filled)));
    this.#filled = 0;
  }
}
