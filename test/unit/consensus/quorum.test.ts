import assert from 'node:assert/strict';
import { faultsOf, quorumOf } from '../../../src/consensus/index.ts';

describe('the quorum', () => {
  it('is what the protocol lists', () => {
    assert.deepEqual([1, 3, 4, 6, 7].map(quorumOf), [1, 2, 3, 4, 5]);
    assert.equal(faultsOf(3), 0);
  });

  it('of any size shares an honest voter with every other, and the honest alone reach it', () => {
    for (let n = 1; n <= 200; n++) {
      const [f, q] = [faultsOf(n), quorumOf(n)];
      assert.ok(2 * q - n > f, `two quorums of ${n} overlap in more than ${f}`);
      assert.ok(q <= n - f, `${n - f} honest of ${n} are a quorum`);
      assert.ok(2 * (q - 1) - n <= f, `the quorum of ${n} is the smallest`);
    }
  });
});
