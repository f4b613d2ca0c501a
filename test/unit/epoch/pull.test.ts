import assert from 'node:assert/strict';
import fc from 'fast-check';
import { contentOf } from '../../../src/crypto/index.ts';
import type { Streams } from '../../../src/epoch/ports.ts';
import { pullContent, serveContent } from '../../../src/epoch/pull.ts';
import { CHUNK_BYTES, type PeerId, StarlingError } from '../../../src/spec/index.ts';
import { decodeContentRequest, encodeContentIndex, encodeContentRequest } from '../../../src/wire/index.ts';

type Answer = (index: number | 'leaves', honest: () => Promise<Uint8Array>) => Promise<Uint8Array>;

const bytesOf = (size: number, seed = 7): Uint8Array => new Uint8Array(size).map((_, i) => ((i * seed) >> 3) ^ (i >> 18));

/** Holders that each have `content`, and answer it through their own `Answer`. */
function world(content: Uint8Array, holders: Record<PeerId, Answer>) {
  const asked: string[] = [];
  let outstanding = 0;
  let most = 0;
  const serve = serveContent({ get: async (root) => (root === contentOf(content).root ? content : undefined) });
  const streams: Pick<Streams, 'request'> = {
    request: async (peer, protocol, payload) => {
      assert.equal(protocol, 'content');
      const { index } = decodeContentRequest(payload);
      asked.push(`${peer} ${index}`);
      outstanding += 1;
      most = Math.max(most, outstanding);
      await Promise.resolve();
      try {
        return await (holders[peer] as Answer)(index, () => serve('us', payload));
      } finally {
        outstanding -= 1;
      }
    },
  };
  return { streams, asked, most: () => most, root: contentOf(content).root };
}

const honest: Answer = (_index, give) => give();
const gone: Answer = async () => {
  throw new StarlingError('UNREACHABLE', 'gone');
};
const options = { timeoutMs: 1_000 };
const codeOf = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;

