export type { Attestation } from './attestations.ts';
export { Negotiation, type NegotiationConfig } from './entropy.ts';
export { type Option, optionOf } from './options.ts';
export { faultsOf, quorumOf } from './quorum.ts';
export { PROBABILITY_ONE, type StanceView } from './stances.ts';
