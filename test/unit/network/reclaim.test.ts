import assert from 'node:assert/strict';
import { bufferReclaimer, collectYoung, RECLAIM_BYTES } from '../../../src/network/reclaim.ts';
import { MIB } from '../../../src/spec/index.ts';
import { until } from '../../support/networkHosts.ts';

describe('buffers of traffic', () => {
  it('are collected in step with the bytes that pass, and not before', () => {
    let collections = 0;
    const passed = bufferReclaimer(() => {
      collections += 1;
    });
    passed(RECLAIM_BYTES - 1);
    assert.equal(collections, 0);
    for (let i = 0; i < 40; i++) passed(RECLAIM_BYTES / 4);
    assert.equal(collections, 10);
  });

  it('go with a collection of what is young, and the globals of the process stay as they were', async () => {
    const { gc } = globalThis;
    const held = (): number => process.memoryUsage().arrayBuffers;
    collectYoung();
    const before = held();
    for (let i = 0; i < 64; i++) new Uint8Array(MIB / 4).fill(1);
    collectYoung();
    await until('the buffers are freed', () => held() < before + 4 * MIB);
    assert.equal(globalThis.gc, gc);
  });
});
