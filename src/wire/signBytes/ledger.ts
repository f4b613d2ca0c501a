/** Entries and what rides in them. */
import type { AggregateHeader, DecisionBody, DecisionId, EntryId, Hex, Invite, NodeCertificate } from '../../spec/index.ts';
import { encode } from '../cbor.ts';
import { hashBytes, hashList } from '../fields.ts';
import { droppedFields } from './attempt.ts';
import { DOMAINS, hashOf, withDomain } from './domains.ts';

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
  droppedFields(body),
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
  header.opening === null ? null : [hashBytes(header.opening.root), header.opening.bytes],
];

/** The `aggregateHash` of a decision. */
export const aggregateHash = (header: AggregateHeader): Hex => hashOf(withDomain(DOMAINS.aggregate, encode(aggregateFields(header))));
