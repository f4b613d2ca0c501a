import assert from 'node:assert/strict';
import { layoutOf } from '../../../src/aggregation/index.ts';
import type { IntRow } from '../../../src/compute/api.ts';
import { type OwnUpdate, Residual } from '../../../src/epoch/residual.ts';
import { MemoryNodeStore } from '../../../src/simulation/stores.ts';
import { StarlingError } from '../../../src/spec/index.ts';
import { hashOf } from '../ledger/entries.ts';

/** Pieces of a megabyte: three of the values, two of the integers; the second tensor begins in the midst of one. */
const SPANS = layoutOf([
  { name: 'a', shape: [300_001] },
  { name: 'b', shape: [299_999] },
]);
const LENGTH = 600_000;
const SCALES = [2 ** -4, 2 ** -2] as const;
const scaleAt = (k: number): number => SCALES[k < 300_001 ? 0 : 1];
const updateHash = hashOf('large');

const prepared = Float32Array.from({ length: LENGTH }, (_, k) => ((k * 37) % 1_000) / 64 - 7);
const update: OwnUpdate = {
  updateHash,
  epoch: 1,
  dtype: 'int16',
  salt: new Uint8Array(32),
  integers: Int16Array.from(prepared, (v, k) => Math.round(v / scaleAt(k))),
  exponents: [-4, -2],
  secret: null,
};
const rest = Float32Array.from(prepared, (v, k) => v - (update.integers[k] as number) * scaleAt(k));

/** What deepEqual would print of a million differences takes minutes and gigabytes. */
function requireEqual(found: Float32Array | IntRow, wanted: Float32Array | IntRow): void {
  assert.equal(found.length, wanted.length);
  const at = found.findIndex((value, k) => value !== wanted[k]);
  assert.equal(at, -1, `element ${at} is ${found[at]}, not ${wanted[at]}`);
}

describe('the residual of a large model', () => {
  const setUp = () => {
    const store = new MemoryNodeStore();
    const turns = { taken: 0, during: (): void => undefined };
    const open = (isOnLedger = false) =>
      new Residual(
        store,
        SPANS,
        () => isOnLedger,
        async () => {
          turns.taken += 1;
          turns.during();
        },
      );
    return { store, turns, open, residual: open() };
  };

  it('loses what was rostered and gets it back, to the bit, from pieces on disk', async () => {
    const { turns, residual, open } = setUp();
    await residual.contribute(update, prepared, () => undefined);
    assert.equal(turns.taken, 1 + 2, 'one between the pieces of the integers, two between those of the values');
    await residual.settle(() => true, 1);
    requireEqual(residual.values, rest);
    const again = open();
    requireEqual(again.values, rest);
    await again.settle(() => false, 1);
    requireEqual(again.values, prepared);
    requireEqual((again.get(updateHash) as OwnUpdate).integers, update.integers);
  });

  it('settles after a contribution that is being made, and never in its midst', async () => {
    const { turns, residual } = setUp();
    let settled: Promise<void> | undefined;
    const order: string[] = [];
    turns.during = () => {
      settled ??= residual.settle(() => true, 1).then(() => void order.push('settled'));
    };
    await residual.contribute(update, prepared, () => order.push('appended'));
    await settled;
    assert.deepEqual(order, ['appended', 'settled']);
    requireEqual(residual.values, rest);
  });

  it('keeps nothing of a contribution that comes too late', async () => {
    const { store, residual, open } = setUp();
    await residual.contribute({ ...update, updateHash: hashOf('before') }, prepared, () => undefined);
    const left = store.keys('');
    const late = new StarlingError('EPOCH_PAST', 'late');
    const append = (): never => {
      throw late;
    };
    await assert.rejects(residual.contribute(update, new Float32Array(LENGTH), append), late);
    assert.deepEqual(store.keys(''), left);
    for (const one of [residual, open(true)]) {
      requireEqual(one.values, prepared);
      assert.equal(one.get(updateHash), undefined);
      assert.equal(one.staleness(2), 1, 'of the one before alone');
    }
  });
});
