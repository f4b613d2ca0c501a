export * from './graph.ts';
export * from './order.ts';
export * from './proof.ts';
export * from './rules.ts';
export { SyncClient } from './syncClient.ts';
export type { SyncHead } from './syncMessages.ts';
export { answerSync, SYNC_LIMITS, type SyncLimits } from './syncServer.ts';
export * from './tree.ts';
