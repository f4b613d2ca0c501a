import assert from 'node:assert/strict';
import { createReference } from '../../../src/compute/index.ts';
import { availableModes, onEach } from '../../support/backends.ts';
import { exactSumCases, type SumCase, shuffled } from '../../support/exactSums.ts';

const CASES = [...exactSumCases(200, 1)];
const reference = createReference();
const modes = await availableModes();

/** The sum in integers without a bound. */
const truth = ({ rows, weights }: SumCase): bigint[] =>
  Array.from(rows[0] as ArrayLike<number>, (_, k) =>
    rows.reduce((sum, row, j) => sum + BigInt(weights[j] as number) * BigInt(row[k] as number), 0n),
  );

describe('the exact sum, 200 random cases', () => {
  it('is what integers without a bound give', async () => {
    for (const sum of CASES) {
      assert.deepEqual(Array.from(await reference.weightedSum(sum.rows, sum.weights), BigInt), truth(sum));
    }
  });

  onEach(modes, (mode, compute) => {
    it('gives the same bytes as the reference, in any order of summands', async () => {
      for (const [i, sum] of CASES.entries()) {
        const expected = await reference.weightedSum(sum.rows, sum.weights);
        const other = shuffled(sum, i);
        assert.deepEqual(await compute().weightedSum(sum.rows, sum.weights), expected, `case ${i}`);
        assert.deepEqual(await compute().weightedSum(other.rows, other.weights), expected, `case ${i}, shuffled`);
      }
      assert.equal(compute().info().byOperation.weightedSum, mode);
      assert.deepEqual([...compute().kernelModes()], [mode]);
    }).timeout(20_000);
  });
});
