import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeFrame, FRAME_KINDS, type Frame, FrameReader } from '../../../src/network/frames.ts';
import { StarlingError } from '../../../src/spec/index.ts';

const MAX = 1_000;
const frame = fc.record({
  kind: fc.constantFrom(...FRAME_KINDS),
  id: fc.nat({ max: 0xffff_ffff }),
  payload: fc.uint8Array({ maxLength: MAX - 5 }),
});
const violation = (error: unknown) => error instanceof StarlingError && error.code === 'PROTOCOL_VIOLATION';

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
        const read = cut(Buffer.concat(frames.map(encodeFrame)), lengths).flatMap((piece) => reader.push(piece));
        assert.deepEqual(
          read.map((one) => ({ ...one, payload: [...one.payload] })),
          frames.map((one) => ({ ...one, payload: [...one.payload] })),
        );
      }),
    );
  });

  it('have the layout that is written down', () => {
    const bytes = encodeFrame({ kind: 'response', id: 0x01020304, payload: new Uint8Array([0xaa, 0xbb]) });
    assert.equal(Buffer.from(bytes).toString('hex'), '00000007' + '01' + '01020304' + 'aabb');
  });

  it('own their bytes: what the transport does with its buffer later does not change them', () => {
    const wire = Buffer.from(encodeFrame({ kind: 'notify', id: 0, payload: new Uint8Array([1, 2, 3]) }));
    const [read] = new FrameReader(MAX).push(wire) as [Frame];
    wire.fill(0);
    assert.deepEqual(read.payload, new Uint8Array([1, 2, 3]));
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
