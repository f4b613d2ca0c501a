export * from './payload.ts';
export * from './residual.ts';
export * from './signs.ts';
export * from './sketch.ts';
export * from './topK.ts';
