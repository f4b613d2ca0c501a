import { ED25519_SIGNATURE_BYTES, type Identity, verifyEd25519 } from '../crypto/index.ts';
import type { Beat, SwarmId } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { readBytes, readHash, readInt, readTuple } from './fields.ts';
import { beatBytes, beatFields } from './signBytes/index.ts';

/** Bytes: 220 at most, and room. */
const BEAT_MAX_BYTES = 256;

/** `body.node` is the identity's. */
export const signBeat = (swarm: SwarmId, body: Omit<Beat, 'signature'>, identity: Identity): Beat => ({
  ...body,
  signature: identity.signEd25519(beatBytes(swarm, body)),
});

/** True if the holder of this key sent it in this swarm. That the key is the node's is the caller's to look up. */
export const verifyBeat = (swarm: SwarmId, beat: Beat, ed25519PublicKey: Uint8Array): boolean =>
  verifyEd25519(beatBytes(swarm, beat), beat.signature, ed25519PublicKey);

/** [node, seq, epoch, block, tree root, model root, signature]. */
export const encodeBeat = (beat: Beat): Uint8Array => encode(beatWire(beat));

/** Checks form, no signature. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export const decodeBeat = (bytes: Uint8Array): Beat => readBeat(decode(bytes, 'beat', BEAT_MAX_BYTES), 'beat');

export const beatWire = (beat: Beat): readonly unknown[] => [...beatFields(beat), beat.signature];

export function readBeat(value: unknown, field: string): Beat {
  const [node, seq, epoch, block, treeRoot, modelRoot, signature] = readTuple(value, field, 7);
  return {
    node: readHash(node, `${field}.node`),
    seq: readInt(seq, `${field}.seq`),
    epoch: readInt(epoch, `${field}.epoch`),
    block: readHash(block, `${field}.block`),
    treeRoot: readHash(treeRoot, `${field}.treeRoot`),
    modelRoot: readHash(modelRoot, `${field}.modelRoot`),
    signature: readBytes(signature, `${field}.signature`, ED25519_SIGNATURE_BYTES),
  };
}
