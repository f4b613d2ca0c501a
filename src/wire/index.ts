export * from './aggregate.ts';
export * from './cbor.ts';
export { checkCertificate, makeCertificate } from './certificate.ts';
export * from './entry.ts';
export * from './fields.ts';
export { decodeGenesis, elementsOf, encodeGenesis, parameterCount, swarmIdOf } from './genesis.ts';
export { decodeInviteToken, encodeInviteToken, makeInvite, verifyInvite } from './invite.ts';
export * from './messages.ts';
export * from './rosterMessages.ts';
export * from './safetensors.ts';
export {
  aggregateHash,
  attestBytes,
  certificateBytes,
  DOMAINS,
  decisionId,
  entryBytes,
  entryId,
  haveBytes,
  stanceBytes,
  UPDATE_CONTEXT,
} from './signBytes.ts';
export * from './topics.ts';
export * from './update.ts';
export * from './zstd.ts';
