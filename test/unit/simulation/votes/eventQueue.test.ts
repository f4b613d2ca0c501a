import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EventQueue } from '../../../../src/simulation/votes/eventQueue.ts';

describe('EventQueue', () => {
  it('runs events in order of time, then of scheduling, also those that events schedule', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 60 }), (delays) => {
        const queue = new EventQueue();
        const ran: { atMs: number; order: number }[] = [];
        let order = 0;
        const plan = (delayMs: number, then?: number): void => {
          const event = { atMs: queue.nowMs + delayMs, order: order++ };
          queue.after(delayMs, () => {
            assert.equal(queue.nowMs, event.atMs);
            ran.push(event);
            if (then !== undefined) plan(then);
          });
        };
        for (const [delayMs, then] of delays) plan(delayMs, then);
        while (queue.step());
        assert.equal(ran.length, 2 * delays.length);
        assert.deepEqual(
          ran,
          [...ran].sort((a, b) => a.atMs - b.atMs || a.order - b.order),
        );
      }),
    );
  });
});
