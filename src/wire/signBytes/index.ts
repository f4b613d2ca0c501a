/**
 * Exactly what is hashed and signed, all of it in this folder. Every message is `domain || 0x00 || canonical CBOR`, so no
 * signature of one kind can pass for another; certificates, which have no domain, are told apart by their context, and a
 * checkpoint is text (checkpoint.ts). Golden vectors: test/vectors/wire/sign-bytes.json.
 */
export * from './attempt.ts';
export * from './average.ts';
export * from './domains.ts';
export * from './finality.ts';
export * from './ledger.ts';
export * from './negotiation.ts';
