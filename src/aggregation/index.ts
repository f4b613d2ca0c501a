export * from './apply.ts';
export * from './blame.ts';
export * from './distance.ts';
export * from './integers.ts';
export * from './layout.ts';
export * from './weights.ts';
