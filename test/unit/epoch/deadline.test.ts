import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AdaptiveDeadline } from '../../../src/epoch/deadline.ts';

const bounds = { minDeadlineMs: 200, epochDeadlineMs: 5_000 };
const deadlineAfter = (arrivals: readonly number[], of = bounds): number => {
  const deadline = new AdaptiveDeadline(of);
  for (const ms of arrivals) deadline.arrived(ms);
  return deadline.ms;
};

describe('the adaptive deadline', () => {
  it('is as long as the genesis allows before anything was measured', () => {
    assert.equal(deadlineAfter([]), 5_000);
  });

  it('is one and a half times the time by which nineteen of twenty came, of the last 64', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3_000), { minLength: 1, maxLength: 150 }), (arrivals) => {
        const last = arrivals.slice(-64);
        // The smallest time that at least 95% and one more do not exceed.
        const p95 = last
          .filter((t) => 20 * last.filter((u) => u <= t).length > 19 * last.length)
          .reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
        assert.equal(deadlineAfter(arrivals), Math.min(5_000, Math.max(200, 1.5 * p95)));
      }),
    );
  });

  it('follows late arrivals up and forgets them again', () => {
    const usual = new Array<number>(64).fill(400);
    assert.equal(deadlineAfter(usual), 600);
    assert.equal(deadlineAfter([...usual, 2_000, 2_000, 2_000, 2_000]), 3_000);
    assert.equal(deadlineAfter([2_000, 2_000, 2_000, 2_000, ...usual]), 600);
  });

  it('stays within the bounds of the genesis', () => {
    assert.equal(deadlineAfter([1]), 200);
    assert.equal(deadlineAfter([-50]), 200);
    assert.equal(deadlineAfter([1e9]), 5_000);
  });
});
