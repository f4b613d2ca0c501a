import assert from 'node:assert/strict';
import { contentOf } from '../../../src/crypto/index.ts';
import { MemoryBlobStore, MemoryNodeStore } from '../../../src/simulation/stores.ts';

describe('stores in memory', () => {
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
});
