export * from './api.ts';
export type { Measurement } from './calibrate.ts';
export { type CalibratedCompute, type CalibrationCache, type ComputeOptions, createCompute } from './create.ts';
export { createReference } from './reference.ts';
