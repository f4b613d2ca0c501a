export { initialModelOf } from './chain.ts';
export type { EpochContext, EpochInit, EpochPorts } from './context.ts';
export { Engine, type EngineListener, type EngineOptions } from './engine.ts';
export * from './ports.ts';
export type { UpdateSubmission } from './submission.ts';
export type { Submitted } from './submit.ts';
export type { Mark } from './timeline.ts';
