export { type ArchivedCut, ArchiveReader, segmentsOf } from './archive.ts';
export type { Attestation } from './attestations.ts';
export { proposerOrder, verifyQuorum } from './committee.ts';
export { Negotiation, type NegotiationConfig } from './entropy.ts';
export type { ProposalView } from './heldProposals.ts';
export { type Option, optionOf } from './options.ts';
export { faultsOf, quorumOf } from './quorum.ts';
export { PROBABILITY_ONE, type StanceView } from './stances.ts';
export { type SavedVotes, Tendermint, type TendermintConfig, type TendermintEffect } from './tendermint.ts';
