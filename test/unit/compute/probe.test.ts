import assert from 'node:assert/strict';
import { OPERATIONS } from '../../../src/compute/reference.ts';
import { availableModes } from '../../support/backends.ts';
import { probe } from '../../support/gpu-probe.ts';

const modes = await availableModes();

describe('gpu-probe', () => {
  if (modes.includes('webgpu')) {
    it('finds nothing wrong with WebGPU here', async () => {
      const report = await probe([4_097]);
      assert.deepEqual(report.exactSums, { cases: 200, equal: 200 });
      assert.deepEqual(report.kernelModes, ['webgpu']);
      assert.deepEqual(
        report.kernels.map(({ operation, agrees }) => [operation, agrees]),
        OPERATIONS.map((operation) => [operation, true]),
      );
      assert.ok(report.ok && report.adapter);
    }).timeout(20_000);
  }
});
