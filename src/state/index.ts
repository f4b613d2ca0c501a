export * from './reduce.ts';
export * from './trust.ts';
