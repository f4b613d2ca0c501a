import assert from 'node:assert/strict';
import * as dagCbor from '@ipld/dag-cbor';
import fc from 'fast-check';
import { toHex } from '../../../src/crypto/index.ts';
import { CHUNK_KIND, ChunkRoom, readChunk } from '../../../src/wire/averageChunk.ts';
import { decodeAverage, encodeAverage } from '../../../src/wire/index.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const number = fc.oneof(fc.nat(30), fc.constantFrom(23, 24, 255, 256, 65_535, 65_536, 2 ** 24), fc.nat(2 ** 24));
const body = fc.record({
  attempt: bytes(32).map(toHex),
  lane: fc.nat(1),
  step: fc.nat(300),
  chunk: number,
  signature: bytes(64),
});
const length = fc.oneof(fc.nat(300), fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 262_144));

describe('a chunk as a message', () => {
  it('is in one room after another what a general encoder writes, and comes back from any place in memory', () => {
    const room = new ChunkRoom();
    fc.assert(
      fc.property(body, length, fc.nat(255), fc.nat(7), (fields, size, fill, before) => {
        const payload = room.payload(size);
        assert.equal(payload.byteOffset % 4, 0);
        payload.fill(fill);
        const sealed = room.seal(fields, size);
        const { attempt, lane, step, chunk, signature } = fields;
        const general = dagCbor.encode([CHUNK_KIND, Buffer.from(attempt, 'hex'), lane, step, chunk, payload, signature]);
        assert.equal(Buffer.compare(sealed, general), 0);
        assert.equal(Buffer.compare(sealed, encodeAverage({ kind: 'chunk', ...fields, bytes: payload })), 0);
        const shifted = new Uint8Array(before + sealed.byteLength);
        shifted.set(sealed, before);
        const read = readChunk(shifted.subarray(before));
        assert.deepEqual({ ...read, bytes: undefined }, { kind: 'chunk', ...fields, bytes: undefined });
        assert.equal(Buffer.compare(read?.bytes as Uint8Array, payload), 0);
      }),
      { numRuns: 60 },
    );
  });

  it('that is cut, longer, bent or not in its shortest form is told by the general decoder, never read otherwise', () => {
    const room = new ChunkRoom();
    const bend = fc.oneof(
      fc.record({ flip: fc.nat(70 * 8) }),
      fc.record({ cut: fc.integer({ min: 1, max: 200 }) }),
      fc.constant({ longer: true }),
    );
    fc.assert(
      fc.property(body, fc.nat(40), bend, (fields, size, how) => {
        room.payload(size).fill(7);
        const sealed = new Uint8Array(room.seal(fields, size));
        let bent = sealed;
        if ('flip' in how)
          bent[Math.min(bent.length - 1, how.flip >> 3)] =
            (bent[Math.min(bent.length - 1, how.flip >> 3)] as number) ^ (1 << (how.flip & 7));
        else if ('cut' in how) bent = sealed.subarray(0, Math.max(0, sealed.length - how.cut));
        else bent = Uint8Array.of(...sealed, 0);
        const read = readChunk(bent);
        // Whatever is read is what was written: the same bytes come out again.
        if (read !== undefined) assert.equal(Buffer.compare(encodeAverage(read), bent), 0);
        else assert.throws(() => decodeAverage(bent));
      }),
      { numRuns: 1_000 },
    );
    const long = [0x87, 0x18, CHUNK_KIND];
    room.payload(1);
    assert.equal(
      readChunk(
        Uint8Array.of(
          ...long,
          ...room.seal({ attempt: 'a'.repeat(64), lane: 0, step: 0, chunk: 0, signature: new Uint8Array(64) }, 1).subarray(2),
        ),
      ),
      undefined,
    );
  });
});
