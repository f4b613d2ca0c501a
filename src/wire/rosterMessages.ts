import { ED25519_SIGNATURE_BYTES, type Identity, verifyEd25519 } from '../crypto/index.ts';
import { KIB, MAX_ROSTER, NEGOTIATION } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { readBytes, readHash, readHashSet, readInt, readList, readTuple } from './fields.ts';
import { type AttestBody, attestFields, type HaveBody, haveFields, type StanceBody, stanceFields } from './signBytes/index.ts';

/** A message body with its author's Ed25519 signature over the bytes that `signBytes/` gives for it. */
export type Signed<B> = B & { readonly signature: Uint8Array };
export type Attest = Signed<AttestBody>;
export type Stance = Signed<StanceBody>;
export type Have = Signed<HaveBody>;

/** Signs `body`; `toBytes` is `attestBytes`, `stanceBytes` or `haveBytes`. */
export const signMessage = <B extends object>(toBytes: (body: B) => Uint8Array, body: B, identity: Identity): Signed<B> => ({
  ...body,
  signature: identity.signEd25519(toBytes(body)),
});

/** True if the holder of `ed25519PublicKey` signed this message. That the key is `message.node`'s is the caller's to look up. */
export const verifyMessage = <B extends object>(
  toBytes: (body: B) => Uint8Array,
  message: Signed<B>,
  ed25519PublicKey: Uint8Array,
): boolean => verifyEd25519(toBytes(message), message.signature, ed25519PublicKey);

/** Everything one node relays of the negotiation: the latest of every node, or a part of it. */
export interface RosterBundle {
  readonly haves: readonly Have[];
  readonly attests: readonly Attest[];
  readonly stances: readonly Stance[];
}

/** Bytes of an encoded bundle. A node with more to say sends several. */
export const ROSTER_BUNDLE_MAX_BYTES = 256 * KIB;
/** Messages of a kind in one bundle: one of each of a thousand nodes. */
const MAX_MESSAGES = 1024;
/** Trainers that one node may announce. */
const MAX_TRAINERS = 1024;
/** Largest probability of a preference (PROTOCOL section 5). */
const PROBABILITY_ONE = 65_535;

/** Canonical CBOR; the caller keeps it below ROSTER_BUNDLE_MAX_BYTES. */
export const encodeRosterBundle = (bundle: RosterBundle): Uint8Array =>
  encode([
    bundle.haves.map((have) => [...haveFields(have), have.signature]),
    bundle.attests.map((attest) => [...attestFields(attest), attest.signature]),
    bundle.stances.map((stance) => [...stanceFields(stance), stance.signature]),
  ]);

/** Checks form, not signatures. Throws TOO_LARGE, MALFORMED, NON_CANONICAL. */
export function decodeRosterBundle(bytes: Uint8Array): RosterBundle {
  const [haves, attests, stances] = readTuple(decode(bytes, 'roster', ROSTER_BUNDLE_MAX_BYTES), 'roster', 3);
  return {
    haves: readList(haves, 'roster.haves', MAX_MESSAGES, readHave),
    attests: readList(attests, 'roster.attests', MAX_MESSAGES, readAttest),
    stances: readList(stances, 'roster.stances', MAX_MESSAGES, readStance),
  };
}

function readHave(value: unknown, field: string): Have {
  const [epoch, base, node, seq, ids, trainers, signature] = readTuple(value, field, 7);
  return {
    epoch: readInt(epoch, `${field}.epoch`),
    base: readHash(base, `${field}.base`),
    node: readHash(node, `${field}.node`),
    seq: readInt(seq, `${field}.seq`),
    ids: readHashSet(ids, `${field}.ids`, MAX_ROSTER),
    trainers: readInt(trainers, `${field}.trainers`, 0, MAX_TRAINERS),
    signature: readBytes(signature, `${field}.signature`, ED25519_SIGNATURE_BYTES),
  };
}

function readAttest(value: unknown, field: string): Attest {
  const [epoch, base, node, ids, signature] = readTuple(value, field, 5);
  return {
    epoch: readInt(epoch, `${field}.epoch`),
    base: readHash(base, `${field}.base`),
    node: readHash(node, `${field}.node`),
    ids: readHashSet(ids, `${field}.ids`, MAX_ROSTER),
    signature: readBytes(signature, `${field}.signature`, ED25519_SIGNATURE_BYTES),
  };
}

function readStance(value: unknown, field: string): Stance {
  const [epoch, base, node, seq, option, optionIds, prefs, signature] = readTuple(value, field, 8);
  return {
    epoch: readInt(epoch, `${field}.epoch`),
    base: readHash(base, `${field}.base`),
    node: readHash(node, `${field}.node`),
    seq: readInt(seq, `${field}.seq`),
    option: readHash(option, `${field}.option`),
    optionIds: readHashSet(optionIds, `${field}.optionIds`, MAX_ROSTER),
    prefs: readList(prefs, `${field}.prefs`, NEGOTIATION.keep, (item, name) => {
      const [digest, probability] = readTuple(item, name, 2);
      return [readHash(digest, `${name}.digest`), readInt(probability, `${name}.probability`, 0, PROBABILITY_ONE)] as const;
    }),
    signature: readBytes(signature, `${field}.signature`, ED25519_SIGNATURE_BYTES),
  };
}
