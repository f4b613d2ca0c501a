import assert from 'node:assert/strict';
import { Stoppable } from '../../../src/node/stoppable.ts';

class Counter {
  readonly step = 2;
  #count = 0;
  add(by: number): number {
    this.#count += by * this.step;
    return this.#count;
  }
}

describe('what a node uses while it runs', () => {
  it('works as it does by itself, and is out of reach once the node has stopped', () => {
    const running = new Stoppable();
    const counter = new Counter();
    const wrapped = running.wrap(counter);
    const { add } = wrapped;
    assert.deepEqual([wrapped.add(1), wrapped.add(2), add(3), wrapped.step], [2, 6, 12, 2]);
    running.stop();
    for (const call of [() => wrapped.add(1), () => add(1)]) assert.throws(call, { code: 'NOT_READY' });
    assert.equal(counter.add(0), 12, 'nothing was done');
  });
});
