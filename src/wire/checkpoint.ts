import { COMPOSITE_SIGNATURE_BYTES, fingerprintOf, type Identity, type PublicKeys, utf8, verifyComposite } from '../crypto/index.ts';
import type { Checkpoint, Fingerprint, Hex } from '../spec/index.ts';
import { badNote, noteKeyHash, noteLine, openNote, type SignedNote } from './note.ts';
import { CHECKPOINT_CONTEXT } from './signBytes/index.ts';

/**
 * Signature type 0xff and a long name (c2sp.org/signed-note, "Signature types"): no shorter one is assigned to the
 * composite of draft-ietf-lamps-pq-composite-sigs. The key that follows is ML-DSA-65's, then Ed25519's.
 */
const SIGNATURE_TYPE = Buffer.concat([Uint8Array.of(0xff), utf8('COMPSIG-MLDSA65-Ed25519-SHA512 starling/checkpoint/1')]);
/** c2sp.org/tlog-checkpoint: origin, tree size, root hash; then two extension lines of ours. */
const TEXT = /^starling\/([0-9a-f]{64})\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\nepoch (0|[1-9]\d{0,15})\nmodel ([0-9a-f]{64})\n$/;

export interface OpenedCheckpoint extends SignedNote {
  readonly checkpoint: Checkpoint;
  /** The member on the first line that has a member's form; other lines are cosignatures that nothing here needs. */
  readonly signer: Fingerprint;
}

/** What is signed: five lines, the last newline included. */
export const checkpointText = (c: Checkpoint): string =>
  `starling/${c.swarm}\n${c.treeSize}\n${Buffer.from(c.treeRoot, 'hex').toString('base64')}\nepoch ${c.epoch}\nmodel ${c.modelRoot}\n`;

const keyHashOf = (name: Fingerprint, keys: PublicKeys): Hex =>
  noteKeyHash(name, Buffer.concat([SIGNATURE_TYPE, keys.mldsaPublicKey, keys.ed25519PublicKey]));

/** The note: text, empty line, and one line with the composite signature over the text; the key's name is the fingerprint. */
export function signCheckpoint(checkpoint: Checkpoint, identity: Identity): string {
  const text = checkpointText(checkpoint);
  const name = identity.fingerprint;
  const signature = identity.signComposite(CHECKPOINT_CONTEXT, utf8(text));
  return `${text}\n${noteLine({ name, keyHash: keyHashOf(name, identity), signature })}`;
}

/** Parses a note; checks form, no signature. Throws TOO_LARGE, MALFORMED. */
export function openCheckpoint(note: string): OpenedCheckpoint {
  const { text, signatures } = openNote(note);
  const [, swarm, size, root, epoch, modelRoot] = TEXT.exec(text) ?? [];
  if (swarm === undefined || root === undefined || modelRoot === undefined)
    throw badNote('checkpoint', 'is not an origin, a tree size, a root, an epoch and a model');
  const treeRoot = Buffer.from(root, 'base64').toString('hex');
  const checkpoint = { swarm, epoch: Number(epoch), treeSize: Number(size), treeRoot, modelRoot };
  // A root in base64 that is not canonical, and sizes that a double does not hold, come out differently.
  if (checkpointText(checkpoint) !== text || !Number.isSafeInteger(checkpoint.epoch) || !Number.isSafeInteger(checkpoint.treeSize))
    throw badNote('checkpoint', 'has a number or a root that is not in its one form');
  const signer = signatures.find((s) => /^[0-9a-f]{64}$/.test(s.name) && s.signature.byteLength === COMPOSITE_SIGNATURE_BYTES)?.name;
  if (signer === undefined) throw badNote('note.signatures', 'hold none of a member');
  return { checkpoint, text, signatures, signer };
}

/** True if the holder of these keys signed it: a line has their fingerprint and key hash, and every such line is right. */
export function verifyCheckpoint(opened: OpenedCheckpoint, keys: PublicKeys): boolean {
  const name = fingerprintOf(keys.mldsaPublicKey, keys.ed25519PublicKey);
  const keyHash = keyHashOf(name, keys);
  const own = opened.signatures.filter((s) => s.name === name && s.keyHash === keyHash);
  return own.length > 0 && own.every((s) => verifyComposite(CHECKPOINT_CONTEXT, utf8(opened.text), s.signature, keys));
}
