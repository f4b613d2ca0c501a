export * from './residual.ts';
export * from './signs.ts';
export * from './topK.ts';
