/**
 * Exactly what is hashed and signed, all of it in this file. Every message is `domain || 0x00 || canonical CBOR`, so no
 * signature of one kind can pass for another. Golden vectors: test/vectors/wire/sign-bytes.json.
 */
import { sha256, toHex, utf8 } from '../crypto/index.ts';
import type { AggregateHeader, DecisionBody, DecisionId, EntryId, Fingerprint, Hex, Invite, NodeCertificate } from '../spec/index.ts';
import { encode } from './cbor.ts';
import { hashBytes, hashList } from './fields.ts';

/** Domains of what is hashed, or signed with Ed25519 alone. */
export const DOMAINS = {
  entry: 'starling/entry/1',
  decision: 'starling/decision/1',
  aggregate: 'starling/aggregate/1',
  attest: 'starling/attest/1',
  stance: 'starling/stance/1',
  have: 'starling/have/1',
  invite: 'starling/invite/1',
} as const;

/** Contexts of composite signatures (PROTOCOL section 1). */
export const CERTIFICATE_CONTEXT = 'starling/certificate/1';
export const UPDATE_CONTEXT = 'starling/update/1';
export const INVITE_CONTEXT = 'starling/invite/1';

const ZERO_BYTE = Uint8Array.of(0);
const withDomain = (domain: string, body: Uint8Array): Uint8Array => Buffer.concat([utf8(domain), ZERO_BYTE, body]);
const hashOf = (message: Uint8Array): Hex => toHex(sha256(message));

/** What an author signs with Ed25519, and with the composite in UPDATE_CONTEXT beside contributions. */
export const entryBytes = (coreBytes: Uint8Array): Uint8Array => withDomain(DOMAINS.entry, coreBytes);

/** sha256(entryBytes): the signature is not part of an entry's identity. */
export const entryId = (coreBytes: Uint8Array): EntryId => hashOf(entryBytes(coreBytes));

/** What both keys of a node sign in CERTIFICATE_CONTEXT: the certificate without its signature. */
export const certificateBytes = (certificate: Omit<NodeCertificate, 'signature'>): Uint8Array => encode(certificateFields(certificate));

export const certificateFields = (certificate: Omit<NodeCertificate, 'signature'>): readonly unknown[] => [
  certificate.v,
  certificate.mldsaPublicKey,
  certificate.ed25519PublicKey,
  certificate.nodeClass,
  certificate.capabilities,
];

export const inviteFields = (invite: Omit<Invite, 'signature'>): readonly unknown[] => [
  invite.v,
  hashBytes(invite.swarm),
  invite.nodeClass,
  invite.vote,
  invite.expiresMs,
  invite.uses,
  hashBytes(invite.nonce),
  hashBytes(invite.issuer),
];

/** What the issuer signs in INVITE_CONTEXT. */
export const inviteBytes = (invite: Omit<Invite, 'signature'>): Uint8Array => withDomain(DOMAINS.invite, encode(inviteFields(invite)));

export const decisionFields = (body: DecisionBody): readonly unknown[] => [
  body.epoch,
  hashBytes(body.prev),
  hashList(body.roster),
  body.weights,
  hashBytes(body.aggregateHash),
];

/** Hash over the decision alone, so that equal decisions of many authors are one (PROTOCOL section 3). */
export const decisionId = (body: DecisionBody): DecisionId => hashOf(withDomain(DOMAINS.decision, encode(decisionFields(body))));

export const aggregateFields = (header: AggregateHeader): readonly unknown[] => [
  header.v,
  header.epoch,
  header.weightTotal,
  hashBytes(header.sumRoot),
  header.sumBytes,
  header.distances,
];

/** The `aggregateHash` of a decision. */
export const aggregateHash = (header: AggregateHeader): Hex => hashOf(withDomain(DOMAINS.aggregate, encode(aggregateFields(header))));

/** What a node holds at its freeze time (PROTOCOL section 5). */
export interface AttestBody {
  readonly epoch: number;
  /** The decision that this epoch builds on. */
  readonly base: DecisionId;
  readonly node: Fingerprint;
  /** Ascending. */
  readonly ids: readonly EntryId[];
}

/** What a node prefers, and how strongly (PROTOCOL section 5). */
export interface StanceBody {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly node: Fingerprint;
  /** Grows by one a stance; one seq with two digests is evidence. */
  readonly seq: number;
  /** Digest of `optionIds`. */
  readonly option: Hex;
  /** Ascending. */
  readonly optionIds: readonly EntryId[];
  /** Digest and probability as an integer 0..65535, at most 8. */
  readonly prefs: readonly (readonly [digest: Hex, probability: number])[];
}

/** What a node holds so far, and whether it will contribute (PROTOCOL section 5). */
export interface HaveBody {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly node: Fingerprint;
  readonly seq: number;
  /** Ascending. */
  readonly ids: readonly EntryId[];
  /** Trainers attached to the node now. */
  readonly trainers: number;
}

export const attestFields = (a: AttestBody): readonly unknown[] => [a.epoch, hashBytes(a.base), hashBytes(a.node), hashList(a.ids)];
export const stanceFields = (s: StanceBody): readonly unknown[] => [
  s.epoch,
  hashBytes(s.base),
  hashBytes(s.node),
  s.seq,
  hashBytes(s.option),
  hashList(s.optionIds),
  s.prefs.map(([digest, probability]) => [hashBytes(digest), probability]),
];
export const haveFields = (h: HaveBody): readonly unknown[] => [
  h.epoch,
  hashBytes(h.base),
  hashBytes(h.node),
  h.seq,
  hashList(h.ids),
  h.trainers,
];

export const attestBytes = (body: AttestBody): Uint8Array => withDomain(DOMAINS.attest, encode(attestFields(body)));
export const stanceBytes = (body: StanceBody): Uint8Array => withDomain(DOMAINS.stance, encode(stanceFields(body)));
export const haveBytes = (body: HaveBody): Uint8Array => withDomain(DOMAINS.have, encode(haveFields(body)));
