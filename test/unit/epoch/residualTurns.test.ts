import assert from 'node:assert/strict';
import { layoutOf } from '../../../src/aggregation/index.ts';
import type { IntRow } from '../../../src/compute/api.ts';
import type { ContentIndex } from '../../../src/crypto/index.ts';
import { Residual } from '../../../src/epoch/residual.ts';
import type { OwnUpdate } from '../../../src/epoch/residualRecords.ts';
import { MemoryBlobStore, MemoryNodeStore } from '../../../src/simulation/stores.ts';
import { CHUNK_BYTES, type ContentRoot, StarlingError } from '../../../src/spec/index.ts';
import { openResidual, valuesOf } from '../../support/residuals.ts';
import { hashOf } from '../ledger/entries.ts';

/** Ten chunks of values, five of integers; the second tensor begins in the midst of one. */
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

/** Content that is written and read while other work runs: `during` is called before each chunk is asked for, what is read waits for `held`. */
class SlowBlobStore extends MemoryBlobStore {
  chunks = 0;
  during = (): void => undefined;
  held: Promise<void> | undefined;
  override async readChunk(root: ContentRoot, i: number): Promise<Uint8Array | undefined> {
    const [chunk, held] = [super.readChunk(root, i), this.held];
    await held;
    return chunk;
  }
  override putParts(parts: AsyncIterable<Uint8Array>): Promise<ContentIndex> {
    const slowly = async function* (this: SlowBlobStore): AsyncGenerator<Uint8Array> {
      for await (const part of parts) {
        assert.ok(part.byteLength <= CHUNK_BYTES);
        this.chunks++;
        this.during();
        yield part;
      }
    };
    return super.putParts(slowly.call(this));
  }
}

describe('the residual of a large model', () => {
  const setUp = () => {
    const [store, own] = [new MemoryNodeStore(), new SlowBlobStore()];
    const open = (isOnLedger = false) => openResidual(store, own, SPANS, () => isOnLedger);
    return { store, own, open, residual: open() };
  };

  it('loses what was rostered and gets it back, to the bit, from chunks on disk', async () => {
    const { own, residual, open } = setUp();
    await residual.contribute(update, prepared, () => undefined);
    assert.equal(own.chunks, 5 + 10, 'those of the integers, and those of the values');
    await residual.settle(() => true, 1);
    requireEqual(await valuesOf(residual), rest);
    const again = open();
    requireEqual(await valuesOf(again), rest);
    await again.settle(() => false, 1);
    requireEqual(await valuesOf(again), prepared);
    requireEqual(((await again.get(updateHash)) as OwnUpdate).integers, update.integers);
    assert.equal((await own.roots()).length, 2, 'one update, and the values as they are');
  });

  it('settles after a contribution that is being made, and never in its midst', async () => {
    const { own, residual } = setUp();
    let settled: Promise<void> | undefined;
    const order: string[] = [];
    own.during = () => {
      settled ??= residual.settle(() => true, 1).then(() => void order.push('settled'));
    };
    await residual.contribute(update, prepared, () => order.push('appended'));
    await settled;
    assert.deepEqual(order, ['appended', 'settled']);
    requireEqual(await valuesOf(residual), rest);
  });

  it('is read as it is when a part of it comes, also while it becomes another', async () => {
    const { own, residual } = setUp();
    await residual.contribute(update, prepared, () => undefined);
    const reading = residual.parts();
    const first = await reading.next();
    requireEqual(first.value?.values ?? new Float32Array(), prepared.subarray(0, CHUNK_BYTES / 4));
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    own.held = held;
    const asked = reading.next();
    own.held = undefined;
    await residual.settle(() => true, 1);
    release();
    const second = await asked;
    requireEqual(second.value?.values ?? new Float32Array(), rest.subarray(CHUNK_BYTES / 4, CHUNK_BYTES / 2));
  });

  it('keeps content that two updates are, until neither is kept', async () => {
    const { own, residual, open } = setUp();
    await residual.contribute(update, prepared, () => undefined);
    await residual.contribute({ ...update, updateHash: hashOf('twin'), epoch: 2 }, prepared, () => undefined);
    await residual.settle(() => false, 1 + 64);
    assert.equal(await residual.get(updateHash), undefined);
    requireEqual(((await open().get(hashOf('twin'))) as OwnUpdate).integers, update.integers);
    await residual.settle(() => false, 2 + 64);
    assert.equal((await own.roots()).length, 1, 'the values');
  });

  it('goes on without what has rotted, and says so; what a crash left goes', async () => {
    const { store, own } = setUp();
    const said: string[] = [];
    const journal = { log: (_level: string, _room: string, message: string) => void said.push(message) };
    const open = () => new Residual({ store, own, spans: SPANS, onLedger: () => false, journal });
    const before = open();
    await before.contribute(update, prepared, () => undefined);
    const orphan = await own.put(new Uint8Array(5));
    await open().tidy();
    assert.deepEqual(said, []);
    assert.ok(!(await own.has(orphan)));
    requireEqual(await valuesOf(open()), prepared);
    for (const root of await own.roots()) await own.delete(root);
    await assert.rejects(valuesOf(open()), { code: 'DATA_CORRUPT' });
    const after = open();
    await after.tidy();
    assert.equal(said.length, 1);
    requireEqual(await valuesOf(after), new Float32Array(LENGTH));
    await after.settle(() => true, 1);
    requireEqual(await valuesOf(after), new Float32Array(LENGTH));
  });

  it('keeps nothing of a contribution that comes too late', async () => {
    const { store, own, residual, open } = setUp();
    await residual.contribute({ ...update, updateHash: hashOf('before') }, prepared, () => undefined);
    const left = [...store.keys(''), ...(await own.roots())];
    const late = new StarlingError('EPOCH_PAST', 'late');
    const append = (): never => {
      throw late;
    };
    await assert.rejects(residual.contribute(update, new Float32Array(LENGTH), append), late);
    assert.deepEqual([...store.keys(''), ...(await own.roots())], left);
    for (const one of [residual, open(true)]) {
      requireEqual(await valuesOf(one), prepared);
      assert.equal(await one.get(updateHash), undefined);
      assert.equal(one.staleness(2), 1, 'of the one before alone');
    }
  });
});
