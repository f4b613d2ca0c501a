export * from './aggregate.ts';
export * from './archive.ts';
export * from './attempt.ts';
export { ChunkRoom } from './averageChunk.ts';
export * from './averageMessages.ts';
export { decodeBeat, encodeBeat, signBeat, verifyBeat } from './beats.ts';
export { BLOCK_MAX_BYTES, type BlockRecord, decodeBlock, decodeBlockRecord, encodeBlock, encodeBlockRecord, makeBlock } from './blocks.ts';
export * from './blocksMessages.ts';
export * from './cbor.ts';
export { checkCertificate, makeCertificate } from './certificate.ts';
export * from './challenge.ts';
export { checkpointText, type OpenedCheckpoint, openCheckpoint, signCheckpoint, verifyCheckpoint } from './checkpoint.ts';
export * from './diffusionMessages.ts';
export * from './entry.ts';
export { checkEvidenceForm } from './evidence.ts';
export * from './fields.ts';
export { decodeGenesis, elementsOf, encodeGenesis, parameterCount, swarmIdOf } from './genesis.ts';
export { decodeInviteToken, encodeInviteToken, makeInvite, verifyInvite } from './invite.ts';
export * from './messages.ts';
export { noteKeyHash, openNote } from './note.ts';
export { decodeProposal, encodeProposal, signProposal, verifyProposal } from './proposals.ts';
export * from './rosterMessages.ts';
export * from './safetensors.ts';
export {
  type AccusedEdge,
  aggregateHash,
  attemptBytes,
  attemptFields,
  attemptId,
  attestBytes,
  BLOCK_CONTEXT,
  beatBytes,
  blockHash,
  certificateBytes,
  chunkBytes,
  cutHash,
  DOMAINS,
  decisionId,
  droppedFields,
  entryBytes,
  entryId,
  evidenceHash,
  type FindingBody,
  findingBytes,
  haveBytes,
  INVITE_CONTEXT,
  inviteBytes,
  leavesHash,
  nextEventHash,
  proposalBytes,
  recordLeaf,
  rosterHash,
  stanceBytes,
  survivorsHash,
  UPDATE_CONTEXT,
  voteBytes,
  votersHash,
} from './signBytes/index.ts';
export * from './topics.ts';
export * from './update.ts';
export { decodeQuorum, decodeVote, encodeQuorum, encodeVote, signVote, verifyVote } from './votes.ts';
export * from './votesMessages.ts';
export * from './zstd.ts';
