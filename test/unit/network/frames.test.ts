import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeFrame, FRAME_KINDS, type Frame, FrameReader, frameBytes, piecesOf } from '../../../src/network/frames.ts';
import { CHUNK_BYTES, StarlingError } from '../../../src/spec/index.ts';

const MAX = 1_000;
const frame = fc.record({
  kind: fc.constantFrom(...FRAME_KINDS),
  id: fc.nat({ max: 0xffff_ffff }),
  payload: fc.uint8Array({ maxLength: MAX - 5 }),
});
const violation = (error: unknown) => error instanceof StarlingError && error.code === 'PROTOCOL_VIOLATION';

const wireOf = (frame: Frame): Buffer => Buffer.concat(encodeFrame(frame));

/** `bytes` cut at the given places, modulo what is left. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  pieces.push(bytes.subarray(at));
  return pieces;
}

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat({ max: 400 })), (frames, lengths) => {
        const reader = new FrameReader(MAX);
        const read = cut(Buffer.concat(frames.map(wireOf)), lengths).flatMap((piece) => reader.push(piece));
        assert.deepEqual(
          read.map((one) => ({ ...one, payload: [...one.payload] })),
          frames.map((one) => ({ ...one, payload: [...one.payload] })),
        );
      }),
    );
  });

  it('have the layout that is written down', () => {
    const bytes = wireOf({ kind: 'response', id: 0x01020304, payload: new Uint8Array([0xaa, 0xbb]) });
    assert.equal(bytes.toString('hex'), '00000007' + '01' + '01020304' + 'aabb');
  });

  it('own their bytes: what the transport does with its buffer later does not change them', () => {
    const wire = wireOf({ kind: 'notify', id: 0, payload: new Uint8Array([1, 2, 3]) });
    const [read] = new FrameReader(MAX).push(wire) as [Frame];
    wire.fill(0);
    assert.deepEqual(read.payload, new Uint8Array([1, 2, 3]));
  });

  it('of a chunk are sent without a copy of it, and come whole', () => {
    const payload = new Uint8Array(CHUNK_BYTES).map((_, i) => Math.imul(i, 0x9e37_79b1) >> 24);
    const frame: Frame = { kind: 'request', id: 7, payload };
    const pieces = encodeFrame(frame);
    assert.equal(pieces.at(-1)?.buffer, payload.buffer);
    assert.equal(
      pieces.reduce((sum, { byteLength }) => sum + byteLength, 0),
      frameBytes(frame),
    );
    const reader = new FrameReader(CHUNK_BYTES + 5);
    assert.deepEqual(
      pieces.flatMap((piece) => reader.push(piece)),
      [frame],
    );
  });

  it('hold what is announced, however small the pieces: a peer cannot make a node keep a view a byte', () => {
    const wire = wireOf({ kind: 'request', id: 1, payload: new Uint8Array(MAX - 5).fill(3) });
    const reader = new FrameReader(MAX);
    const piece = new Uint8Array(1);
    const read = [...wire].flatMap((byte) => {
      piece[0] = byte; // the same memory each time: nothing of it may be kept
      return reader.push(piece);
    });
    assert.deepEqual(read, [{ kind: 'request', id: 1, payload: new Uint8Array(MAX - 5).fill(3) }]);
  });

  it('are read from a stream of either kind of data', () => {
    const bytes = new Uint8Array([1, 2]);
    assert.deepEqual([...piecesOf(bytes)], [bytes]);
    assert.deepEqual([...piecesOf([bytes, bytes])], [bytes, bytes]);
  });

  it('are refused by their length before their body comes, and by an unknown kind', () => {
    const announce = (length: number) => {
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(length);
      return prefix;
    };
    for (const length of [0, 4, MAX + 1, 2 ** 32 - 1]) assert.throws(() => new FrameReader(MAX).push(announce(length)), violation);
    assert.deepEqual(new FrameReader(MAX).push(announce(MAX)), []);
    assert.throws(() => new FrameReader(MAX).push(new Uint8Array([0, 0, 0, 5, FRAME_KINDS.length, 0, 0, 0, 0])), violation);
  });
});
