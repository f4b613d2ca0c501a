import { ED25519_SIGNATURE_BYTES, type Identity, verifyEd25519 } from '../crypto/index.ts';
import { KIB, MAX_ROUNDS, MAX_VOTERS, type QuorumCertificate, type SwarmId, type Vote, type VoteBody } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { hashBytes, malformed, readBytes, readCode, readHash, readInt, readList, readNullable, readTuple } from './fields.ts';
import { STEPS, voteBytes, voteFields } from './signBytes/index.ts';

/** Bytes: 150 at most, and room. */
const VOTE_MAX_BYTES = 256;
/** Bytes: MAX_VOTERS times 101, and what they voted for. */
export const QUORUM_MAX_BYTES = 32 * KIB;

/** `body.voter` is the identity's. What is signed MUST be on disk before it is sent (PROTOCOL section 7). */
export const signVote = (swarm: SwarmId, body: VoteBody, identity: Identity): Vote => ({
  ...body,
  signature: identity.signEd25519(voteBytes(swarm, body)),
});

/** True if the holder of this key cast the vote in this swarm. That the key is the voter's is the caller's to look up. */
export const verifyVote = (swarm: SwarmId, vote: Vote, ed25519PublicKey: Uint8Array): boolean =>
  verifyEd25519(voteBytes(swarm, vote), vote.signature, ed25519PublicKey);

/** [epoch, round, step, block or null, voter, signature]. */
export const encodeVote = (vote: Vote): Uint8Array => encode(voteFields(vote));

/** Checks form, no signature. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export const decodeVote = (bytes: Uint8Array): Vote => readVote(decode(bytes, 'vote', VOTE_MAX_BYTES), 'vote');

export function readVote(value: unknown, field: string): Vote {
  const [epoch, round, step, block, voter, signature] = readTuple(value, field, 6);
  return {
    ...readPlace(epoch, round, field),
    step: readCode(step, `${field}.step`, STEPS),
    block: readNullable(block, `${field}.block`, readHash),
    voter: readHash(voter, `${field}.voter`),
    signature: readBytes(signature, `${field}.signature`, ED25519_SIGNATURE_BYTES),
  };
}

/** The epoch and round of anything that is voted on. */
export const readPlace = (epoch: unknown, round: unknown, field: string): { readonly epoch: number; readonly round: number } => ({
  epoch: readInt(epoch, `${field}.epoch`, 1),
  round: readInt(round, `${field}.round`, 0, MAX_ROUNDS),
});

/** [epoch, round, step, block or null, [[voter, signature], ...] ascending by voter]. */
export const encodeQuorum = (certificate: QuorumCertificate): Uint8Array => encode(quorumFields(certificate));

/** Checks form; whether these voters are a quorum, and signed, is for the committee's rules. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export const decodeQuorum = (bytes: Uint8Array): QuorumCertificate => readQuorum(decode(bytes, 'quorum', QUORUM_MAX_BYTES), 'quorum');

export const quorumFields = (certificate: QuorumCertificate): readonly unknown[] => [
  certificate.epoch,
  certificate.round,
  STEPS.indexOf(certificate.step),
  certificate.block === null ? null : hashBytes(certificate.block),
  certificate.votes.map(({ voter, signature }) => [hashBytes(voter), signature]),
];

export function readQuorum(value: unknown, field: string): QuorumCertificate {
  const [epoch, round, step, block, votes] = readTuple(value, field, 5);
  const certificate: QuorumCertificate = {
    ...readPlace(epoch, round, field),
    step: readCode(step, `${field}.step`, STEPS),
    block: readNullable(block, `${field}.block`, readHash),
    votes: readList(votes, `${field}.votes`, MAX_VOTERS, (item, name) => {
      const [voter, signature] = readTuple(item, name, 2);
      return { voter: readHash(voter, `${name}.voter`), signature: readBytes(signature, `${name}.signature`, ED25519_SIGNATURE_BYTES) };
    }),
  };
  certificate.votes.forEach(({ voter }, i) => {
    const before = certificate.votes[i - 1];
    if (before !== undefined && before.voter >= voter)
      throw malformed(`${field}.votes[${i}]`, 'is out of order, or its voter is there twice');
  });
  return certificate;
}
