import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import {
  ContentHasher,
  chunkAt,
  chunkCount,
  contentOf,
  EMPTY_ROOT,
  fromHex,
  toHex,
  verifyChunk,
  verifyIndex,
} from '../../../src/crypto/index.ts';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';

const sha = (...parts: (Uint8Array | string)[]) => parts.reduce((h, part) => h.update(part), createHash('sha256')).digest();
const leafOf = (chunk: Uint8Array) => sha(Buffer.of(0), chunk);
const content = Uint8Array.from({ length: 2 * CHUNK_BYTES + 5 }, (_, i) => (i * 7) % 251);

describe('content', () => {
  it('is the RFC 9162 tree over chunks of 256 KiB', () => {
    const [a, b, c] = [0, 1, 2].map((i) => leafOf(content.slice(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES))) as [Buffer, Buffer, Buffer];
    const root = sha(Buffer.of(1), sha(Buffer.of(1), a, b), c).toString('hex');
    assert.deepEqual(contentOf(content), { root, sizeBytes: content.length, leaves: [a, b, c].map((leaf) => new Uint8Array(leaf)) });
  });

  it('is the same for content that comes in parts', () => {
    fc.assert(
      fc.property(fc.nat(content.length), fc.array(fc.nat(CHUNK_BYTES + 9), { minLength: 1, maxLength: 9 }), (length, steps) => {
        const hasher = new ContentHasher();
        const whole = content.subarray(0, length);
        for (let at = 0, i = 0; at < length; at += 1 + (steps[i++ % steps.length] as number)) {
          const part = whole.slice(at, at + 1 + (steps[i % steps.length] as number));
          hasher.update(part);
          // What was handed over may be used for the next part.
          part.fill(0);
        }
        assert.deepEqual(hasher.finish(), contentOf(whole));
      }),
      { numRuns: 60 },
    );
  });

  it('counts chunks at the edges', () => {
    assert.deepEqual([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1].map(chunkCount), [0, 1, 1, 1, 2]);
  });

  it('gives empty content the empty root', () => {
    assert.deepEqual(contentOf(new Uint8Array(0)), { root: toHex(EMPTY_ROOT), sizeBytes: 0, leaves: [] });
    assert.equal(verifyIndex(toHex(EMPTY_ROOT), 0, []), true);
  });

  it('gives chunks as views', () => {
    assert.equal(chunkAt(content, 2).byteLength, 5);
    assert.equal(chunkAt(content, 1).buffer, content.buffer);
  });

  it('accepts the index of the content and no other', () => {
    const { root, sizeBytes, leaves } = contentOf(content);
    assert.equal(verifyIndex(root, sizeBytes, leaves), true);
    assert.equal(verifyIndex(root, sizeBytes + CHUNK_BYTES, leaves), false);
    assert.equal(verifyIndex(root, sizeBytes, leaves.slice(1)), false);
    assert.equal(verifyIndex(root, sizeBytes, leaves.toReversed()), false);
    assert.equal(verifyIndex(toHex(fromHex(root).reverse()), sizeBytes, leaves), false);
  });

  it('accepts each chunk in its place and nowhere else', () => {
    const { leaves } = contentOf(content);
    for (const i of [0, 1, 2]) assert.equal(verifyChunk(leaves, i, chunkAt(content, i)), true);
    assert.equal(verifyChunk(leaves, 1, chunkAt(content, 0)), false);
    assert.equal(verifyChunk(leaves, 3, chunkAt(content, 2)), false);
    assert.equal(verifyChunk(leaves, 2, chunkAt(content, 2).subarray(1)), false);
  });

  it('refuses a short chunk before the last even when its hash fits', () => {
    const leaves = [leafOf(Buffer.from('short')), leafOf(Buffer.from('end'))];
    assert.equal(verifyChunk(leaves, 0, Buffer.from('short')), false);
    assert.equal(verifyChunk(leaves, 1, Buffer.from('end')), true);
  });
});
