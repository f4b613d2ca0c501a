import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../../../src/crypto/index.ts';
import { Random } from '../../../src/learning/random.ts';
import { StarlingError, type SwarmState } from '../../../src/spec/index.ts';
import { decodeState, encodeState, initialState, reduce, stateRoot } from '../../../src/state/index.ts';
import { decode, encode } from '../../../src/wire/index.ts';
import { SWARM } from '../ledger/entries.ts';
import { ballot, EMPTY, type Given, genesisOf, inviteBy, joins, says, stepOf, votedTwice } from './world.ts';

/** Who signs what, made once: signatures cost a millisecond. */
const invites = [0, 1].map((issuer) => inviteBy(issuer, { vote: issuer === 0, uses: 2, expiresMs: 10_000 }));
const person = fc.nat(7);
const given: fc.Arbitrary<Given> = fc.record({
  cut: fc.array(
    fc.oneof(
      fc.tuple(person, fc.option(fc.constantFrom(...invites))).map(([n, invite]) => joins(n, invite)),
      fc.tuple(person, fc.constantFrom('away' as const, 'leave' as const, 'resume' as const)).map(([n, action]) => says(n, action)),
      person.map((n) => ballot(n, 'restore', null, 0)),
    ),
    { maxLength: 6 },
  ),
  by: fc.subarray([0, 1, 2, 3, 4, 5]),
  verdicts: fc.array(fc.tuple(person, fc.boolean()), { maxLength: 5 }),
  evidence: fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: person.map((n) => [votedTwice(n)]) }),
  forked: fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: person.map((n) => [n]) }),
});
/** After any steps of any swarm. */
const anyState = fc
  .record({
    founders: fc.constantFrom([0], [0, 1, 2], [0, 1, 2, 3, 4, 5]),
    voting: fc.constantFrom('invited' as const, 'open' as const),
    steps: fc.array(given, { maxLength: 8 }),
  })
  .map(({ founders, voting, steps }): SwarmState => {
    const genesis = genesisOf(founders, { voting });
    let state = initialState(genesis, SWARM, EMPTY);
    for (const one of steps) state = reduce(genesis, SWARM, state, stepOf(state, one));
    return state;
  });

/** A state with members, a motion, invites and what a member may have. */
function busy(): SwarmState {
  const genesis = genesisOf([0, 1, 2, 3]);
  const steps: Given[] = [
    { cut: [joins(4, invites[0] ?? null), ballot(0, 'restore', null, 0)], by: [0, 1] },
    { by: [0, 1, 4], evidence: [votedTwice(2)] },
  ];
  return steps.reduce((state, step) => reduce(genesis, SWARM, state, stepOf(state, step)), initialState(genesis, SWARM, EMPTY));
}

describe('a state as bytes', () => {
  it('is the same state again, after any steps', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        assert.deepEqual(decodeState(encodeState(state), stateRoot(state)), state);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused with any bit flipped that the root covers; the decision is for the caller to compare', function () {
    this.timeout(20_000);
    const state = busy();
    assert.ok(state.motions.length > 0 && state.invites.length > 0 && state.members.length > 4);
    const [bytes, root] = [encodeState(state), stateRoot(state)];
    const at = Buffer.from(bytes).indexOf(Buffer.from(state.decision, 'hex'));
    const random = Random.from('state flips');
    // Every bit but those of the keys, and of those 2,000.
    const keysAt = Buffer.from(bytes).indexOf(Buffer.from((state.members[0] as SwarmState['members'][0]).mldsaPublicKey));
    const bits = [
      ...Array(8 * keysAt).keys(),
      ...Array.from({ length: 2_000 }, () => 8 * keysAt + random.below(8 * (bytes.length - keysAt))),
    ];
    for (const bit of bits) {
      const altered = bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      try {
        const read = decodeState(altered, root);
        assert.ok(bit >> 3 >= at && bit >> 3 < at + 32, `bit ${bit} changes nothing`);
        assert.deepEqual({ ...read, decision: state.decision }, state);
        assert.notEqual(read.decision, state.decision);
      } catch (error) {
        assert.ok(error instanceof StarlingError, String(error));
      }
    }
  });

  it('is refused with leaves of its own root that are left out, doubled, or under another root', () => {
    const state = busy();
    const [v, decision, leaves, keys] = decode(encodeState(state), 'state', 10 ** 6) as [number, Uint8Array, Uint8Array[], Uint8Array[][]];
    const refused = (parts: readonly unknown[], code: RegExp, root = stateRoot(state)) =>
      assert.throws(() => decodeState(encode(parts), root), { code });
    refused([v, decision, leaves.slice(1), keys], /HASH_MISMATCH/);
    refused([v, decision, [...leaves, leaves[0]], keys], /MALFORMED|TOO_LARGE|BOUNDS/);
    refused([v, decision, leaves.toReversed(), keys], /HASH_MISMATCH/);
    refused([v, decision, leaves, keys.slice(1)], /HASH_MISMATCH|MALFORMED/);
    refused([v, decision, leaves, [...keys, keys[0]]], /MALFORMED/);
    refused([v, decision, leaves, keys.toReversed()], /HASH_MISMATCH/);
    refused([2, decision, leaves, keys], /MALFORMED/);
    refused([v, decision, leaves, keys], /HASH_MISMATCH/, toHex(new Uint8Array(32)));
  });

  it('is refused before it is read where it has more items than any state', () => {
    const state = busy();
    const [v, decision, leaves] = decode(encodeState(state), 'state', 10 ** 6) as [number, Uint8Array, Uint8Array[]];
    const many = encode([v, decision, leaves, Array.from({ length: 200_000 }, () => [])]);
    assert.throws(() => decodeState(many, stateRoot(state)), { code: 'TOO_LARGE' });
  });
});
