import assert from 'node:assert/strict';
import { contentOf } from '../../../src/crypto/index.ts';
import { MemoryBlobStore, MemoryBlockStore, MemoryEntryStore, MemoryNodeStore } from '../../../src/simulation/stores.ts';
import type { StarlingError } from '../../../src/spec/index.ts';
import { makeBlock } from '../../../src/wire/index.ts';
import { draft, hashOf } from '../ledger/entries.ts';
import { record } from '../wire/finalitySamples.ts';

describe('stores in memory', () => {
  it('hold each entry once, in the order of appending', () => {
    const store = new MemoryEntryStore();
    const [a, b, c] = ['a', 'b', 'c'].map((salt) => draft({ author: hashOf('author'), salt }));
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    assert.deepEqual([store.append([b, a]), store.append([a, c, c]), store.append([])], [2, 1, 0]);
    assert.deepEqual(
      [[...store.all()], store.size(), store.get(a.id), store.has(c.id), store.has('x'), store.get('x')],
      [[b, a, c], 3, a, true, false, undefined],
    );
  });

  it('hold content by its root, whatever the caller does with its bytes afterwards', async () => {
    const store = new MemoryBlobStore();
    const content = Buffer.from('content');
    const root = await store.put(content);
    assert.equal(root, contentOf(Buffer.from('content')).root);
    content.fill(0);
    assert.deepEqual(Buffer.from((await store.get(root)) ?? []).toString(), 'content');
    assert.equal(await store.has(root), true);
    await store.delete(root);
    assert.deepEqual([await store.has(root), await store.get(root)], [false, undefined]);
  });

  it('hold small facts', () => {
    const store = new MemoryNodeStore();
    const value = Buffer.from('1');
    store.set('key', value);
    value.fill(0);
    assert.equal(Buffer.from(store.get('key') ?? []).toString(), '1');
    store.set('key', Buffer.from('2'));
    assert.equal(Buffer.from(store.get('key') ?? []).toString(), '2');
    store.delete('key');
    assert.equal(store.get('key'), undefined);
  });

  it('hold final blocks one after the other, and forget the newest where they are told to', () => {
    const store = new MemoryBlockStore();
    const at = (epoch: number) => ({ ...record, block: makeBlock({ ...record.block.header, epoch }, record.block.body) });
    for (const epoch of [1, 2, 3]) store.append(at(epoch));
    assert.deepEqual([store.head(), store.get(2), store.get(4), store.get(0)], [3, at(2), undefined, undefined]);
    for (const epoch of [3, 5])
      assert.throws(
        () => store.append(at(epoch)),
        (e) => (e as StarlingError).code === 'EPOCH_REGRESSION',
      );
    store.truncate(1);
    assert.deepEqual([store.head(), store.get(2)], [1, undefined]);
    store.append(at(2));
    assert.equal(store.head(), 2);
  });
});
