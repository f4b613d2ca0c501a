import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sis } from '../../../../src/crypto/index.ts';

const N = sis.DEGREE;
const SEED = new Uint8Array(32).fill(11);

interface Author {
  readonly row: Int16Array;
  readonly tail: Int16Array;
  readonly commitment: sis.Commitment;
}

function author(row: Int16Array, secret: number): Author {
  const rho = sis.expandRho(new Uint8Array(32).fill(secret));
  return { row, tail: sis.rhoRow(rho), commitment: sis.commit(SEED, row, rho) };
}

function weighted(rows: readonly Int16Array[], weights: readonly number[]): Int32Array {
  const sum = new Int32Array((rows[0] as Int16Array).length);
  rows.forEach((row, j) => {
    row.forEach((value, k) => {
      sum[k] = (sum[k] as number) + (weights[j] as number) * value;
    });
  });
  return sum;
}

const claimOf = (authors: readonly Author[], weights: readonly number[]): sis.ClaimedSum => ({
  seed: SEED,
  sum: weighted(
    authors.map(({ row }) => row),
    weights,
  ),
  rhoSum: weighted(
    authors.map(({ tail }) => tail),
    weights,
  ),
  commitments: authors.map(({ commitment }) => commitment),
  weights,
});

const changed = (values: Int32Array, at: number, by: number): Int32Array => {
  const copy = values.slice();
  copy[at] = (copy[at] as number) + by;
  return copy;
};

const LENGTH = 5_000;
const AUTHORS = [1, 2, 3, 4].map((salt) =>
  author(
    Int16Array.from({ length: LENGTH }, (_, i) => (Math.imul(i + salt, 0x9e37_79b1) >> 16) * (i % 97 === 0 ? 0 : 1)),
    salt,
  ),
);
const WEIGHTS = [30_000, 1, 20_000, 15_535];
const CLAIM = claimOf(AUTHORS, WEIGHTS);

describe('sis sum', () => {
  it('is accepted for any rows and weights, and for the survivors of a drop', () => {
    const value = fc.oneof(fc.constantFrom(32_767, -32_767, -32_768, 0), fc.integer({ min: -32_768, max: 32_767 }));
    const inputs = fc.integer({ min: 0, max: 2_100 }).chain((length) => {
      const row = fc.array(value, { minLength: length, maxLength: length }).map((values) => Int16Array.from(values));
      return fc.array(fc.tuple(row, fc.nat(255), fc.nat(16_384)), { minLength: 1, maxLength: 4 });
    });
    fc.assert(
      fc.property(inputs, (given) => {
        const authors = given.map(([row, secret]) => author(row, secret));
        const weights = given.map(([, , weight]) => weight);
        assert.ok(sis.verifySum(claimOf(authors, weights)));
        if (authors.length > 1) assert.ok(sis.verifySum(claimOf(authors.slice(1), weights.slice(1))));
      }),
      { numRuns: 25 },
    );
  });

  it('is accepted where it is as large as an int32 allows', () => {
    const most = author(new Int16Array(N + 1).fill(32_767), 1);
    const least = author(new Int16Array(N + 1).fill(-32_768), 2);
    assert.ok(sis.verifySum(claimOf([most], [65_536])));
    assert.ok(sis.verifySum(claimOf([least], [65_536])));
    assert.ok(sis.verifySum(claimOf([most, least], [32_768, 32_768])));
  });

  it('is that of nobody if it is zero', () => {
    const nobody = { seed: SEED, commitments: [], weights: [] };
    assert.ok(sis.verifySum({ ...nobody, sum: new Int32Array(10), rhoSum: new Int32Array(sis.RHO_ROW_LENGTH) }));
    assert.equal(sis.verifySum({ ...nobody, sum: new Int32Array(10).fill(1), rhoSum: new Int32Array(sis.RHO_ROW_LENGTH) }), false);
  });

  it('is refused after any single change', () => {
    assert.ok(sis.verifySum(CLAIM));
    const by = fc.oneof(fc.constantFrom(1, -1, 32_767, 2 ** 30), fc.integer()).filter((change) => change !== 0);
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(0, N, LENGTH - 1), fc.nat(LENGTH - 1)), by, (at, change) => {
        assert.equal(sis.verifySum({ ...CLAIM, sum: changed(CLAIM.sum, at, change) }), false, 'S');
        assert.equal(sis.verifySum({ ...CLAIM, rhoSum: changed(CLAIM.rhoSum, at, change) }), false, 'rho');
      }),
      { numRuns: 40 },
    );
    const [a, b, ...rest] = WEIGHTS as [number, number, number, number];
    assert.equal(sis.verifySum({ ...CLAIM, weights: [a - 1, b + 1, ...rest] }), false, 'weights');
    const dropped = { ...CLAIM, commitments: CLAIM.commitments.slice(1), weights: WEIGHTS.slice(1) };
    assert.equal(sis.verifySum(dropped), false, 'an author less');
    const word = (CLAIM.commitments[0] as sis.Commitment).slice();
    word[3_000] = (word[3_000] as number) ^ 1;
    assert.equal(sis.verifySum({ ...CLAIM, commitments: [word, ...CLAIM.commitments.slice(1)] }), false, 'a commitment');
    const moved = CLAIM.sum.slice();
    [moved[0], moved[1]] = [moved[1] as number, moved[0] as number];
    assert.equal(sis.verifySum({ ...CLAIM, sum: moved }), false, 'two values');
  });

  it('is refused with digits of rho that no rho has, even if they add up', () => {
    // 4096 less in a low digit and 1 more in its high digit is the same rho, but beyond the bound of one author of weight 1.
    const claim = claimOf([AUTHORS[0] as Author], [1]);
    const carried = changed(changed(claim.rhoSum, 0, -4096), 4 * N, 1);
    assert.ok(sis.isRhoSum(claim.rhoSum, 1));
    assert.equal(sis.isRhoSum(carried, 1), false);
    assert.equal(sis.verifySum({ ...claim, rhoSum: carried }), false);
  });

  it('throws for what is malformed', () => {
    assert.throws(() => sis.verifySum({ ...CLAIM, rhoSum: CLAIM.rhoSum.subarray(1) }), { code: 'MALFORMED' });
    assert.throws(() => sis.verifySum({ ...CLAIM, weights: [1, 2, 3] }), { code: 'MALFORMED' });
    assert.throws(() => sis.verifySum({ ...CLAIM, weights: [65_536, 1, 0, 0] }), { code: 'BOUNDS_EXCEEDED' });
    assert.throws(() => sis.verifySum({ ...CLAIM, seed: new Uint8Array(31) }), { code: 'MALFORMED' });
  });

  it('could be rid of a victim by one who knew its commitment first: hence hashes before commitments', () => {
    const [victim, honest, own] = AUTHORS as [Author, Author, Author];
    const cancelling = sis.subtractCommitments(own.commitment, victim.commitment);
    const withoutVictim = claimOf([honest, own], [1, 1]);
    const commitments = [victim.commitment, honest.commitment, cancelling];
    assert.ok(sis.verifySum({ ...withoutVictim, commitments, weights: [1, 1, 1] }));
  });
});
