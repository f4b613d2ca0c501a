export { mayContributeNow, votersOf } from './committee.ts';
export { isOpen, restoredEpoch } from './motions.ts';
export { quorumOf } from './quorum.ts';
export { eventOf, recordsOf, trustOf } from './records.ts';
export { genesisDecision, initialState, reduce } from './reduce.ts';
export { proveState, stateLeaves, stateRoot } from './root.ts';
export { decodeState, encodeState } from './stateBytes.ts';
export type { Step } from './step.ts';
export { isRefused, verdictsOf } from './verdicts.ts';
