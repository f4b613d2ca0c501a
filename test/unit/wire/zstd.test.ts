import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants, createZstdCompress, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compress, decompress } from '../../../src/wire/index.ts';

const zeros = new Uint8Array(300_000);

/** A frame without its content size, as a streaming writer makes it. */
async function streamed(content: Uint8Array, windowLog: number): Promise<Uint8Array> {
  const stream = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: windowLog } });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.write(content.subarray(0, content.length / 2));
  stream.flush();
  stream.end(content.subarray(content.length / 2));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

describe('zstd', () => {
  it('opens what it packed, and so does the plain library', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (content) => {
        const packed = compress(content);
        assert.deepEqual(decompress(packed, content.length), content);
        assert.deepEqual(new Uint8Array(zstdDecompressSync(packed)), content);
      }),
    );
    assert.deepEqual(decompress(compress(zeros, 19), zeros.length), zeros);
    assert.ok(compress(zeros).length < 100);
    assert.equal(decompress(compress(zeros), zeros.length).buffer.byteLength, zeros.length, 'alone in its memory');
  });

  it('refuses more than the bound, whether the frame states its size or not', async () => {
    assert.throws(() => decompress(compress(zeros), zeros.length - 1), { code: 'TOO_LARGE' });
    const frame = await streamed(zeros, 18);
    assert.deepEqual(decompress(frame, zeros.length), zeros);
    assert.throws(() => decompress(frame, zeros.length - 1), { code: 'TOO_LARGE' });
    assert.throws(() => decompress(compress(Uint8Array.of(1)), 0), { code: 'TOO_LARGE' });
  });

  it('refuses a window of more than 8 MiB: memory that a few bytes could claim', async () => {
    assert.throws(() => decompress(new Uint8Array(0), 10), { code: 'MALFORMED' });
    const frame = await streamed(zeros, 27);
    assert.throws(() => decompress(frame, zeros.length), { code: 'MALFORMED' });
  });

  it('refuses what is not one whole frame', () => {
    const packed = compress(Uint8Array.from({ length: 500 }, (_, i) => (i * i) % 256));
    assert.throws(() => decompress(packed.subarray(0, packed.length - 1), 500), { code: 'MALFORMED' });
    assert.throws(() => decompress(Buffer.concat([packed, Buffer.of(0)]), 500), { code: 'MALFORMED' });
    assert.throws(() => decompress(Buffer.concat([packed, packed]), 5000), { code: 'MALFORMED' });
    assert.throws(() => decompress(Buffer.from('this is no frame'), 500), { code: 'MALFORMED' });
  });

  it('refuses a frame that states less than it holds', () => {
    const packed = Buffer.from(compress(new Uint8Array(1000)));
    const at = packed.indexOf(Buffer.from([(1000 - 256) & 255, (1000 - 256) >> 8]), 4);
    packed.writeUInt16LE(900 - 256, at);
    assert.throws(() => decompress(packed, 5000), { code: 'MALFORMED' });
  });
});
