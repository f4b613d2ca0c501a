import assert from 'node:assert/strict';
import { BufferPool } from '../../../src/network/bufferPool.ts';

const CHUNK = 262_300;

describe('a pool of buffers', () => {
  it('gives again the memory that was given back, never what is in use', () => {
    const pool = new BufferPool();
    const [a, b] = [pool.take(CHUNK), pool.take(CHUNK)];
    assert.notEqual(a.buffer, b.buffer);
    assert.deepEqual([a.byteLength, b.byteLength], [CHUNK, CHUNK]);
    pool.give(a);
    const c = pool.take(CHUNK + 100);
    assert.equal(c.buffer, a.buffer);
    assert.equal(c.byteLength, CHUNK + 100);
    assert.notEqual(pool.take(CHUNK).buffer, a.buffer);
  });

  it('keeps neither small ones, nor many, nor any that is too small for what comes', () => {
    const pool = new BufferPool();
    const small = pool.take(100);
    pool.give(small);
    assert.notEqual(pool.take(100).buffer, small.buffer);
    const many = Array.from({ length: 40 }, () => pool.take(CHUNK));
    for (const one of many) pool.give(one);
    const again = new Set(many.map(() => pool.take(CHUNK).buffer));
    assert.equal(many.filter(({ buffer }) => again.has(buffer)).length, 16);
    const short = pool.take(70_000);
    pool.give(short);
    assert.equal(pool.take(CHUNK).byteLength, CHUNK);
  });
});
