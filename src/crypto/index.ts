export * from './aead.ts';
export * from './content.ts';
export * from './hash.ts';
export * from './merkle.ts';
export { MLDSA_PUBLIC_KEY_BYTES, nativeMldsa, nobleMldsa, selfTest } from './mldsa.ts';
export * from './signatures.ts';
export * as sis from './sis/index.ts';
