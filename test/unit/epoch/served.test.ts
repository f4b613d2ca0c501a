import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { chunkAt, contentOf, toHex } from '../../../src/crypto/index.ts';
import { indexInTurns, type ServedContent, serveContent } from '../../../src/epoch/served.ts';
import { CHUNK_BYTES, StarlingError } from '../../../src/spec/index.ts';
import { decodeContentIndex, decodeHeldChunks, encodeContentRequest } from '../../../src/wire/index.ts';

const codeOf = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;
const content = new Uint8Array(2 * CHUNK_BYTES + 1).map((_, i) => i >> 9);
const index = contentOf(content);
const { root } = index;
const ask = (chunk: number | 'leaves' | 'held', of = root) => encodeContentRequest({ root: of, index: chunk });

/** A source that counts what is read of it. */
function counted(source: Partial<ServedContent> = {}) {
  const reads = { indexes: 0, chunks: 0 };
  const serve = serveContent({
    index: async (one) => {
      reads.indexes += 1;
      return await (source.index?.(one) ?? (one === root ? index : undefined));
    },
    readChunk: async (one, i) => {
      reads.chunks += 1;
      return await (source.readChunk?.(one, i) ?? chunkAt(content, i));
    },
  });
  return { reads, serve };
}

describe('serving content', () => {
  it('reads the leaves once for all who ask, even at the same time, and of each chunk no more than the chunk', async () => {
    const { reads, serve } = counted();
    const answers = await Promise.all([serve('p', ask('leaves')), serve('q', ask('leaves')), serve('p', ask(2)), serve('q', ask(0))]);
    assert.deepEqual(decodeContentIndex(answers[0] as Uint8Array, root).leaves, index.leaves);
    assert.deepEqual(answers[0], answers[1]);
    assert.deepEqual(Buffer.from(answers[2] as Uint8Array), Buffer.from(content.subarray(2 * CHUNK_BYTES)));
    assert.deepEqual(reads, { indexes: 1, chunks: 2 });
  });

  it('keeps the leaves of a bounded number of contents, those asked for last', async () => {
    const { reads, serve } = counted({ index: async () => index });
    const roots = Array.from({ length: 200 }, (_, i) => toHex(new Uint8Array(32).fill(i)));
    for (const one of roots) {
      await serve('p', ask('leaves', one));
      await serve('p', ask('leaves', roots[0]));
    }
    assert.equal(reads.indexes, 200);
    await serve('p', ask('leaves', roots[1]));
    assert.equal(reads.indexes, 201);
  });

  it('says NOT_FOUND for what it lacks, looks again the next time, and MALFORMED for what is no request', async () => {
    let held = false;
    const { serve } = counted({ index: async () => (held ? index : undefined) });
    await assert.rejects(serve('p', ask(0)), codeOf('NOT_FOUND'));
    held = true;
    assert.equal((await serve('p', ask(0))).byteLength, CHUNK_BYTES);
    await assert.rejects(serve('p', ask(3)), codeOf('NOT_FOUND'));
    await assert.rejects(serve('p', new Uint8Array([0xff])), codeOf('MALFORMED'));
  });

  it('gives no chunk that has rotted since, or gone: it would be taken for a liar', async () => {
    let rotten: Uint8Array | undefined = new Uint8Array(CHUNK_BYTES);
    const { reads, serve } = counted({ readChunk: async () => rotten });
    await assert.rejects(serve('p', ask(1)), codeOf('DATA_CORRUPT'));
    await assert.rejects(serve('p', ask(1)), codeOf('DATA_CORRUPT'));
    assert.equal(reads.indexes, 2);
    rotten = undefined;
    const gone = serveContent({ index: async () => index, readChunk: async () => undefined });
    await assert.rejects(gone('p', ask(1)), codeOf('NOT_FOUND'));
  });

  it('says which chunks it has of content that is still coming', async () => {
    const held = new Set([0, 2]);
    const serve = serveContent({
      index: async () => index,
      readChunk: async (_root, i) => (held.has(i) ? chunkAt(content, i) : undefined),
      held: () => held,
    });
    assert.deepEqual(decodeContentIndex(await serve('p', ask('leaves')), root).held, held);
    await assert.rejects(serve('p', ask(1)), codeOf('NOT_FOUND'));
    held.add(1);
    assert.deepEqual(decodeHeldChunks(await serve('p', ask('held')), 3), held);
    assert.equal((await serve('p', ask(1))).byteLength, CHUNK_BYTES);
    const whole = counted();
    assert.equal(decodeHeldChunks(await whole.serve('p', ask('held')), 3), 'all');
  });

  it('tries again what failed', async () => {
    let works = false;
    const { serve } = counted({
      index: async () => {
        if (!works) throw new StarlingError('DATA_CORRUPT', 'rotten');
        return index;
      },
    });
    await assert.rejects(serve('p', ask(0)), codeOf('DATA_CORRUPT'));
    works = true;
    assert.ok(await serve('p', ask(0)));
  });

  it('hashes 40 MB in memory without keeping others waiting', async () => {
    const model = new Uint8Array(40_000_000).map((_, i) => i >> 12);
    const expected = contentOf(model);
    let turns = 0;
    let longestMs = 0;
    let sinceMs = performance.now();
    const clock = {
      after: (_delayMs: number, run: () => void) => {
        turns += 1;
        longestMs = Math.max(longestMs, performance.now() - sinceMs);
        setImmediate(() => {
          sinceMs = performance.now();
          run();
        });
        return { cancel: () => undefined };
      },
    };
    assert.deepEqual(await indexInTurns(clock, expected.root, model), expected);
    assert.equal(turns, 9);
    assert.ok(longestMs < 200, `${longestMs} ms in one turn`); // some 10 on an idle machine
  });
});
