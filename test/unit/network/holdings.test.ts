import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Holdings } from '../../../src/network/holdings.ts';

describe('what is held for peers', () => {
  it('is bounded for each, whatever the others hold', () => {
    const holdings = new Holdings({ peerBytes: 10, totalBytes: 100 });
    holdings.take('a', 9);
    assert.equal(holdings.isFull('a'), false);
    holdings.take('a', 1);
    assert.deepEqual([holdings.isFull('a'), holdings.isFull('b')], [true, false]);
    holdings.give('a', 1);
    assert.equal(holdings.isFull('a'), false);
  });

  it('together stops those with more than their share, and nobody with less', () => {
    const holdings = new Holdings({ peerBytes: 50, totalBytes: 90 });
    holdings.take('greedy', 49);
    holdings.take('other', 40);
    holdings.take('modest', 1);
    assert.deepEqual(
      ['greedy', 'other', 'modest', 'new'].map((peer) => holdings.isFull(peer)),
      [true, true, false, false],
    );
  });

  it('wakes whoever waits for room once, when something is given back', () => {
    const holdings = new Holdings({ peerBytes: 10, totalBytes: 100 });
    let looks = 0;
    const look = (): void => {
      looks += 1;
    };
    holdings.take('a', 10);
    holdings.whenRoom(look);
    holdings.whenRoom(look);
    holdings.give('a', 5);
    holdings.give('a', 5);
    assert.equal(looks, 1);
    holdings.whenRoom(look);
    holdings.forget(look);
    holdings.give('a', 0);
    assert.equal(looks, 1);
  });

  it('is nothing once all is given back', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ peer: fc.constantFrom('a', 'b', 'c'), bytes: fc.nat(100) })), (takes) => {
        const holdings = new Holdings({ peerBytes: 1, totalBytes: 1 });
        for (const { peer, bytes } of takes) holdings.take(peer, bytes);
        for (const { peer, bytes } of takes) holdings.give(peer, bytes);
        assert.ok(['a', 'b', 'c'].every((peer) => holdings.of(peer) === 0 && !holdings.isFull(peer)));
      }),
    );
  });
});
