export * from './archive.ts';
export * from './average.ts';
export * from './errors.ts';
export * from './finality.ts';
export * from './parameters.ts';
export * from './types.ts';
