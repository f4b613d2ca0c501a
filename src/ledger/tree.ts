import { EMPTY_ROOT, leafHash, nodeHash } from '../crypto/merkle.ts';
import { StarlingError } from '../spec/index.ts';

/** Bytes of a sha256. */
const HASH_BYTES = 32;
/** Hashes. First capacity of a level; a level doubles when it is full. */
const FIRST_CAPACITY = 64;

/** A growing row of 32-byte hashes in one buffer: two hundred thousand small arrays would cost ten times the memory. */
class HashRow {
  length = 0;
  #bytes = new Uint8Array(FIRST_CAPACITY * HASH_BYTES);

  push(hash: Uint8Array): void {
    const end = (this.length + 1) * HASH_BYTES;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(hash, end - HASH_BYTES);
    this.length += 1;
  }

  at(index: number): Uint8Array {
    return this.#bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }
}

/**
 * The append-only Merkle tree of RFC 9162 section 2.1. It keeps the hash of every complete subtree
 * (2n hashes for n leaves), so an append costs O(1) hashes on average and a root or a proof of any
 * earlier size O(log n) of them. Hashes are 32 bytes.
 */
export class MerkleTree {
  /** Row k holds the roots of the complete subtrees of 2^k leaves, from the left. */
  readonly #rows: HashRow[] = [new HashRow()];

  get size(): number {
    return this.#row(0).length;
  }

  /** Appends a leaf. `data` is what the leaf hash covers: here the 32 bytes of an entry id. Returns its index. */
  append(data: Uint8Array): number {
    const index = this.size;
    let hash = leafHash(data);
    for (let level = 0; ; level++) {
      const row = this.#row(level);
      row.push(hash);
      if (row.length % 2 === 1) return index;
      hash = nodeHash(row.at(row.length - 2), row.at(row.length - 1));
    }
  }

  /** Forgets every leaf from `size` on: a provisional order is rebuilt from where it changed. */
  truncate(size: number): void {
    this.#checkSize(size, 'size');
    this.#rows.forEach((row, level) => {
      row.length = Math.min(row.length, Math.floor(size / 2 ** level));
    });
  }

  root(): Uint8Array {
    return this.rootAt(this.size);
  }

  /** The root when the tree had `size` leaves. Throws BAD_PROOF when it never had as many. */
  rootAt(size: number): Uint8Array {
    this.#checkSize(size, 'size');
    return size === 0 ? EMPTY_ROOT.slice() : this.#range(0, size);
  }

  /** Hash of leaf `index`: sha256(0x00 || data). */
  leafAt(index: number): Uint8Array {
    this.#checkSize(index + 1, 'index');
    return this.#row(0).at(index);
  }

  /** PATH(index, D_size) of RFC 9162 section 2.1.3.1, nearest sibling first. Throws BAD_PROOF. */
  inclusionPath(index: number, size: number): Uint8Array[] {
    this.#checkSize(size, 'size');
    if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw outOfRange('index', index, size);
    const path: Uint8Array[] = [];
    let from = 0;
    let to = size;
    while (to - from > 1) {
      const middle = from + splitPoint(to - from);
      if (index < middle) {
        path.push(this.#range(middle, to));
        to = middle;
      } else {
        path.push(this.#range(from, middle));
        from = middle;
      }
    }
    return path.reverse();
  }

  /**
   * PROOF(from, D_to) of RFC 9162 section 2.1.4.1. Empty when the sizes are equal, and when `from` is 0:
   * the empty tree is a prefix of every tree and nothing can prove it. Throws BAD_PROOF.
   */
  consistencyPath(from: number, to: number): Uint8Array[] {
    this.#checkSize(to, 'to');
    if (!Number.isSafeInteger(from) || from < 0 || from > to) throw outOfRange('from', from, to);
    if (from === 0 || from === to) return [];
    const path: Uint8Array[] = [];
    let left = 0;
    let right = to;
    while (from !== right) {
      const middle = left + splitPoint(right - left);
      if (from <= middle) {
        path.push(this.#range(middle, right));
        right = middle;
      } else {
        path.push(this.#range(left, middle));
        left = middle;
      }
    }
    // The verifier knows the old root; when it is not a whole subtree here, the last piece is named too.
    if (left > 0) path.push(this.#range(left, right));
    return path.reverse();
  }

  #row(level: number): HashRow {
    let row = this.#rows[level];
    if (row === undefined) {
      row = new HashRow();
      this.#rows[level] = row;
    }
    return row;
  }

  /** MTH(D[from:to]) where `from` is a multiple of the largest power of two below the length, as in every proof. */
  #range(from: number, to: number): Uint8Array {
    const length = to - from;
    const level = Math.log2(length);
    if (Number.isInteger(level)) return this.#row(level).at(from / length);
    const middle = from + splitPoint(length);
    return nodeHash(this.#range(from, middle), this.#range(middle, to));
  }

  #checkSize(size: number, field: string): void {
    if (!Number.isSafeInteger(size) || size < 0 || size > this.size) throw outOfRange(field, size, this.size);
  }
}

/** The largest power of two smaller than `length` (RFC 9162 section 2.1.1); `length` is at least 2. */
const splitPoint = (length: number): number => 2 ** Math.floor(Math.log2(length - 1));

const outOfRange = (field: string, value: number, bound: number): StarlingError =>
  new StarlingError('BAD_PROOF', `${field} ${value} is outside a tree of ${bound} leaves`, {
    field,
    fix: `ask for a ${field} of at most ${bound}`,
  });
