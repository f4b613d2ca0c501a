/** What a signature or a hash covers, it covers to the last bit, and what refuses a damaged message says so in our terms. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { StarlingError } from '../../../src/spec/index.ts';
import {
  decodeBeat,
  decodeBlock,
  decodeBlockRecord,
  decodeBlocksAnswer,
  decodeInviteToken,
  decodeProposal,
  decodeQuorum,
  decodeVote,
  decodeVotesBundle,
  decodeVotesMessage,
  encodeBeat,
  encodeBlock,
  encodeBlockRecord,
  encodeBlocksAnswer,
  encodeInviteToken,
  encodeProposal,
  encodeQuorum,
  encodeVote,
  encodeVotesBundle,
  openCheckpoint,
  signCheckpoint,
  verifyBeat,
  verifyCheckpoint,
  verifyInvite,
  verifyProposal,
  verifyVote,
} from '../../../src/wire/index.ts';
import { beat, block, checkpoint, invite, proposal, quorum, record, reproposal, SWARM, vote } from './finalitySamples.ts';
import { alice } from './samples.ts';

const key = alice.ed25519PublicKey;
const ownVotes = quorum({}, [alice.fingerprint]);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);
const votesOf = ({ votes, ...place }: typeof ownVotes) => votes.map((one) => ({ ...place, ...one }));

/** Bytes, and whether what is read from them still passes for the original. */
const kinds: readonly { name: string; bytes: Uint8Array; passes: (altered: Uint8Array) => boolean; sampled?: boolean }[] = [
  { name: 'vote', bytes: encodeVote(vote()), passes: (a) => verifyVote(SWARM, decodeVote(a), key) },
  { name: 'vote for none', bytes: encodeVote(vote({ block: null })), passes: (a) => verifyVote(SWARM, decodeVote(a), key) },
  { name: 'beat', bytes: encodeBeat(beat), passes: (a) => verifyBeat(SWARM, decodeBeat(a), key) },
  { name: 'block', bytes: encodeBlock(block), passes: (a) => decodeBlock(a).hash === block.hash },
  {
    name: 'certificate',
    bytes: encodeQuorum(ownVotes),
    passes: (a) => votesOf(decodeQuorum(a)).every((one) => verifyVote(SWARM, one, key)) && decodeQuorum(a).votes.length === 1,
  },
  {
    name: 'block record',
    bytes: encodeBlockRecord({ block, certificate: ownVotes }),
    passes: (a) => votesOf(decodeBlockRecord(a).certificate).every((one) => verifyVote(SWARM, one, key)),
  },
  { name: 'proposal', bytes: encodeProposal(proposal), passes: (a) => verifyProposal(SWARM, decodeProposal(a), alice), sampled: true },
  {
    name: 'invite',
    bytes: bytes(encodeInviteToken(invite)),
    passes: (a) => verifyInvite(decodeInviteToken(text(a)), alice),
    sampled: true,
  },
  {
    name: 'checkpoint',
    bytes: bytes(signCheckpoint(checkpoint, alice)),
    passes: (a) => verifyCheckpoint(openCheckpoint(text(a)), alice),
    sampled: true,
  },
];

/** False when it is refused, which only a StarlingError may do. */
function accepts(run: () => boolean): boolean {
  try {
    return run();
  } catch (e) {
    assert.ok(e instanceof StarlingError, String(e));
    return false;
  }
}

describe('a flipped bit', () => {
  for (const { name, bytes: good, passes, sampled } of kinds)
    it(`in a ${name} is found`, () => {
      assert.equal(
        accepts(() => passes(good)),
        true,
      );
      const flips = sampled === true ? fc.sample(fc.nat(8 * good.length - 1), { numRuns: 600, seed: 1 }) : Array(8 * good.length).keys();
      for (const bit of flips) {
        const altered = good.with(bit >> 3, (good[bit >> 3] as number) ^ (1 << (bit & 7)));
        assert.equal(
          accepts(() => passes(altered)),
          false,
          `bit ${bit} of ${name}`,
        );
      }
    });
});

describe('decoders', () => {
  const proposals = [encodeProposal(proposal), encodeProposal(reproposal)];
  const bundle = encodeVotesBundle([
    { kind: 'vote', vote: vote() },
    { kind: 'commit', certificate: quorum() },
    { kind: 'beat', beat },
  ]);
  const answer = encodeBlocksAnswer({ head: 7, base: 3, records: [{ record, header: null }] });
  const decoders = [
    decodeVote,
    decodeQuorum,
    decodeBlock,
    decodeBlockRecord,
    decodeProposal,
    decodeBeat,
    decodeVotesMessage,
    decodeVotesBundle,
    decodeBlocksAnswer,
    (a: Uint8Array) => openCheckpoint(text(a)),
    (a: Uint8Array) => decodeInviteToken(text(a)),
  ];
  const samples = [...kinds.map((kind) => kind.bytes), ...proposals, bundle, answer];

  it('throw nothing but typed errors, whatever bytes they get', () => {
    const damaged = fc
      .record({ sample: fc.constantFrom(...samples), at: fc.nat(), drop: fc.nat(40), insert: fc.uint8Array({ maxLength: 40 }) })
      .map(({ sample, at, drop, insert }) => {
        const start = at % sample.length;
        return Buffer.concat([sample.subarray(0, start), insert, sample.subarray(start + drop)]);
      });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 300 })), fc.constantFrom(...decoders), (input, decodeIt) => {
        accepts(() => decodeIt(input) !== undefined);
      }),
      { numRuns: 1_500 },
    );
  });
});
