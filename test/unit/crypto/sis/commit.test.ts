import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { sis } from '../../../../src/crypto/index.ts';
import { assertWords, evaluate, PRIMES, pointOf, powersOf, psiOf, referenceCommit, valuesOf } from '../../../support/sisReference.ts';

const N = sis.DEGREE;
const SEED = Uint8Array.from({ length: 32 }, (_, i) => i);
const RHO = sis.expandRho(new Uint8Array(32).fill(5));
const LENGTHS = [0, 1, 2047, 2048, 2049, 5000];

const int16 = fc.oneof(fc.constantFrom(32_767, -32_767, 0, 1, -1), fc.integer({ min: -32_767, max: 32_767 }));

/** A row of this length, every value of which depends on `salt`. */
const rowOf = (length: number, salt: number): Int16Array =>
  Int16Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e37_79b1 + 2 * salt) >> 16 || 1);

const assertReference = (q: sis.SisRow, rho: Int32Array): void => assertWords(sis.commit(SEED, q, rho), referenceCommit(SEED, q, rho));

describe('sis commitment', () => {
  it('has a reference that evaluates at every odd power of psi', () => {
    const row = rowOf(N, 9);
    for (const q of PRIMES) {
      const psi = psiOf(q, N);
      const values = valuesOf(Array.from(row, BigInt), powersOf(psi, N, q), q);
      for (let slot = 0; slot < N; slot += 89) assert.equal(values[slot], evaluate(row, pointOf(slot, N, psi, q), q));
    }
  });

  it('is what BigInt says, for rows of every length and rho at its bounds', () => {
    LENGTHS.forEach((length, i) => {
      assertReference(rowOf(length, i), RHO);
    });
    const edges = Int32Array.from({ length: 4 * N }, (_, i) => [-(2 ** 23), 2 ** 23 - 1, 2047, 2048, -2048, -2049, 0][i % 7] as number);
    assertReference(new Int16Array(N + 1).fill(32_767), edges);
    assertReference(
      new Int16Array(N + 1).fill(-32_767),
      edges.map((value) => -1 - value),
    );
    assertReference(
      Int8Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 127 : -127)),
      RHO,
    );
    assertReference(new Int32Array(N).fill(-(2 ** 31)), RHO);
    assertReference(new Int32Array(N).fill(2 ** 31 - 1), RHO);
  }).timeout(30_000);

  it('is what BigInt says, for random rows', () => {
    fc.assert(
      fc.property(fc.array(int16, { maxLength: 3 * N, size: 'max' }), fc.uint8Array({ minLength: 32, maxLength: 32 }), (row, secret) => {
        assertReference(Int16Array.from(row), sis.expandRho(secret));
      }),
      { numRuns: 8 },
    );
  }).timeout(30_000);

  it('keeps its bytes', () => {
    const row = Int16Array.from({ length: 3_000 }, (_, i) => ((7_919 * i) % 65_535) - 32_767);
    const reference = Uint32Array.from(referenceCommit(SEED, row, RHO));
    const hash = createHash('sha256')
      .update(sis.encodeCommitment(sis.commit(SEED, row, RHO)))
      .digest('hex');
    assert.equal(hash, 'af9b5df49eace33bd516ff35cbd21611d92dc6e919515279d8de9af8dfef04c0');
    assert.equal(createHash('sha256').update(new Uint8Array(reference.buffer)).digest('hex'), hash);
  });

  it('does not depend on how the row is cut into pieces', () => {
    const row = rowOf(9_000, 1);
    const whole = sis.commit(SEED, row, RHO);
    fc.assert(
      fc.property(fc.array(fc.nat(9_000), { maxLength: 6 }), (cuts) => {
        const committer = new sis.Committer(SEED).update(sis.rhoRow(RHO));
        const bounds = [0, ...cuts.sort((a, b) => a - b), 9_000];
        for (let i = 1; i < bounds.length; i++) committer.update(row.subarray(bounds[i - 1], bounds[i]));
        assertWords(committer.finish(), whole);
      }),
      { numRuns: 20 },
    );
  });

  it('goes on beside another one', () => {
    const rows = [rowOf(5_000, 1), rowOf(5_000, 2)] as const;
    const committers = rows.map(() => new sis.Committer(SEED, 8));
    for (let at = 0; at < 5_000; at += 1_000)
      committers.forEach((committer, i) => {
        committer.update((rows[i] as Int16Array).subarray(at, at + 1_000));
      });
    committers.forEach((committer, i) => {
      assertWords(committer.finish(), sis.commitRange(SEED, 8, rows[i] as Int16Array));
    });
  });

  it('is the sum of its ranges', () => {
    const row = rowOf(10_000, 3);
    const whole = Int16Array.from([...sis.rhoRow(RHO), ...row]);
    assert.equal(sis.rowBlocks(row.length), 13);
    assert.equal(sis.rowBlocks(0), 8);
    fc.assert(
      fc.property(fc.nat(13), fc.nat(13), (a, b) => {
        const cuts = [0, Math.min(a, b), Math.max(a, b), 13];
        const parts = [0, 1, 2].map((i) =>
          sis.commitRange(SEED, cuts[i] as number, whole.subarray(N * (cuts[i] as number), N * (cuts[i + 1] as number))),
        );
        assertWords(sis.combineCommitments(parts, [1, 1, 1]), sis.commit(SEED, row, RHO));
      }),
      { numRuns: 15 },
    );
  });

  it('differs with the seed, with rho, and with the place of a value', () => {
    const row = rowOf(3_000, 1);
    const other = SEED.slice();
    other[0] = 255;
    const swapped = row.slice();
    [swapped[0], swapped[N]] = [row[N] as number, row[0] as number];
    const all = [
      sis.commit(SEED, row, RHO),
      sis.commit(other, row, RHO),
      sis.commit(SEED, row, sis.expandRho(new Uint8Array(32))),
      sis.commit(SEED, swapped, RHO),
    ];
    assert.equal(new Set(all.map((c) => Buffer.from(sis.encodeCommitment(c)).toString('base64'))).size, 4);
  });

  it('takes a rho within its bounds only', () => {
    assert.throws(() => sis.rhoRow(new Int32Array(8191)), { code: 'MALFORMED' });
    for (const value of [2 ** 23, -(2 ** 23) - 1]) {
      const rho = new Int32Array(8192);
      rho[8191] = value;
      assert.throws(() => sis.commit(SEED, new Int16Array(1), rho), { code: 'BOUNDS_EXCEEDED' });
    }
    assert.throws(() => sis.commit(SEED.subarray(1), new Int16Array(1), RHO), { code: 'MALFORMED' });
  });

  it('splits rho into two digits', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 23), max: 2 ** 23 - 1 }), (value) => {
        const row = sis.rhoRow(new Int32Array(8192).fill(value));
        const [low, high] = [row[8191] as number, row[16_383] as number];
        assert.equal(low + 4096 * high, value);
        assert.ok(Math.abs(low) <= sis.RHO_DIGIT_BOUND && Math.abs(high) <= sis.RHO_DIGIT_BOUND);
      }),
      { numRuns: 200 },
    );
  });
});
