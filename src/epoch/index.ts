export type { EpochPorts } from './context.ts';
export { Engine } from './engine.ts';
export { initialModelOf, openInitialModel } from './models.ts';
export * from './ports.ts';
export { LARGE_MODEL_BYTES, partsOf } from './storedModel.ts';
