export * from './api.ts';
export { createReference } from './reference.ts';
