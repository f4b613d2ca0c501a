import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EMPTY_ROOT, fromHex, leafHash, nodeHash, toHex } from '../../../src/crypto/index.ts';
import { MerkleTree, verifyConsistency, verifyInclusion } from '../../../src/ledger/index.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import vectors from '../../vectors/ledger/certificate-transparency.json' with { type: 'json' };

/** The definitions of RFC 9162 section 2.1, word for word and without any storage. */
const split = (n: number): number => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};
const MTH = (d: readonly Uint8Array[]): Uint8Array =>
  d.length === 0
    ? EMPTY_ROOT
    : d.length === 1
      ? leafHash(d[0] as Uint8Array)
      : nodeHash(MTH(d.slice(0, split(d.length))), MTH(d.slice(split(d.length))));
const PATH = (m: number, d: readonly Uint8Array[]): Uint8Array[] => {
  if (d.length <= 1) return [];
  const k = split(d.length);
  return m < k ? [...PATH(m, d.slice(0, k)), MTH(d.slice(k))] : [...PATH(m - k, d.slice(k)), MTH(d.slice(0, k))];
};
const SUBPROOF = (m: number, d: readonly Uint8Array[], whole: boolean): Uint8Array[] => {
  if (m === d.length) return whole ? [] : [MTH(d)];
  const k = split(d.length);
  return m <= k ? [...SUBPROOF(m, d.slice(0, k), whole), MTH(d.slice(k))] : [...SUBPROOF(m - k, d.slice(k), false), MTH(d.slice(0, k))];
};
const hexes = (path: readonly Uint8Array[]): string[] => path.map(toHex);
const leaves = (n: number): Uint8Array[] => Array.from({ length: n }, (_, i) => Uint8Array.of(i & 255, i >> 8));
const treeOf = (data: readonly Uint8Array[]): MerkleTree => {
  const tree = new MerkleTree();
  for (const d of data) tree.append(d);
  return tree;
};

describe('ledger/tree against published Certificate Transparency vectors', () => {
  const inputs = vectors.leafInputs.map(fromHex);

  it('has the published root at every size', () => {
    const tree = treeOf(inputs);
    assert.deepEqual(
      vectors.rootHashes,
      vectors.rootHashes.map((_, size) => toHex(tree.rootAt(size))),
    );
  });

  it('makes the published inclusion and consistency proofs', () => {
    const tree = treeOf(inputs);
    const happy = { inclusion: 0, consistency: 0 };
    for (const v of vectors.inclusion.filter((v) => v.file.endsWith('/happy-path.json'))) {
      assert.deepEqual(hexes(tree.inclusionPath(v.index, v.size)), v.proof, v.file);
      happy.inclusion += 1;
    }
    for (const v of vectors.consistency.filter((v) => v.file.endsWith('/happy-path.json') && v.from > 0)) {
      assert.deepEqual(hexes(tree.consistencyPath(v.from, v.to)), v.proof, v.file);
      happy.consistency += 1;
    }
    assert.ok(happy.inclusion >= 5 && happy.consistency >= 4);
  });

  for (const v of vectors.inclusion) {
    it(`${v.valid ? 'accepts' : 'refuses'} ${v.file}`, () => {
      assert.equal(verifyInclusion(fromHex(v.leafHash), v.index, v.size, v.proof.map(fromHex), fromHex(v.root)), v.valid);
    });
  }
  for (const v of vectors.consistency) {
    it(`${v.valid ? 'accepts' : 'refuses'} ${v.file}`, () => {
      assert.equal(verifyConsistency(v.from, v.to, v.proof.map(fromHex), fromHex(v.rootFrom), fromHex(v.rootTo)), v.valid);
    });
  }
});

describe('ledger/tree against the recursive definitions of RFC 9162', () => {
  it('agrees in every root and proof up to 40 leaves', () => {
    const data = leaves(40);
    const tree = treeOf(data);
    for (let to = 0; to <= data.length; to++) {
      const part = data.slice(0, to);
      const root = MTH(part);
      assert.equal(toHex(tree.rootAt(to)), toHex(root));
      for (let m = 0; m < to; m++) {
        const path = tree.inclusionPath(m, to);
        assert.deepEqual(hexes(path), hexes(PATH(m, part)));
        assert.ok(verifyInclusion(tree.leafAt(m), m, to, path, root));
      }
      for (let from = 1; from <= to; from++) {
        const path = tree.consistencyPath(from, to);
        assert.deepEqual(hexes(path), hexes(SUBPROOF(from, part, true)));
        assert.ok(verifyConsistency(from, to, path, tree.rootAt(from), root));
      }
    }
  });

  it('is after any appends and truncations the tree of what is left', () => {
    const step = fc.oneof(
      fc.record({ append: fc.array(fc.uint8Array({ maxLength: 4 }), { maxLength: 200 }) }),
      fc.record({ keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        const tree = new MerkleTree();
        let model: Uint8Array[] = [];
        for (const s of steps) {
          if ('append' in s) {
            for (const d of s.append) assert.equal(tree.append(d), model.push(d) - 1);
          } else {
            model = model.slice(0, Math.floor(s.keep * model.length));
            tree.truncate(model.length);
          }
          assert.equal(tree.size, model.length);
          assert.equal(toHex(tree.root()), toHex(MTH(model)));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a proof with any bit changed', () => {
    const data = leaves(100);
    const tree = treeOf(data);
    const flip = (path: readonly Uint8Array[], bit: number): Uint8Array[] => {
      const copy = path.map((p) => p.slice());
      const at = bit % (path.length * 256);
      const hash = copy[at >> 8] as Uint8Array;
      hash.set([(hash[(at & 255) >> 3] as number) ^ (1 << (at & 7))], (at & 255) >> 3);
      return copy;
    };
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 100 }), fc.nat(), fc.nat(), (to, a, bit) => {
        const index = a % to;
        const path = tree.inclusionPath(index, to);
        assert.ok(!verifyInclusion(tree.leafAt(index), index, to, flip(path, bit), tree.rootAt(to)));
        const from = 1 + (a % (to - 1));
        const proof = tree.consistencyPath(from, to);
        assert.ok(!verifyConsistency(from, to, flip(proof, bit), tree.rootAt(from), tree.rootAt(to)));
      }),
    );
  });

  it('names the bound when asked for what it does not have', () => {
    const tree = treeOf(leaves(3));
    for (const ask of [
      () => tree.rootAt(4),
      () => tree.inclusionPath(3, 3),
      () => tree.inclusionPath(0, 4),
      () => tree.consistencyPath(3, 2),
      () => tree.truncate(-1),
      () => tree.rootAt(1.5),
    ]) {
      assert.throws(ask, (e: unknown) => e instanceof StarlingError && e.code === 'BAD_PROOF');
    }
  });
});
