import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { EMPTY_ROOT, fromHex, leafHash, merkleRoot, toHex } from '../../../src/crypto/index.ts';

/** Leaves and roots of the Certificate Transparency reference tests (google/certificate-transparency, merkle_tree_test). */
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** RFC 9162 section 2.1.1 word for word: split at the largest power of two smaller than n. */
function rfcRoot(leaves: readonly Uint8Array[]): Buffer {
  const sha = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
  if (leaves.length === 0) return sha();
  if (leaves.length === 1) return sha(Buffer.of(0), leaves[0] as Uint8Array);
  let k = 1;
  while (2 * k < leaves.length) k *= 2;
  return sha(Buffer.of(1), rfcRoot(leaves.slice(0, k)), rfcRoot(leaves.slice(k)));
}

describe('merkle', () => {
  it('gives the published Certificate Transparency roots', () => {
    const hashes = LEAVES.map((leaf) => leafHash(fromHex(leaf)));
    ROOTS.forEach((root, i) => {
      assert.equal(toHex(merkleRoot(hashes.slice(0, i + 1))), root, `tree of ${i + 1}`);
    });
  });

  it('has the hash of nothing as the empty root', () => {
    assert.equal(toHex(EMPTY_ROOT), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    assert.equal(merkleRoot([]), EMPTY_ROOT);
  });

  it('follows the RFC for every number of leaves', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 4 }), { maxLength: 40 }), (leaves) => {
        assert.equal(toHex(merkleRoot(leaves.map(leafHash))), rfcRoot(leaves).toString('hex'));
      }),
      { numRuns: 60 },
    );
  });
});
