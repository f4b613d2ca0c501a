import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CHUNK_BYTES, StarlingError, TRANSFER_PHASES } from '../../../src/spec/index.ts';
import {
  type AverageMessage,
  decodeAnswer,
  decodeAverage,
  encode,
  encodeAnswer,
  encodeAverage,
  type Finding,
  findingBytes,
  OPENINGS,
  signAttempt,
  signMessage,
  verifyMessage,
} from '../../../src/wire/index.ts';
import { alice, id } from './samples.ts';

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const hashes = fc.uniqueArray(hash, { maxLength: 5 }).map((list) => list.sort());
const bytes = fc.uint8Array({ maxLength: 300 });
const signature = fc.uint8Array({ minLength: 64, maxLength: 64 });
const lane = fc.nat(1);
const edge = fc.record({
  phase: fc.constantFrom(...TRANSFER_PHASES),
  from: hash,
  to: hash,
  chunk: fc.nat(1_000),
  reason: fc.constantFrom('silent', 'unanswered', 'BAD_SIGNATURE'),
});
const finding: fc.Arbitrary<Finding> = fc.record({
  epoch: fc.integer({ min: 1, max: 1_000 }),
  attempt: hash,
  node: hash,
  seq: fc.nat(),
  failure: fc.option(fc.record({ accused: fc.array(edge, { maxLength: 3 }), unreachable: hashes })),
  culprits: hashes,
  done: fc.option(hash),
  signature,
});
const attempt = fc.record({
  swarm: hash,
  epoch: fc.integer({ min: 1, max: 1_000 }),
  base: hash,
  number: fc.nat(900),
  roster: hashes,
  dropped: fc.constant([]),
  broken: fc.constant([]),
});
const anyMessage: fc.Arbitrary<AverageMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('words' as const),
    epoch: fc.integer({ min: 1, max: 1_000 }),
    base: hash,
    isFirst: fc.boolean(),
    words: fc.record({
      attempts: fc.array(attempt, { maxLength: 2 }),
      votes: fc.array(fc.record({ attempt: hash, voter: hash, signature }), { maxLength: 3 }),
      findings: fc.array(finding, { maxLength: 3 }),
    }),
  }),
  fc.record({ kind: fc.constant('chunk' as const), attempt: hash, lane, step: fc.nat(99), chunk: fc.nat(99), bytes, signature }),
  fc.record({ kind: fc.constant('waiting' as const), attempt: hash, lane }),
  fc.record({ kind: fc.constant('alarm' as const), attempt: hash }),
  fc.record({ kind: fc.constant('probe' as const), bytes }),
  fc.record({
    kind: fc.constant('open' as const),
    attempt: hash,
    what: fc.constantFrom(...OPENINGS),
    at: fc.array(fc.nat(2 ** 30), { maxLength: 4 }),
  }),
);

/** With ordinary prototypes all the way down, as what is decoded has. */
const message = anyMessage.map((one) => structuredClone(one));

const isRefused = (run: () => unknown): boolean => {
  try {
    run();
    return false;
  } catch (error) {
    return error instanceof StarlingError;
  }
};

describe('messages of a sum over streams', () => {
  it('come back as they went', () => {
    fc.assert(fc.property(message, (one) => assert.deepEqual(decodeAverage(encodeAverage(one)), one)));
  });

  it('are refused, with a typed error, where they are cut or altered beyond their form', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, by) => {
        const whole = encodeAverage(one);
        assert.ok(isRefused(() => decodeAverage(whole.subarray(0, at % whole.byteLength))));
        const altered = whole.slice();
        altered[at % whole.byteLength] = (altered[at % whole.byteLength] as number) ^ by;
        // What can still be read is another message: one value has one form.
        if (!isRefused(() => decodeAverage(altered))) assert.notDeepEqual(decodeAverage(altered), one);
      }),
    );
  });

  it('are bounded: a chunk, lanes, steps, what one node accuses', () => {
    const chunk = { kind: 'chunk', attempt: id(1), lane: 0, step: 0, chunk: 0, signature: new Uint8Array(64) } as const;
    assert.ok(decodeAverage(encodeAverage({ ...chunk, bytes: new Uint8Array(CHUNK_BYTES) })));
    assert.ok(isRefused(() => decodeAverage(encodeAverage({ ...chunk, bytes: new Uint8Array(CHUNK_BYTES + 1) }))));
    assert.ok(isRefused(() => decodeAverage(encodeAverage({ ...chunk, bytes: new Uint8Array(0), lane: 2 }))));
    assert.ok(isRefused(() => decodeAverage(encode([9, new Uint8Array(32)]))));
    assert.ok(isRefused(() => decodeAverage(encode(new Array(100_000).fill(0)))));
    assert.ok(isRefused(() => decodeAverage(new Uint8Array(600_000))));
  });

  it('are answered with one byte and what was asked for', () => {
    assert.deepEqual(decodeAnswer(encodeAnswer('taken', Uint8Array.of(1, 2))), { kind: 'taken', bytes: Uint8Array.of(1, 2) });
    assert.deepEqual(decodeAnswer(encodeAnswer('over')).kind, 'over');
    assert.ok(isRefused(() => decodeAnswer(new Uint8Array(0))));
    assert.ok(isRefused(() => decodeAnswer(Uint8Array.of(7))));
  });

  it('carry findings that only their node can sign, each word of them', () => {
    fc.assert(
      fc.property(finding, finding, (one, other) => {
        const { signature: _, ...body } = one;
        const signed = signMessage(findingBytes, { ...body, node: alice.fingerprint }, alice);
        assert.ok(verifyMessage(findingBytes, signed, alice.ed25519PublicKey));
        for (const key of ['epoch', 'attempt', 'seq', 'failure', 'culprits', 'done'] as const) {
          const changed = { ...signed, [key]: other[key] };
          const isSame = Buffer.compare(findingBytes(changed), findingBytes(signed)) === 0;
          assert.equal(verifyMessage(findingBytes, changed, alice.ed25519PublicKey), isSame, key);
        }
      }),
      { numRuns: 20 },
    );
    assert.ok(signAttempt({ swarm: id(1), epoch: 1, base: id(2), number: 0, roster: [], dropped: [], broken: [] }, alice));
  });
});
