export { initialModelOf } from './chain.ts';
export type { EpochPorts } from './context.ts';
export { Engine } from './engine.ts';
export * from './ports.ts';
