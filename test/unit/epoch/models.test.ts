import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf } from '../../../src/crypto/index.ts';
import { Models } from '../../../src/epoch/models.ts';
import { wholeOf } from '../../../src/epoch/storedModel.ts';
import { MemoryBlobStore } from '../../../src/simulation/stores.ts';

type Line = Parameters<Models['at']>[1];

const valuesOf = (n: number): Float32Array => new Float32Array(4).fill(n);
const rootOf = (n: number): string => contentOf(bytesOf(valuesOf(n))).root;
const code = (expected: string) => (e: unknown) => (e as { code?: string }).code === expected;

/**
 * A chain of models by hand: `line[n]` is the value of epoch n; each comes from the one before by its sum, unless it is the
 * same, or `restored` says from where.
 */
function chainOf(values: readonly number[], restored: ReadonlyMap<number, number> = new Map()) {
  const summed: number[] = [];
  const missing = new Set<number>();
  const line: Line = {
    isOf: () => true,
    rootOf: (n) => (values[n] === undefined ? undefined : rootOf(values[n])),
    from: (n) => {
      const back = restored.get(n);
      return { epoch: back ?? n - 1, bySum: back === undefined && values[n] !== values[n - 1] };
    },
    next: async (theta, n) => {
      if (missing.has(n)) return undefined;
      assert.equal((await wholeOf(theta))[0], values[n - 1], `the sum of ${n} is added to the model before it`);
      summed.push(n);
      return valuesOf(values[n] as number);
    },
  };
  return { line, summed, missing };
}

describe('models by epoch', () => {
  it('come from the initial one, sum by sum, and stay in memory', async () => {
    const models = new Models(new MemoryBlobStore(), rootOf(0), valuesOf(0));
    const { line, summed } = chainOf([0, 1, 2, 3]);
    assert.deepEqual(await models.at(0, line), valuesOf(0));
    assert.deepEqual(await models.at(3, line), valuesOf(3));
    assert.deepEqual(await models.at(3, line), valuesOf(3));
    assert.deepEqual(summed, [1, 2, 3]);
    assert.deepEqual(models.byRoot(rootOf(3)), valuesOf(3));
    assert.equal(models.byRoot(rootOf(2)), undefined);
  });

  it('start at a snapshot on disk', async () => {
    const blobs = new MemoryBlobStore();
    await blobs.put(bytesOf(valuesOf(2)));
    const { line, summed } = chainOf([0, 1, 2, 3, 4]);
    assert.deepEqual(await new Models(blobs, rootOf(0), valuesOf(0)).at(4, line), valuesOf(4));
    assert.deepEqual(summed, [3, 4]);
  });

  it('need no sum where nothing was averaged, or an earlier one came back', async () => {
    const models = new Models(new MemoryBlobStore(), rootOf(0), valuesOf(0));
    // 2 averages nothing; 4 brings back what was after 1.
    const { line, summed, missing } = chainOf([0, 1, 1, 5, 1, 6], new Map([[4, 1]]));
    missing.add(3);
    assert.deepEqual(await models.at(2, line), valuesOf(1));
    assert.deepEqual(await models.at(5, line), valuesOf(6));
    assert.deepEqual(summed, [1, 5]);
    await assert.rejects(new Models(new MemoryBlobStore(), rootOf(0), valuesOf(0)).at(3, line), code('AGGREGATE_MISSING'));
  });

  it('say which sum is missing, and that an epoch is not there', async () => {
    const models = new Models(new MemoryBlobStore(), rootOf(0), valuesOf(0));
    const { line, missing } = chainOf([0, 1, 2, 3]);
    missing.add(2);
    await assert.rejects(models.at(3, line), (e: Error) => code('AGGREGATE_MISSING')(e) && e.message.includes('sum of epoch 2'));
    await assert.rejects(models.at(4, line), code('NOT_FOUND'));
    models.keep(2, rootOf(2), valuesOf(2));
    assert.deepEqual(await models.at(3, line), valuesOf(3), 'once it is pulled the rest follows');
  });

  it('in memory are the newest few, and the newest final one however many provisional follow', () => {
    const models = new Models(new MemoryBlobStore(), rootOf(0), valuesOf(0));
    models.keep(1, rootOf(1), valuesOf(1));
    models.pin(1);
    for (let n = 2; n <= 9; n++) models.keep(n, rootOf(n), valuesOf(n));
    const held = [1, 2, 3, 4, 5, 6, 7, 8, 9].filter((n) => models.byRoot(rootOf(n)) !== undefined);
    assert.deepEqual(held, [1, 7, 8, 9]);
    models.forgetAfter(7);
    assert.deepEqual(
      held.filter((n) => models.byRoot(rootOf(n)) !== undefined),
      [1, 7],
    );
  });

  it('of a size of which few fit: the newest, the newest final one, and the first only from disk', async () => {
    // 160 MiB that are never written to, and so take none.
    const models = new Models(new MemoryBlobStore(), rootOf(0), new Float32Array(40 * 2 ** 20));
    models.keep(1, rootOf(1), new Float32Array(40 * 2 ** 20));
    models.pin(1);
    models.keep(2, rootOf(2), new Float32Array(40 * 2 ** 20));
    assert.deepEqual(
      [0, 1, 2].map((n) => models.byRoot(rootOf(n)) !== undefined),
      [false, true, true],
    );
    models.pin(2);
    assert.deepEqual(
      [0, 1, 2].map((n) => models.byRoot(rootOf(n)) !== undefined),
      [false, false, true],
    );
  });
});
