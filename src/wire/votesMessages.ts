import { type Beat, GOSSIP_MAX_BYTES, KIB, type Proposal, type QuorumCertificate, type Vote } from '../spec/index.ts';
import { beatWire, readBeat } from './beats.ts';
import { decode, encode } from './cbor.ts';
import { malformed, readCode, readList, readTuple } from './fields.ts';
import { proposalFields, readProposal } from './proposals.ts';
import { voteFields } from './signBytes/index.ts';
import { quorumFields, readQuorum, readVote } from './votes.ts';

/** What is said while a committee votes. A commit is what makes a block final, and is enough by itself (PROTOCOL section 7). */
export type VotesMessage =
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'proposal'; readonly proposal: Proposal }
  | { readonly kind: 'commit'; readonly certificate: QuorumCertificate }
  | { readonly kind: 'beat'; readonly beat: Beat };

/** Bytes of an encoded bundle. */
export const VOTES_BUNDLE_MAX_BYTES = 256 * KIB;
/** Messages in a bundle: more votes than fit its bytes. */
const MAX_MESSAGES = 4096;
/** Bytes around the messages of a bundle: the head of its list. */
const BUNDLE_HEAD_BYTES = 8;
/** On the wire a kind is its place in this list. Append only. */
const KIND_CODES = ['vote', 'proposal', 'commit', 'beat'] as const satisfies readonly VotesMessage['kind'][];

/**
 * One message as gossip carries it. A proposal of a full roster that brings a certificate of hundreds of voters is larger
 * than GOSSIP_MAX_BYTES; that one goes in bundles only.
 */
export const encodeVotesMessage = (message: VotesMessage): Uint8Array => encode(messageFields(message));

/** Checks form, no signature. Throws as `decodeVote` and `decodeProposal` do. */
export const decodeVotesMessage = (bytes: Uint8Array): VotesMessage => readMessage(decode(bytes, 'votes', GOSSIP_MAX_BYTES), 'votes');

/** What one node tells another of a height, over a stream. From the first message that does not fit on, the rest is left out. */
export function encodeVotesBundle(messages: readonly VotesMessage[]): Uint8Array {
  const taken: (readonly unknown[])[] = [];
  let sizeBytes = BUNDLE_HEAD_BYTES;
  for (const message of messages.slice(0, MAX_MESSAGES)) {
    const fields = messageFields(message);
    sizeBytes += encode(fields).byteLength;
    if (sizeBytes > VOTES_BUNDLE_MAX_BYTES) break;
    taken.push(fields);
  }
  return encode(taken);
}

/** Checks form, no signature. Throws as `decodeVote` and `decodeProposal` do. */
export const decodeVotesBundle = (bytes: Uint8Array): VotesMessage[] =>
  readList(decode(bytes, 'votes', VOTES_BUNDLE_MAX_BYTES), 'votes', MAX_MESSAGES, readMessage);

function messageFields(message: VotesMessage): readonly unknown[] {
  const code = KIND_CODES.indexOf(message.kind);
  switch (message.kind) {
    case 'vote':
      return [code, voteFields(message.vote)];
    case 'proposal':
      return [code, proposalFields(message.proposal)];
    case 'commit':
      return [code, quorumFields(message.certificate)];
    case 'beat':
      return [code, beatWire(message.beat)];
  }
}

function readMessage(value: unknown, field: string): VotesMessage {
  const [code, content] = readTuple(value, field, 2);
  const kind = readCode(code, `${field}.kind`, KIND_CODES);
  switch (kind) {
    case 'vote':
      return { kind, vote: readVote(content, `${field}.vote`) };
    case 'proposal':
      return { kind, proposal: readProposal(content, `${field}.proposal`) };
    case 'commit':
      return { kind, certificate: readCommit(content, `${field}.commit`) };
    case 'beat':
      return { kind, beat: readBeat(content, `${field}.beat`) };
  }
}

function readCommit(value: unknown, field: string): QuorumCertificate {
  const certificate = readQuorum(value, field);
  if (certificate.step !== 'precommit' || certificate.block === null) throw malformed(field, 'is not of precommits for a block');
  return certificate;
}
