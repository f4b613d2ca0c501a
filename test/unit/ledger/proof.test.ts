import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../../../src/crypto/index.ts';
import { MerkleTree, rootAbove, verifyInclusion, withSides } from '../../../src/ledger/index.ts';
import vectors from '../../vectors/ledger/certificate-transparency.json' with { type: 'json' };

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const treeOf = (leaves: readonly Uint8Array[]): MerkleTree => {
  const tree = new MerkleTree();
  for (const leaf of leaves) tree.append(leaf);
  return tree;
};

describe('ledger/proof, a path with sides', () => {
  it('leads every published leaf to the published root of every size', () => {
    const leaves = vectors.leafInputs.map(bytes);
    const tree = treeOf(leaves);
    for (let size = 1; size <= leaves.length; size++)
      for (let index = 0; index < size; index++) {
        const siblings = withSides(index, size, tree.inclusionPath(index, size));
        assert.equal(toHex(rootAbove(leaves[index] as Uint8Array, siblings)), vectors.rootHashes[size]);
      }
  });

  it('says the same as an RFC 9162 path, and no other leaf or order of siblings does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 90 }), fc.nat(), (size, pick) => {
        const index = pick % size;
        const leaves = Array.from({ length: size }, (_, i) => Uint8Array.of(i));
        const tree = treeOf(leaves);
        const path = tree.inclusionPath(index, size);
        const siblings = withSides(index, size, path);
        assert.ok(verifyInclusion(tree.leafAt(index), index, size, path, tree.root()));
        assert.equal(toHex(rootAbove(Uint8Array.of(index), siblings)), toHex(tree.root()));
        assert.notEqual(toHex(rootAbove(Uint8Array.of(index + 1), siblings)), toHex(tree.root()));
        siblings.forEach((step, i) => {
          const turned = siblings.with(i, { ...step, side: step.side === 'left' ? 'right' : 'left' });
          assert.notEqual(toHex(rootAbove(Uint8Array.of(index), turned)), toHex(tree.root()));
        });
      }),
    );
  });
});
