export type { Branch, Fork } from './chains.ts';
export * from './graph.ts';
export * from './order.ts';
export * from './proof.ts';
export * from './rules.ts';
export * from './tree.ts';
