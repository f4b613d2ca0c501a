import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { createRequire } from 'node:module';
import { fromString } from 'uint8arrays';
import { StarlingError } from '../spec/index.ts';
import { fromHex, sha256, toHex, utf8 } from './hash.ts';
import { MLDSA_VECTOR } from './mldsaVector.ts';
import { publicKeyObject } from './publicKeys.ts';

/** Bytes (FIPS 204 table 2, ML-DSA-65). */
export const MLDSA_PUBLIC_KEY_BYTES = 1952;
export const MLDSA_SIGNATURE_BYTES = 3309;

export type MldsaBackend = 'native' | 'noble';

/** A key pair bound to its implementation. `context` is FIPS 204's, at most 255 bytes. */
export interface MldsaKey {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array, context: Uint8Array): Uint8Array;
}

/** One implementation of ML-DSA-65. `verify` answers false to anything that is not a valid signature. */
export interface Mldsa {
  keyFromSeed(seed: Uint8Array): MldsaKey;
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array, context: Uint8Array): boolean;
}

const ALGORITHM = 'ml-dsa-65';

/** node:crypto over OpenSSL 3.5. It signs hedged (FIPS 204 section 3.4): two signatures of one message differ. */
export const nativeMldsa: Mldsa = {
  keyFromSeed(seed) {
    const key = createPrivateKey({ key: Buffer.from(seed), format: 'raw-seed', asymmetricKeyType: ALGORITHM });
    const publicKey = new Uint8Array(createPublicKey(key).export({ format: 'raw-public' }));
    return { publicKey, sign: (message, context) => new Uint8Array(sign(null, message, { key, context })) };
  },
  verify(publicKey, message, signature, context) {
    if (publicKey.byteLength !== MLDSA_PUBLIC_KEY_BYTES || signature.byteLength !== MLDSA_SIGNATURE_BYTES) return false;
    return verify(null, message, { key: publicKeyObject(ALGORITHM, publicKey), context }, signature);
  },
};

/** @noble/post-quantum, deterministic (FIPS 204 section 3.4): one message, one signature. Loaded on first use: it costs a start. */
export const nobleMldsa: Mldsa = {
  keyFromSeed(seed) {
    const { ml_dsa65 } = loadNoble();
    const { publicKey, secretKey } = ml_dsa65.keygen(Uint8Array.from(seed));
    return { publicKey, sign: (message, context) => ml_dsa65.sign(message, secretKey, { context, extraEntropy: false }) };
  },
  verify(publicKey, message, signature, context) {
    if (publicKey.byteLength !== MLDSA_PUBLIC_KEY_BYTES || signature.byteLength !== MLDSA_SIGNATURE_BYTES) return false;
    return loadNoble().ml_dsa65.verify(signature, message, publicKey, { context });
  },
};

const load = createRequire(import.meta.url);
const loadNoble = () => load('@noble/post-quantum/ml-dsa.js') as typeof import('@noble/post-quantum/ml-dsa.js');

/** True if `mldsa` gives the published answers: the key of a seed, a signature accepted, an altered one refused. */
export function passesKnownAnswers(mldsa: Mldsa): boolean {
  const message = fromHex(MLDSA_VECTOR.message);
  const signature = fromString(MLDSA_VECTOR.signature, 'base64pad');
  const altered = signature.slice();
  altered[0] = (altered[0] as number) ^ 1;
  const context = utf8(MLDSA_VECTOR.context);
  try {
    const key = mldsa.keyFromSeed(fromHex(MLDSA_VECTOR.seed));
    return (
      toHex(sha256(key.publicKey)) === MLDSA_VECTOR.publicKeyHash &&
      mldsa.verify(key.publicKey, message, signature, context) &&
      !mldsa.verify(key.publicKey, message, altered, context) &&
      mldsa.verify(key.publicKey, message, key.sign(message, context), context)
    );
  } catch {
    return false;
  }
}

let chosen: { readonly backend: MldsaBackend; readonly mldsa: Mldsa } | undefined;

/**
 * Runs the known-answer test once a process, on first use, and picks the native implementation if it passes, noble
 * otherwise. Throws CRYPTO_SELF_TEST when neither does.
 */
function choose(): { readonly backend: MldsaBackend; readonly mldsa: Mldsa } {
  if (chosen !== undefined) return chosen;
  if (passesKnownAnswers(nativeMldsa)) chosen = { backend: 'native', mldsa: nativeMldsa };
  else if (passesKnownAnswers(nobleMldsa)) chosen = { backend: 'noble', mldsa: nobleMldsa };
  else
    throw new StarlingError('CRYPTO_SELF_TEST', 'neither ML-DSA-65 implementation gives the published answers', {
      phase: 'start',
      fix: 'reinstall the packages; do not run a node on this machine until the test passes',
    });
  return chosen;
}

/** The ML-DSA-65 that this process uses. */
export const mldsa65 = (): Mldsa => choose().mldsa;

/** Names the implementations in use, after their self-tests. Throws CRYPTO_SELF_TEST. */
export const selfTest = (): { readonly mldsa: MldsaBackend } => ({ mldsa: choose().backend });
