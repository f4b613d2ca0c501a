import { createPrivateKey, createPublicKey, hash, sign, verify } from 'node:crypto';
import { toString as toText } from 'uint8arrays';
import type { Fingerprint, PeerId } from '../spec/index.ts';
import { sha256, toHex, utf8 } from './hash.ts';
import { MLDSA_SIGNATURE_BYTES, type Mldsa, mldsa65 } from './mldsa.ts';
import { publicKeyObject } from './publicKeys.ts';

/** Bytes (RFC 8032). */
export const ED25519_PUBLIC_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;
/** Bytes: the ML-DSA-65 signature, then the Ed25519 one. */
export const COMPOSITE_SIGNATURE_BYTES = MLDSA_SIGNATURE_BYTES + ED25519_SIGNATURE_BYTES;

/** draft-ietf-lamps-pq-composite-sigs, section "Prefix, Label, and CTX". */
const PREFIX = utf8('CompositeAlgorithmSignatures2025');
const LABEL = utf8('COMPSIG-MLDSA65-Ed25519-SHA512');

/** All a node keeps of its keys: 32 bytes each. */
export interface IdentitySeeds {
  readonly mldsaSeed: Uint8Array;
  readonly ed25519Seed: Uint8Array;
}

export interface PublicKeys {
  /** 1952 bytes. */
  readonly mldsaPublicKey: Uint8Array;
  /** 32 bytes. */
  readonly ed25519PublicKey: Uint8Array;
}

/** A node that can sign. The seeds do not leave it. */
export interface Identity extends PublicKeys {
  readonly fingerprint: Fingerprint;
  readonly peerId: PeerId;
  /** 3373 bytes: ML-DSA-65 || Ed25519. `context` is ASCII, one per use (`starling/update/1`), at most 255 bytes. */
  signComposite(context: string, message: Uint8Array): Uint8Array;
  /** 64 bytes, RFC 8032. The message carries its own domain (wire/signBytes/). */
  signEd25519(message: Uint8Array): Uint8Array;
}

/**
 * The identity of two 32-byte seeds. `mldsa` chooses the implementation that signs: the native one (default) hedges
 * with its own randomness; `nobleMldsa` is deterministic, for worlds that must repeat byte for byte.
 */
export function identityFromSeeds(seeds: IdentitySeeds, mldsa: Mldsa = mldsa65()): Identity {
  const post = mldsa.keyFromSeed(seeds.mldsaSeed);
  const classic = createPrivateKey({ key: Buffer.from(seeds.ed25519Seed), format: 'raw-private', asymmetricKeyType: 'ed25519' });
  const ed25519PublicKey = new Uint8Array(createPublicKey(classic).export({ format: 'raw-public' }));
  const signEd25519 = (message: Uint8Array) => new Uint8Array(sign(null, message, classic));
  return {
    mldsaPublicKey: post.publicKey,
    ed25519PublicKey,
    fingerprint: fingerprintOf(post.publicKey, ed25519PublicKey),
    peerId: peerIdOf(ed25519PublicKey),
    signEd25519,
    signComposite(context, message) {
      const representative = representativeOf(context, message);
      return new Uint8Array(Buffer.concat([post.sign(representative, LABEL), signEd25519(representative)]));
    },
  };
}

/** True if both halves of `signature` are valid for `message` under `context`. Never throws on a stranger's bytes. */
export function verifyComposite(context: string, message: Uint8Array, signature: Uint8Array, keys: PublicKeys): boolean {
  if (signature.byteLength !== COMPOSITE_SIGNATURE_BYTES) return false;
  const representative = representativeOf(context, message);
  return (
    verifyEd25519(representative, signature.subarray(MLDSA_SIGNATURE_BYTES), keys.ed25519PublicKey) &&
    mldsa65().verify(keys.mldsaPublicKey, representative, signature.subarray(0, MLDSA_SIGNATURE_BYTES), LABEL)
  );
}

/** True if `signature` is valid. node:crypto alone decides: libraries differ on crafted signatures, a swarm must not. */
export function verifyEd25519(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  if (publicKey.byteLength !== ED25519_PUBLIC_KEY_BYTES || signature.byteLength !== ED25519_SIGNATURE_BYTES) return false;
  return verify(null, message, publicKeyObject('ed25519', publicKey), signature);
}

/** sha256(ML-DSA-65 public key || Ed25519 public key). */
export const fingerprintOf = (mldsaPublicKey: Uint8Array, ed25519PublicKey: Uint8Array): Fingerprint =>
  toHex(sha256(mldsaPublicKey, ed25519PublicKey));

/** Identity multihash (0x00, 36 bytes) of the libp2p protobuf {type: Ed25519, data: 32 bytes} (libp2p peer-ids specification). */
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);

/** The libp2p peer id of an Ed25519 public key, base58btc. */
export const peerIdOf = (ed25519PublicKey: Uint8Array): PeerId => toText(Buffer.concat([PEER_ID_PREFIX, ed25519PublicKey]), 'base58btc');

/** M' = Prefix || Label || len(ctx) || ctx || SHA-512(M), signed by both algorithms. */
function representativeOf(context: string, message: Uint8Array): Uint8Array {
  const ctx = utf8(context);
  if (ctx.byteLength > 255) throw new RangeError('a signature context has at most 255 bytes');
  return Buffer.concat([PREFIX, LABEL, Uint8Array.of(ctx.byteLength), ctx, hash('sha512', message, 'buffer')]);
}
