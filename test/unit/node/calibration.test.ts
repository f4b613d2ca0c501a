import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCompute } from '../../../src/compute/index.ts';
import { calibrateAside, calibrationCache } from '../../../src/node/calibration.ts';

/** Small rows: this is about processes, not about what they measure. */
const ELEMENTS = 256;

describe('calibration in a process of its own', function () {
  this.timeout(60_000);
  const before = process.env.XDG_CACHE_HOME;
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'starling-calibration-'));
    process.env.XDG_CACHE_HOME = folder;
  });
  afterEach(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(folder, { recursive: true, force: true });
  });
  const open = () => createCompute({ backend: 'auto', cache: calibrationCache(), elements: ELEMENTS });

  it('is taken over by this one and by any that comes later, while this one goes on', async () => {
    const compute = await open();
    assert.equal(compute.isCalibrated(), false);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    await calibrateAside(compute, ELEMENTS, new AbortController().signal);
    clearInterval(timer);
    assert.equal(compute.isCalibrated(), true);
    assert.ok(ticks > 10, `${ticks} turns of the event loop meanwhile`);
    assert.equal((await open()).isCalibrated(), true);
    await compute.close();
  });

  it('measured by somebody else meanwhile is not measured again', async () => {
    const compute = await open();
    const other = await open();
    await calibrateAside(other, ELEMENTS, new AbortController().signal);
    // A process that was started now would be ended at once.
    await calibrateAside(compute, ELEMENTS, AbortSignal.abort());
    assert.equal(compute.isCalibrated(), true);
    await Promise.all([compute.close(), other.close()]);
  });

  it('ends with the daemon that asked for it', async () => {
    const compute = await open();
    const stop = new AbortController();
    const measuring = calibrateAside(compute, ELEMENTS, stop.signal);
    stop.abort();
    await assert.rejects(measuring);
    assert.equal(compute.isCalibrated(), false);
    assert.equal(existsSync(join(folder, 'starling', 'compute.json')), false);
    await compute.close();
  });
});