describe('pulling content', () => {
  it('gives back the content of any size, from the index and each chunk once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES - 3), async (size) => {
        const content = bytesOf(size);
        const { streams, asked, root } = world(content, { a: honest });
        const pulled = await pullContent(streams, ['a'], root, size, options);
        assert.ok(Buffer.from(pulled).equals(content));
        const chunks = Math.ceil(size / CHUNK_BYTES);
        assert.deepEqual([...asked].sort(), size === 0 ? [] : [...Array.from({ length: chunks }, (_, i) => `a ${i}`), 'a leaves'].sort());
      }),
      { numRuns: 12 },
    );
  });

  it('keeps three requests outstanding and no more', async () => {
    const content = bytesOf(9 * CHUNK_BYTES);
    const { streams, most, root } = world(content, { a: honest });
    await pullContent(streams, ['a'], root, content.length, options);
    assert.equal(most(), 3);
  });

  it('goes on with the next holder from the chunk it had reached', async () => {
    const content = bytesOf(6 * CHUNK_BYTES);
    const breaks: Answer = (index, give) => (index === 3 ? gone(index, give) : give());
    const faults: string[] = [];
    const { streams, asked, root } = world(content, { a: breaks, b: honest });
    const onFault = (peer: PeerId, error: StarlingError) => void faults.push(`${peer} ${error.code}`);
    const pulled = await pullContent(streams, ['a', 'b'], root, content.length, { ...options, onFault });
    assert.ok(Buffer.from(pulled).equals(content));
    assert.deepEqual(faults, ['a UNREACHABLE']);
    assert.deepEqual(
      asked.filter((one) => one.startsWith('b')),
      ['b 3', 'b 4', 'b 5'],
    );
  });

  it('leaves a liar, naming it, whatever it lies about', async () => {
    const content = bytesOf(3 * CHUNK_BYTES + 10);
    const other = bytesOf(3 * CHUNK_BYTES + 10, 11);
    const lies: Record<string, Answer> = {
      leaves: async (index, give) => (index === 'leaves' ? encodeContentIndex(contentOf(other)) : give()),
      garbage: async (index, give) => (index === 'leaves' ? new Uint8Array([1, 2]) : give()),
      chunk: async (index, give) => (index === 1 ? other.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES) : give()),
      order: async (index, give) => (index === 0 ? content.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES) : give()),
      short: async (index, give) => (index === 3 ? (await give()).subarray(0, 9) : give()),
      empty: async (index, give) => (index === 2 ? new Uint8Array(0) : give()),
    };
    for (const [name, lie] of Object.entries(lies)) {
      const faults: StarlingError[] = [];
      const { streams, root } = world(content, { liar: lie, b: honest });
      const onFault = (_peer: PeerId, error: StarlingError) => void faults.push(error);
      const pulled = await pullContent(streams, ['liar', 'b'], root, content.length, { ...options, onFault });
      assert.ok(Buffer.from(pulled).equals(content), name);
      assert.deepEqual(
        faults.map((error) => [error.code, error.facts.peer]),
        [['HASH_MISMATCH', 'liar']],
        name,
      );
    }
  });

  it('blames the announcement, not the holder, for a wrong size', async () => {
    const content = bytesOf(2 * CHUNK_BYTES + 10);
    for (const announced of [content.length - 1, content.length + 1, CHUNK_BYTES, 4 * CHUNK_BYTES, 0]) {
      const faults: StarlingError[] = [];
      const { streams, root } = world(content, { a: honest, b: honest });
      const onFault = (_peer: PeerId, error: StarlingError) => void faults.push(error);
      await assert.rejects(pullContent(streams, ['a', 'b'], root, announced, { ...options, onFault }), codeOf('HASH_MISMATCH'));
      assert.deepEqual(faults, [], `${announced}`);
    }
  });

  it('says how far it came when no holder is left', async () => {
    const content = bytesOf(4 * CHUNK_BYTES);
    const { streams, root } = world(content, { a: gone, b: (index, give) => (index === 2 ? gone(index, give) : give()) });
    await assert.rejects(pullContent(streams, ['a', 'b'], root, content.length, options), (error: unknown) => {
      assert.ok(error instanceof StarlingError);
      assert.equal(error.code, 'NOT_FOUND');
      assert.match(error.message, /2 of 4 chunks/);
      assert.equal((error.cause as StarlingError).code, 'UNREACHABLE');
      return true;
    });
    await assert.rejects(pullContent(streams, [], root, content.length, options), codeOf('NOT_FOUND'));
  });

  it('ends when its caller gives up, without trying further holders', async () => {
    const content = bytesOf(4 * CHUNK_BYTES);
    const abort = new AbortController();
    const stops: Answer = async (index, give) => {
      if (index === 1) abort.abort(new Error('enough'));
      abort.signal.throwIfAborted();
      return await give();
    };
    const { streams, asked, root } = world(content, { a: stops, b: honest });
    await assert.rejects(pullContent(streams, ['a', 'b'], root, content.length, { ...options, signal: abort.signal }), /enough/);
    assert.ok(asked.every((one) => one.startsWith('a')));
  });
});

describe('serving content', () => {
  const content = bytesOf(CHUNK_BYTES + 1);
  const { root } = contentOf(content);

  it('reads content once for all its chunks, and forgets the oldest when it holds much', async () => {
    const big = Array.from({ length: 5 }, (_, i) => new Uint8Array(20 * 2 ** 20).fill(i));
    const roots = new Map(big.map((one) => [contentOf(one).root, one]));
    let reads = 0;
    const serve = serveContent({
      get: async (one) => {
        reads += 1;
        return roots.get(one);
      },
    });
    for (const one of roots.keys()) {
      await serve('p', encodeContentRequest({ root: one, index: 0 }));
      await serve('p', encodeContentRequest({ root: one, index: 79 }));
    }
    assert.equal(reads, 5);
    const [oldest] = roots.keys();
    const newest = [...roots.keys()].at(-1);
    await serve('p', encodeContentRequest({ root: newest as string, index: 'leaves' }));
    assert.equal(reads, 5);
    await serve('p', encodeContentRequest({ root: oldest as string, index: 'leaves' }));
    assert.equal(reads, 6);
  });

  it('says NOT_FOUND for what it lacks and MALFORMED for what is no request', async () => {
    const serve = serveContent({ get: async (one) => (one === root ? content : undefined) });
    await assert.rejects(serve('p', encodeContentRequest({ root: '0'.repeat(64), index: 0 })), codeOf('NOT_FOUND'));
    await assert.rejects(serve('p', encodeContentRequest({ root, index: 2 })), codeOf('NOT_FOUND'));
    await assert.rejects(serve('p', new Uint8Array([0xff])), codeOf('MALFORMED'));
  });
});
