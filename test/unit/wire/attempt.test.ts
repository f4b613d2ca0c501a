import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sis } from '../../../src/crypto/index.ts';
import { type Attempt, type Dropped, MAX_DROP_NAMES, type Opening, survivorsOf } from '../../../src/spec/index.ts';
import {
  attemptFields,
  attemptVoteFields,
  decodeOpening,
  encode,
  encodeOpening,
  readAttempt,
  readAttemptVote,
  signAttempt,
  verifyAttempt,
} from '../../../src/wire/index.ts';
import { alice, attempt, cbor, drop, id, refuses } from './samples.ts';

/** What comes off the wire for an attempt whose fields were changed. */
const read = (change: (fields: unknown[]) => void): Attempt => {
  const fields = [...attemptFields(attempt)];
  change(fields);
  return readAttempt(fields, 'attempt');
};
const bytes = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

describe('an attempt', () => {
  it('comes back as it was, whatever was dropped', () => {
    assert.deepEqual(readAttempt(attemptFields(attempt), 'attempt'), attempt);
    const evidence: Dropped = { id: id(0x41), why: 'evidence', by: [], at: null };
    const other = { ...attempt, number: 0, dropped: [evidence, drop], broken: [] };
    assert.deepEqual(readAttempt(attemptFields(other), 'attempt'), other);
    assert.deepEqual(survivorsOf(other), [id(0x43)]);
    assert.deepEqual(survivorsOf({ roster: [id(1)], dropped: [] }), [id(1)]);
  });

  it('has one form: what is out of order, twice there or not in the roster is refused', () => {
    const dropped = (attemptFields(attempt)[5] as unknown[][])[0] as unknown[];
    refuses(() => read((f) => (f[5] = [dropped, dropped])), 'MALFORMED', 'attempt.dropped[1].id');
    refuses(() => read((f) => (f[5] = [[3, ...dropped.slice(1)]])), 'MALFORMED', 'attempt.dropped[0].id');
    refuses(() => read((f) => (f[5] = [[1, 3, [], null]])), 'MALFORMED', 'attempt.dropped[0].why');
    refuses(() => read((f) => (f[5] = [[1, 1, [bytes(3), bytes(2)], null]])), 'MALFORMED', 'attempt.dropped[0].by[1]');
    refuses(() => read((f) => (f[5] = [[1, 1, [], [4, bytes(1), bytes(2)]]])), 'MALFORMED', 'attempt.dropped[0].at.phase');
    refuses(() => read((f) => (f[6] = [[bytes(2), bytes(1)]])), 'MALFORMED', 'attempt.broken[0]');
    refuses(
      () =>
        read(
          (f) =>
            (f[6] = [
              [bytes(1), bytes(3)],
              [bytes(1), bytes(2)],
            ]),
        ),
      'MALFORMED',
      'attempt.broken[1]',
    );
    refuses(() => read((f) => (f[3] = -1)), 'MALFORMED', 'attempt.number');
  });

  it('names no more members beside its drops than a block has room for', () => {
    const names = (count: number) => Array.from({ length: count }, (_, i) => bytes(i));
    const drops = (count: number, at: unknown) => [[0, 1, names(count), at]];
    assert.equal(read((f) => (f[5] = drops(MAX_DROP_NAMES, null))).dropped[0]?.by.length, MAX_DROP_NAMES);
    refuses(() => read((f) => (f[5] = drops(MAX_DROP_NAMES - 1, [1, bytes(1), bytes(2)]))), 'MALFORMED', 'attempt.dropped');
  });

  it('is signed as a whole, and a vote holds for nothing else', () => {
    const vote = signAttempt(attempt, alice);
    assert.equal(vote.voter, alice.fingerprint);
    assert.deepEqual(readAttemptVote(attemptVoteFields(vote), 'vote'), vote);
    assert.equal(verifyAttempt(attempt, vote, alice.ed25519PublicKey), true);
    for (const other of [
      { ...attempt, number: 3 },
      { ...attempt, swarm: id(1) },
      { ...attempt, dropped: [] },
      { ...attempt, broken: [] },
    ])
      assert.equal(verifyAttempt(other, vote, alice.ed25519PublicKey), false);
    assert.equal(verifyAttempt(attempt, { ...vote, attempt: id(9) }, alice.ed25519PublicKey), false);
    assert.equal(verifyAttempt(attempt, vote, new Uint8Array(32).fill(7)), false);
  });
});

describe('an opening', () => {
  const rhoSum = Int32Array.from({ length: sis.RHO_ROW_LENGTH }, (_, i) => (i % 2 === 0 ? i : -i) * 1_000);
  const opening: Opening = {
    attempt,
    rhoSum,
    commitments: [1, 2].map((byte) => new Uint8Array(sis.COMMITMENT_BYTES).fill(byte)),
  };

  it('is the attempt, the sum of rho as int32 little-endian, and the commitments in their order', () => {
    const plain = Buffer.alloc(4 * rhoSum.length);
    for (const [i, digit] of rhoSum.entries()) plain.writeInt32LE(digit, 4 * i);
    const expected = cbor([attemptFields(attempt), plain, Buffer.concat(opening.commitments)]);
    assert.deepEqual(Buffer.from(encodeOpening(opening)), expected);
    assert.deepEqual(decodeOpening(encodeOpening(opening)), opening);
    assert.deepEqual(decodeOpening(encodeOpening({ ...opening, commitments: [] })).commitments, []);
  });

  it('of another length is refused', () => {
    const fields = (rho: number, commitments: number) => encode([attemptFields(attempt), new Uint8Array(rho), new Uint8Array(commitments)]);
    refuses(() => decodeOpening(fields(65_535, 16_384)), 'MALFORMED', 'opening.rhoSum');
    refuses(() => decodeOpening(fields(65_536, 16_383)), 'MALFORMED', 'opening.commitments');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (junk) => {
        assert.throws(() => decodeOpening(junk));
      }),
    );
  });
});
