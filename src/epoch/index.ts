export type { EpochPorts } from './context.ts';
export { Engine } from './engine.ts';
export { initialModelOf } from './models.ts';
export * from './ports.ts';
