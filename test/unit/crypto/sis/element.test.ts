import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sis } from '../../../../src/crypto/index.ts';
import { MODULI } from '../../../../src/crypto/sis/parameters.ts';
import { assertWords } from '../../../support/sisReference.ts';

const SEED = new Uint8Array(32).fill(1);
const N = sis.DEGREE;
const modulusAt = (i: number): number => MODULI[i < N ? 0 : 1];
/** An element of the ring: some polynomial of A. */
const element = fc.nat(1_000).map((index) => sis.expand(SEED, index));
const LARGEST = new Uint32Array(2 * N).map((_, i) => modulusAt(i) - 1);

describe('sis elements', () => {
  it('come back from their 16 KiB, little-endian', () => {
    fc.assert(
      fc.property(element, (c) => {
        const bytes = sis.encodeCommitment(c);
        assert.equal(bytes.length, sis.COMMITMENT_BYTES);
        assert.equal(bytes.length, 16_384);
        assert.equal(new DataView(bytes.buffer).getUint32(4 * N + 4, true), c[N + 1]);
        assertWords(sis.decodeCommitment(bytes), c);
        // From the middle of a larger buffer, unaligned.
        const framed = new Uint8Array(bytes.length + 3);
        framed.set(bytes, 3);
        assertWords(sis.decodeCommitment(framed.subarray(3)), c);
      }),
      { numRuns: 10 },
    );
    assertWords(sis.decodeCommitment(sis.encodeCommitment(LARGEST)), LARGEST);
  });

  it('are refused with another length', () => {
    for (const length of [0, 16_380, 16_383, 16_385, 32_768])
      assert.throws(() => sis.decodeCommitment(new Uint8Array(length)), { code: 'MALFORMED' });
    assert.throws(() => sis.encodeCommitment(new Uint32Array(5)), { code: 'MALFORMED' });
  });

  it('are refused with a word that is no residue, wherever it stands', () => {
    fc.assert(
      fc.property(fc.nat(2 * N - 1), fc.boolean(), (at, least) => {
        const words = new Uint32Array(2 * N);
        words[at] = least ? modulusAt(at) : 0xffff_ffff;
        assert.throws(() => sis.decodeCommitment(new Uint8Array(words.buffer)), { code: 'NON_CANONICAL' });
      }),
      { numRuns: 50 },
    );
  });

  it('hash with their context', () => {
    const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)];
    const c = sis.expand(SEED, 0);
    const other = c.slice();
    other[77] = ((c[77] as number) + 1) % MODULI[0];
    const hash = sis.commitmentHash(a, c);
    assert.equal(hash.length, 32);
    assert.deepEqual(hash, sis.commitmentHash(a, c.slice()));
    assert.notDeepEqual(hash, sis.commitmentHash(b, c));
    assert.notDeepEqual(hash, sis.commitmentHash(a, other));
  });

  it('combine as BigInt says', () => {
    const weighted = fc.array(fc.tuple(fc.oneof(element, fc.constant(LARGEST)), fc.nat(65_536)), { maxLength: 5 });
    fc.assert(
      fc.property(weighted, (terms) => {
        let left = 65_536;
        const weights = terms.map(([, weight]) => {
          const taken = Math.min(weight, left);
          left -= taken;
          return taken;
        });
        const commitments = terms.map(([c]) => c);
        const wanted = Array.from({ length: 2 * N }, (_, i) =>
          Number(commitments.reduce((sum, c, j) => sum + BigInt(weights[j] as number) * BigInt(c[i] as number), 0n) % BigInt(modulusAt(i))),
        );
        assertWords(sis.combineCommitments(commitments, weights), wanted);
      }),
      { numRuns: 20 },
    );
    const most = sis.combineCommitments([LARGEST], [65_536]);
    assert.equal(BigInt(most[0] as number), BigInt(MODULI[0]) - 65_536n);
  });

  it('give back what was added', () => {
    fc.assert(
      fc.property(element, element, (a, b) => {
        assertWords(sis.subtractCommitments(sis.combineCommitments([a, b], [1, 1]), b), a);
        assertWords(sis.subtractCommitments(a, a), new Uint32Array(2 * N));
      }),
      { numRuns: 10 },
    );
  });

  it('compare in every word', () => {
    const c = sis.expand(SEED, 0);
    for (const at of [0, N, 2 * N - 1]) {
      const other = c.slice();
      other[at] = (other[at] as number) ^ 1;
      assert.equal(sis.equalCommitments(c, other), false);
    }
    assert.equal(sis.equalCommitments(c, c.slice()), true);
    assert.equal(sis.equalCommitments(c, c.subarray(0, N)), false);
  });

  it('refuse weights that no roster has', () => {
    const c = sis.expand(SEED, 0);
    for (const weights of [[-1], [0.5], [Number.NaN], [65_537], [Number.POSITIVE_INFINITY]])
      assert.throws(() => sis.combineCommitments([c], weights), { code: 'BOUNDS_EXCEEDED' }, String(weights));
    assert.throws(() => sis.combineCommitments([c, c], [65_536, 1]), { code: 'BOUNDS_EXCEEDED' });
    assert.throws(() => sis.combineCommitments([c], [1, 1]), { code: 'MALFORMED' });
    assert.throws(() => sis.combineCommitments([c.subarray(1)], [1]), { code: 'MALFORMED' });
  });
});
