import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { StarlingError } from '../../../src/spec/index.ts';
import { encode } from '../../../src/wire/cbor.ts';
import {
  CHALLENGE_ITEMS,
  type Challenge,
  challengeDigest,
  challengedItem,
  decodeChallenge,
  decodeChallengeAnswer,
  encodeChallenge,
  encodeChallengeAnswer,
} from '../../../src/wire/challenge.ts';

const nonce = new Uint8Array(16).fill(7);
const root = 'ab'.repeat(32);
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof StarlingError) return `${error.code} ${error.facts.field}`;
    throw error;
  }
  return 'taken';
};

describe('challenges on the wire', () => {
  it('come back as they were, within 128 bytes', () => {
    const kinds = fc.constantFrom(...(['entries', 'blocks', 'content'] as const));
    const any = kinds.chain((kind) =>
      fc.record({
        kind: fc.constant(kind),
        nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }),
        from: fc.integer({ min: 1, max: 2 ** 50 }),
        count: fc.integer({ min: 1, max: CHALLENGE_ITEMS[kind] }),
      }),
    );
    fc.assert(
      fc.property(any, ({ kind, nonce: drawn, from, count }) => {
        const question: Challenge = { nonce: drawn, kind, from, to: from + count, root: kind === 'content' ? root : null };
        const bytes = encodeChallenge(question);
        assert.ok(bytes.byteLength <= 128);
        const { nonce: back, ...rest } = decodeChallenge(bytes);
        assert.deepEqual([Buffer.from(back), rest], [Buffer.from(drawn), { kind, from, to: from + count, root: question.root }]);
      }),
    );
    for (const answer of [{ digest: root }, { unreadable: 12 }])
      assert.deepEqual(decodeChallengeAnswer(encodeChallengeAnswer(answer)), answer);
  });

  it('are refused by the name of what is wrong', () => {
    const one = { nonce, kind: 'entries', from: 4, to: 5, root: null } as const;
    const codes = [
      one,
      { ...one, to: 4 },
      { ...one, from: -1 },
      { ...one, kind: 'blocks' as const, from: 0 },
      { ...one, to: 4 + CHALLENGE_ITEMS.entries + 1 },
      { ...one, root },
      { ...one, kind: 'content' as const },
      { ...one, nonce: nonce.subarray(1) },
    ].map((question) => codeOf(() => decodeChallenge(encodeChallenge(question))));
    assert.deepEqual(codes, [
      'taken',
      'MALFORMED challenge.to',
      'MALFORMED challenge.from',
      'MALFORMED challenge.from',
      'BOUNDS_EXCEEDED challenge.to',
      'MALFORMED challenge.root',
      'MALFORMED challenge.root',
      'MALFORMED challenge.nonce',
    ]);
    assert.equal(
      codeOf(() => decodeChallenge(encode([nonce, 'keys', 0, 1, null]))),
      'MALFORMED challenge.kind',
    );
    assert.equal(
      codeOf(() => decodeChallengeAnswer(encode(new Uint8Array(31)))),
      'MALFORMED answer',
    );
    assert.equal(
      codeOf(() => decodeChallengeAnswer(encode(-1))),
      'MALFORMED answer',
    );
  });

  it('are answered by SHA-256 over each item under the nonce, and over those', () => {
    const sha = (...parts: readonly (string | Uint8Array)[]): Buffer => {
      const hash = createHash('sha256');
      for (const part of parts) hash.update(part);
      return hash.digest();
    };
    const items = [Uint8Array.of(1, 2, 3), new Uint8Array()];
    const expected = sha('starling/challenge/1\0', ...items.map((item) => sha('starling/challenge-item/1\0', nonce, item))).toString('hex');
    assert.equal(challengeDigest(items.map((item) => challengedItem(nonce, item))), expected);
  });
});
