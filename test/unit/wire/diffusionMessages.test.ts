import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CHUNK_BYTES } from '../../../src/spec/index.ts';
import { encode } from '../../../src/wire/cbor.ts';
import {
  DIFFUSION_MAX_BYTES,
  decodeDiffusionAnswer,
  decodeDiffusionOffer,
  encodeDiffusionAnswer,
  encodeDiffusionOffer,
} from '../../../src/wire/diffusionMessages.ts';

const base = 'ab'.repeat(32);
const values = new Uint8Array(8).fill(3);
const offer = { base, piece: 1, seq: 2, round: 3, degree: 4, values };

describe('messages of diffusion', () => {
  it('come back as they were, a full piece within the bound of a message', () => {
    const end = fc
      .tuple(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 0, max: 40 }))
      .map(([degree, n]) => ({ degree, values: Uint8Array.from({ length: 4 * n }, (_, k) => k) }));
    const count = fc.integer({ min: 1, max: 2 ** 48 });
    fc.assert(
      fc.property(count, count, fc.integer({ min: 0, max: 4_095 }), end, fc.option(end), (seq, round, piece, one, other) => {
        const sent = { base, piece, seq, round, ...one };
        assert.deepEqual(decodeDiffusionOffer(encodeDiffusionOffer(sent)), sent);
        const answer = { seq, round, end: other };
        assert.deepEqual(decodeDiffusionAnswer(encodeDiffusionAnswer(answer)), answer);
      }),
    );
    const full = { ...offer, piece: 4_095, seq: 2 ** 48, round: 2 ** 48, degree: 64, values: new Uint8Array(CHUNK_BYTES) };
    assert.ok(encodeDiffusionOffer(full).byteLength <= DIFFUSION_MAX_BYTES);
    assert.deepEqual(decodeDiffusionOffer(encodeDiffusionOffer(full)), full);
  });

  it('are refused by the name of what is wrong', () => {
    const refused = (change: Partial<typeof offer>, field: string): void => {
      assert.throws(() => decodeDiffusionOffer(encodeDiffusionOffer({ ...offer, ...change })), { code: 'MALFORMED', facts: { field } });
    };
    refused({ piece: 4_096 }, 'offer.piece');
    refused({ seq: 0 }, 'offer.seq');
    refused({ round: 2 ** 49 }, 'offer.round');
    refused({ degree: 0 }, 'offer.degree');
    refused({ degree: 65 }, 'offer.degree');
    refused({ values: values.subarray(1) }, 'offer.values');
    assert.throws(() => decodeDiffusionOffer(encode([1, 2])), { code: 'MALFORMED' });
    assert.throws(() => decodeDiffusionOffer(new Uint8Array(DIFFUSION_MAX_BYTES + 1)), { code: 'TOO_LARGE' });
    assert.throws(() => decodeDiffusionAnswer(encode([1, 2, [0, values]])), { code: 'MALFORMED', facts: { field: 'answer.end.degree' } });
    assert.throws(() => decodeDiffusionAnswer(encode([1, 2, [1, values.subarray(3)]])), { code: 'MALFORMED' });
  });
});
