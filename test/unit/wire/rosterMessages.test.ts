import assert from 'node:assert/strict';
import {
  attestBytes,
  decodeRosterBundle,
  encodeRosterBundle,
  haveBytes,
  ROSTER_BUNDLE_MAX_BYTES,
  type RosterBundle,
  signMessage,
  stanceBytes,
  verifyMessage,
} from '../../../src/wire/index.ts';
import { alice, id } from './samples.ts';

const about = { epoch: 7, base: id(0x20), node: alice.fingerprint };
const have = signMessage(haveBytes, { ...about, seq: 1, ids: [id(1)], trainers: 2 }, alice);
const attest = signMessage(attestBytes, { ...about, ids: [id(1), id(2)] }, alice);
const stance = signMessage(
  stanceBytes,
  {
    ...about,
    seq: 4,
    option: id(9),
    optionIds: [id(1), id(2)],
    prefs: [
      [id(9), 65_535],
      [id(8), 0],
    ],
  },
  alice,
);
const bundle: RosterBundle = { haves: [have], attests: [attest], stances: [stance] };
const key = alice.ed25519PublicKey;
const malformed = { code: 'MALFORMED' };

describe('roster messages', () => {
  it('decode to what was encoded, and still verify', () => {
    const decoded = decodeRosterBundle(encodeRosterBundle(bundle));
    assert.deepEqual(decoded, bundle);
    for (const message of decoded.haves) assert.equal(verifyMessage(haveBytes, message, key), true);
    for (const message of decoded.attests) assert.equal(verifyMessage(attestBytes, message, key), true);
    for (const message of decoded.stances) assert.equal(verifyMessage(stanceBytes, message, key), true);
    const none = { haves: [], attests: [], stances: [] };
    assert.deepEqual(decodeRosterBundle(encodeRosterBundle(none)), none);
  });

  it('do not verify when any field is another', () => {
    for (const change of [{ epoch: 8 }, { base: id(1) }, { node: id(1) }, { ids: [id(1)] }])
      assert.equal(verifyMessage(attestBytes, { ...attest, ...change }, key), false);
    for (const change of [{ seq: 5 }, { option: id(8) }, { optionIds: [] }, { prefs: [] }])
      assert.equal(verifyMessage(stanceBytes, { ...stance, ...change }, key), false);
    for (const change of [{ seq: 2 }, { trainers: 1 }, { ids: [] }])
      assert.equal(verifyMessage(haveBytes, { ...have, ...change }, key), false);
    assert.equal(verifyMessage(attestBytes, attest, new Uint8Array(32).fill(7)), false);
  });

  it('are refused out of form', () => {
    const lies: RosterBundle[] = [
      { ...bundle, attests: [{ ...attest, ids: [id(2), id(1)] }] },
      { ...bundle, attests: [{ ...attest, signature: new Uint8Array(63) }] },
      { ...bundle, stances: [{ ...stance, prefs: [[id(9), 65_536]] }] },
      { ...bundle, stances: [{ ...stance, prefs: Array.from({ length: 9 }, () => [id(9), 1] as const) }] },
      { ...bundle, haves: [{ ...have, trainers: -1 }] },
    ];
    for (const lie of lies) assert.throws(() => decodeRosterBundle(encodeRosterBundle(lie)), malformed);
  });

  it('are bounded', () => {
    assert.throws(() => decodeRosterBundle(new Uint8Array(ROSTER_BUNDLE_MAX_BYTES + 1)), { code: 'TOO_LARGE' });
    const ids = Array.from({ length: 768 }, (_, i) => i.toString(16).padStart(64, '0'));
    const full = { haves: [], attests: [{ ...attest, ids }], stances: [] };
    assert.deepEqual(decodeRosterBundle(encodeRosterBundle(full)), full);
    assert.throws(
      () => decodeRosterBundle(encodeRosterBundle({ ...full, attests: [{ ...attest, ids: [...ids, 'ff'.repeat(32)] }] })),
      malformed,
    );
  });
});
