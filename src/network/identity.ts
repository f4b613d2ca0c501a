import { generateKeyPairFromSeed, publicKeyFromRaw } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import type { PeerId } from '../spec/index.ts';
import type { NodeOptions } from './types.ts';

type PrivateKey = NonNullable<NodeOptions['privateKey']>;

/** The libp2p key of a node: Ed25519 from its 32-byte seed (RFC 8032), the same key that signs its entries. */
export async function hostKey(ed25519Seed: Uint8Array): Promise<{ readonly privateKey: PrivateKey; readonly peerId: PeerId }> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', ed25519Seed);
  return { privateKey, peerId: peerIdFromPublicKey(privateKey.publicKey).toString() };
}

/** The peer id of a node with this raw 32-byte Ed25519 public key. */
export function peerIdOf(ed25519PublicKey: Uint8Array): PeerId {
  const key = publicKeyFromRaw(ed25519PublicKey);
  return peerIdFromPublicKey(key).toString();
}
