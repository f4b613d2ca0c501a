import assert from 'node:assert/strict';
import { sis } from '../../../../src/crypto/index.ts';
import { chunkOf, pullSums } from '../../../../src/epoch/exchange/adopt.ts';
import { shapeOf } from '../../../../src/epoch/exchange/plans.ts';
import type { Sums } from '../../../../src/epoch/exchange/work.ts';
import type { ExchangeWorld } from '../../../../src/epoch/exchange/world.ts';
import { systemClock } from '../../../../src/node/random.ts';
import { QMAX } from '../../../../src/spec/index.ts';
import { decodeAverage, encodeAnswer } from '../../../../src/wire/index.ts';

const ATTEMPT = 'ab'.repeat(32);
/** More than five chunks of the narrowest integers. */
const ELEMENTS = 1_400_001;

describe('a sum that somebody else holds', () => {
  const cases = [
    { dtype: 'int8', weights: [1_000], bytes: 1 },
    { dtype: 'int16', weights: [65_536], bytes: 2 },
    { dtype: 'int8', weights: [512, 512, 1_024], bytes: 2 },
    { dtype: 'int16', weights: [3, 0, 5], bytes: 3 },
    { dtype: 'int16', weights: [40_000, 25_001], bytes: 4 },
  ] as const;
  for (const { dtype, weights, bytes } of cases)
    it(`of ${dtype} and weights ${weights} takes ${bytes} a value, and arrives as it is`, async () => {
      const shape = shapeOf({ updateDtype: dtype }, ELEMENTS, weights);
      const total = weights.reduce((a: number, b: number) => a + b, 0);
      // Multiples of what the weights have in common, up to the largest of either sign.
      const sumOf = (length: number, qmax: number) => {
        const most = (total / shape.unit) * qmax;
        return Int32Array.from({ length }, (_, i) => (((i * 7_919) % (2 * most + 1)) - most) * shape.unit);
      };
      const held: Sums = { rhoSum: sumOf(sis.RHO_ROW_LENGTH, sis.RHO_DIGIT_BOUND), sum: sumOf(ELEMENTS, QMAX[dtype]) };
      let [sent, spoilt] = [0, (_lane: number, _index: number, chunk: Uint8Array) => chunk];
      const world = {
        clock: systemClock,
        peerOf: () => 'peer',
        streams: {
          request: async (_peer: string, _protocol: string, payload: Uint8Array) => {
            const message = decodeAverage(payload);
            assert.ok(message.kind === 'open' && message.what === 'sum');
            const chunk = chunkOf(held, shape, message.at) ?? assert.fail('it is asked for what is not there');
            const [lane, index] = message.at as [number, number];
            if (lane === 1) sent += chunk.byteLength;
            return encodeAnswer('taken', spoilt(lane, index, chunk));
          },
        },
      } as unknown as ExchangeWorld;
      const pull = () => pullSums(world, 'holder', ATTEMPT, shape, new AbortController().signal);
      const pulled = await pull();
      assert.ok(pulled !== undefined);
      assert.ok(Buffer.from(pulled.sum.buffer).equals(Buffer.from(held.sum.buffer)));
      assert.deepEqual(pulled.rhoSum, held.rhoSum);
      assert.equal(sent, bytes * ELEMENTS);

      spoilt = (lane, index, chunk) => (lane === 1 && index === 1 ? chunk.subarray(bytes) : chunk);
      assert.equal(await pull(), undefined, 'a chunk too short');
      // The lowest value of two's complement is beyond every bound.
      const lowest = (chunk: Uint8Array) => chunk.with(bytes - 1, 0x80).fill(0, 0, bytes - 1);
      spoilt = (lane, index, chunk) => (lane === 1 && index === 1 ? lowest(chunk) : chunk);
      assert.equal(await pull(), undefined, 'a value that no sum has');
      for (const at of [
        [1, 2 ** 30],
        [0, 1_000],
        [1, -1],
      ])
        assert.equal(chunkOf(held, shape, at), undefined, `${at}`);
    });
});
