import { createPublicKey, type KeyObject } from 'node:crypto';
import { toHex } from './hash.ts';

/** Keys. A swarm's members by two algorithms; at about 10 KiB a key this stays below 6 MiB. */
const MAX_KEYS = 512;

/**
 * Parsed public keys by their bytes: a node checks the same few authors' signatures all the time, and an ML-DSA-65
 * key costs a tenth of its verification to parse. The one that was parsed first goes first.
 */
const parsed = new Map<string, KeyObject>();

/** The key object of raw public bytes. Throws what node:crypto throws for bytes that are no key. */
export function publicKeyObject(algorithm: 'ed25519' | 'ml-dsa-65', bytes: Uint8Array): KeyObject {
  const name = toHex(bytes); // the algorithms' keys differ in length
  const held = parsed.get(name);
  if (held !== undefined) return held;
  const key = createPublicKey({ key: Buffer.from(bytes), format: 'raw-public', asymmetricKeyType: algorithm });
  if (parsed.size === MAX_KEYS) parsed.delete(parsed.keys().next().value as string);
  parsed.set(name, key);
  return key;
}
