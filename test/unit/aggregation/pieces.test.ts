import assert from 'node:assert/strict';
import { inPieces } from '../../../src/aggregation/index.ts';
import type { IntRow } from '../../../src/compute/api.ts';
import { createReference } from '../../../src/compute/index.ts';
import { picker, randomRows } from '../../support/exchanges.ts';

/** Three pieces of seven rows, the last of them short. */
const ELEMENTS = 2 * Math.floor(2 ** 20 / 7) + 5;

describe('what rules compute, a piece at a time', () => {
  const compute = createReference();
  const rows = randomRows(7, ELEMENTS, 32_767, picker(3));
  let turns = 0;
  const gentle = inPieces(compute, async () => {
    turns++;
  });
  const [first, second] = rows as [IntRow, IntRow];

  it('is what it is at once, with turns between', async () => {
    assert.deepEqual(await gentle.trimmedSum(rows, 2), await compute.trimmedSum(rows, 2));
    assert.equal(turns, 2);
    const weights = [1, 2, 3, 4, 5, 6, 7];
    assert.deepEqual(await gentle.weightedSum(rows, weights), await compute.weightedSum(rows, weights));
    assert.deepEqual(await gentle.pairwiseSqDist(rows), await compute.pairwiseSqDist(rows));
    assert.equal(turns, 6);
    assert.equal(await gentle.sqDist<IntRow>(first, second), await compute.sqDist<IntRow>(first, second));
  });

  it('takes no turn for what is short, and bears rows of nothing', async () => {
    turns = 0;
    assert.deepEqual(
      await gentle.trimmedSum([first.subarray(0, 9), second.subarray(0, 9)], 0),
      await compute.trimmedSum([first.subarray(0, 9), second.subarray(0, 9)], 0),
    );
    assert.equal((await gentle.trimmedSum([new Int8Array(), new Int8Array()], 0)).length, 0);
    assert.equal(turns, 0);
  });
});
