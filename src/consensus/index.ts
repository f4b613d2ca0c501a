export type { Attestation } from './attestations.ts';
export { Negotiation, type NegotiationConfig } from './entropy.ts';
export { MAX_ROSTER_IDS, type Option, optionOf } from './options.ts';
export { PROBABILITY_ONE, type StanceView } from './stances.ts';
