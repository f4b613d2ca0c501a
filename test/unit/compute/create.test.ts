import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { disagreements, fastest } from '../../../src/compute/calibrate.ts';
import { type CalibratedCompute, type CalibrationCache, createCompute, createReference } from '../../../src/compute/index.ts';
import { availableModes } from '../../support/backends.ts';

const modes = await availableModes();
const ELEMENTS = 5_000;
const rows = [Int16Array.of(1, -2, 300), Int16Array.of(4, 5, -600)];
const SUM = Int32Array.of(14, -2, 600);

/** A cache in memory. */
function memoryCache(text?: string): CalibrationCache & { text: string | undefined } {
  const cache = {
    text,
    load: async () => cache.text,
    save: async (saved: string) => {
      cache.text = saved;
    },
  };
  return cache;
}

/** What a calibration on this machine saves, with another choice in it. */
async function cacheWith(change: object): Promise<ReturnType<typeof memoryCache>> {
  const cache = memoryCache();
  const compute = await createCompute({ backend: 'auto', elements: ELEMENTS, cache });
  await compute.calibrate();
  await compute.close();
  return memoryCache(JSON.stringify({ ...JSON.parse(cache.text as string), ...change }));
}

/** Runs a module's text in another process, and returns what it prints. */
async function inChild(source: string, env: Record<string, string>): Promise<string> {
  const text = `import { createCompute } from ${JSON.stringify(new URL('../../../src/compute/index.ts', import.meta.url).href)};\n${source}`;
  const child = await promisify(execFile)(process.execPath, ['--input-type=module-typescript', '--eval', text], {
    env: { ...process.env, ...env },
  });
  return child.stdout.trim();
}

describe('createCompute', () => {
  const opened: CalibratedCompute[] = [];
  const auto = async (cache?: CalibrationCache): Promise<CalibratedCompute> => {
    const compute = await createCompute({ backend: 'auto', elements: ELEMENTS, ...(cache && { cache }) });
    opened.push(compute);
    return compute;
  };
  afterEach(async () => {
    for (const compute of opened.splice(0)) await compute.close();
  });

  it('forced to ts is the reference, with nothing to calibrate', async () => {
    const compute = await createCompute({ backend: 'ts' });
    assert.equal(compute.info().backend, 'ts');
    assert.deepEqual(await compute.calibrate(), []);
    await compute.close();
  });

  for (const mode of modes) {
    it(`forced to ${mode} runs there, verified`, async () => {
      const compute = await createCompute({ backend: mode });
      assert.equal(compute.info().byOperation.weightedSum, mode);
      assert.deepEqual(await compute.weightedSum(rows, [6, 2]), SUM);
      await compute.close();
      await assert.rejects(compute.weightedSum(rows, [6, 2]), { code: 'BACKEND_UNAVAILABLE' });
    });
  }

  it('forced to webgpu without an adapter says so, and what to do', async () => {
    const printed = await inChild(`await createCompute({ backend: 'webgpu' }).catch((e) => console.log(e.code, Boolean(e.facts.fix)));`, {
      VK_DRIVER_FILES: '/nonexistent.json',
    });
    assert.equal(printed, 'BACKEND_UNAVAILABLE true');
  });

  it('auto without a cache answers from the reference, and does not load gpu.js', async () => {
    const printed = await inChild(
      `import { createRequire } from 'node:module';
      const compute = await createCompute({ backend: 'auto' });
      console.log(await compute.sqNorm(Float32Array.of(3, 4)), compute.info().backend);
      console.log(Object.keys(createRequire('/').cache).some((file) => file.includes('gpu.js/src')));`,
      {},
    );
    assert.equal(printed, '25 ts\nfalse');
  });

  it('auto calibrates every operation, keeps only verified answers, and starts from its cache the next time', async () => {
    const cache = memoryCache();
    const compute = await auto(cache);
    const [found, again] = await Promise.all([compute.calibrate(), compute.calibrate()]);
    assert.equal(found, again);
    const best = fastest(found);
    for (const [operation, { backend, verified }] of best) {
      assert.ok(verified);
      assert.equal(compute.info().byOperation[operation], backend);
    }
    assert.equal(found.filter(({ backend }) => backend === 'ts').length, best.size);
    // The only adapter here may be software: slower than plain loops, and refused unless forced.
    if (/swiftshader/.test(process.env.VK_DRIVER_FILES ?? '')) {
      assert.ok(found.every(({ backend, verified, reason }) => backend !== 'webgpu' || (!verified && reason !== undefined)));
    }
    assert.deepEqual((await auto(cache)).info().byOperation, compute.info().byOperation);
  });

  it('auto uses what the cache chose, and refuses bad input there as anywhere', async () => {
    const compute = await auto(await cacheWith({ choice: { weightedSum: 'webasm', nonsense: 'webasm', sqNorm: 'nonsense' } }));
    assert.equal(compute.info().backend, 'mixed');
    assert.deepEqual(await compute.weightedSum(rows, [6, 2]), SUM);
    await assert.rejects(compute.weightedSum(rows, [6, -2]), { code: 'BOUNDS_EXCEEDED' });
    assert.equal(compute.info().byOperation.weightedSum, 'webasm');
    assert.equal(compute.info().byOperation.sqNorm, 'ts');
  });

  it('auto gives up a backend that is no longer what was verified', async () => {
    const compute = await auto(await cacheWith({ adapter: 'another adapter', choice: { weightedSum: 'webgpu' } }));
    assert.equal(compute.info().byOperation.weightedSum, 'webgpu');
    assert.equal(compute.info().adapter, 'another adapter');
    assert.deepEqual(await compute.weightedSum(rows, [6, 2]), SUM);
    assert.equal(compute.info().byOperation.weightedSum, 'ts');
    assert.equal(compute.info().adapter, undefined);
  });

  it('auto ignores a cache of another machine, and one that is broken', async () => {
    const choice = { weightedSum: 'webasm' };
    for (const cache of [await cacheWith({ machine: 'another', choice }), memoryCache('{'), memoryCache('null')]) {
      assert.equal((await auto(cache)).info().backend, 'ts');
    }
  });

  it('auto measures no longer rows than its largest kernel takes: one cache serves all larger models', async () => {
    const { text } = await cacheWith({});
    const cache = memoryCache(text?.replace(`${ELEMENTS} elements`, `${2 ** 20} elements`));
    for (const [elements, isCalibrated] of [
      [2 ** 20 - 1, false],
      [2 ** 20, true],
      [50_000_000, true],
    ] as const) {
      const compute = await createCompute({ backend: 'auto', elements, cache });
      opened.push(compute);
      assert.equal(compute.isCalibrated(), isCalibrated);
    }
  });
});

describe('calibration', () => {
  it('never takes an unverified backend, however fast', () => {
    const at = { operation: 'axpy' } as const;
    const best = fastest([
      { ...at, backend: 'ts', ms: 3, verified: true },
      { ...at, backend: 'webasm', ms: 2, verified: true },
      { ...at, backend: 'webgpu', ms: 1, verified: false },
    ]);
    assert.equal(best.get('axpy')?.backend, 'webasm');
  });

  it('names the operations whose answers differ by one bit or are not numbers', async () => {
    const reference = createReference();
    assert.deepEqual(await disagreements(reference), []);
    const wrong = await disagreements({
      ...reference,
      quantise: async (...input) => (await reference.quantise(...input)).map((q, k) => (k === 4_096 ? q + 1 : q)),
      sqNorm: async () => Number.NaN,
    });
    assert.deepEqual(wrong, ['sqNorm', 'quantise']);
  });
});
