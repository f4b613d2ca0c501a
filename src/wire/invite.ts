import { COMPOSITE_SIGNATURE_BYTES, type Identity, type PublicKeys, toHex, verifyComposite } from '../crypto/index.ts';
import { holdsSeat, type Invite, NODE_CLASSES, StarlingError } from '../spec/index.ts';
import { decode, encode } from './cbor.ts';
import { malformed, readBool, readBytes, readHash, readInt, readOneOf, readTuple } from './fields.ts';
import { INVITE_CONTEXT, inviteBytes, inviteFields } from './signBytes/index.ts';

const NONCE_BYTES = 16;
/** Joins that one invite may admit: more than the members of any swarm this is built for. */
const MAX_USES = 65_536;
/** Bytes of an encoded invite: the composite signature (3373) and less than 200 around it. */
const INVITE_MAX_BYTES = 4096;
/** In front of every token, so that a person sees what it is, and a later form can differ. */
const TOKEN_PREFIX = 'starling-invite-1.';
const TOKEN_MAX_CHARACTERS = TOKEN_PREFIX.length + Math.ceil((INVITE_MAX_BYTES * 4) / 3);

/** Signs a right to join with both keys of its issuer. Throws BAD_INVITE for what no node would accept. */
export function makeInvite(fields: Omit<Invite, 'v' | 'issuer' | 'signature'>, identity: Identity): Invite {
  const unsigned = { v: 1, ...fields, issuer: identity.fingerprint } as const;
  const invite = { ...unsigned, signature: identity.signComposite(INVITE_CONTEXT, inviteBytes(unsigned)) };
  return asBadInvite('ask for one use or more, and for the vote with class core or relay only', () =>
    readInvite(inviteToWire(invite), 'invite'),
  );
}

/** True if the holder of `keys` made this invite. That they are the issuer's, and that it may invite, is the state's to say. */
export const verifyInvite = (invite: Invite, keys: PublicKeys): boolean =>
  verifyComposite(INVITE_CONTEXT, inviteBytes(invite), invite.signature, keys);

/** One line of text that a person can paste: the prefix and base64url (RFC 4648 section 5, no padding) of the encoded invite. */
export const encodeInviteToken = (invite: Invite): string => TOKEN_PREFIX + Buffer.from(encode(inviteToWire(invite))).toString('base64url');

/** Reads a token; white space around it is no harm. Checks form, no signature. Throws BAD_INVITE. */
export function decodeInviteToken(text: string): Invite {
  const fix = 'paste the whole line that `starling invite` printed, or ask for a new one';
  const token = text.trim();
  if (!token.startsWith(TOKEN_PREFIX) || token.length > TOKEN_MAX_CHARACTERS)
    throw new StarlingError('BAD_INVITE', `not an invite: it is one line that begins with ${TOKEN_PREFIX}`, { field: 'invite', fix });
  const packed = token.slice(TOKEN_PREFIX.length);
  const bytes = new Uint8Array(Buffer.from(packed, 'base64url'));
  // Node reads past characters that base64url does not have; one invite has one token.
  if (Buffer.from(bytes).toString('base64url') !== packed)
    throw new StarlingError('BAD_INVITE', 'the invite is cut or altered: it is not base64url', { field: 'invite', fix });
  return asBadInvite(fix, () => readInvite(decode(bytes, 'invite', INVITE_MAX_BYTES), 'invite'));
}

export const inviteToWire = (invite: Invite): readonly unknown[] => [...inviteFields(invite), invite.signature];

/** Checks form only. Throws MALFORMED. */
export function readInvite(value: unknown, field: string): Invite {
  const [v, swarm, nodeClass, vote, expiresMs, uses, nonce, issuer, signature] = readTuple(value, field, 9);
  const invite: Invite = {
    v: readOneOf(v, `${field}.v`, [1]),
    swarm: readHash(swarm, `${field}.swarm`),
    nodeClass: readOneOf(nodeClass, `${field}.nodeClass`, NODE_CLASSES),
    vote: readBool(vote, `${field}.vote`),
    expiresMs: readInt(expiresMs, `${field}.expiresMs`),
    uses: readInt(uses, `${field}.uses`, 1, MAX_USES),
    nonce: toHex(readBytes(nonce, `${field}.nonce`, NONCE_BYTES)),
    issuer: readHash(issuer, `${field}.issuer`),
    signature: readBytes(signature, `${field}.signature`, COMPOSITE_SIGNATURE_BYTES),
  };
  if (invite.vote && !holdsSeat(invite.nodeClass))
    throw malformed(`${field}.vote`, `is granted to class ${invite.nodeClass}, which may not vote`);
  return invite;
}

function asBadInvite(fix: string, read: () => Invite): Invite {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof StarlingError)) throw cause;
    throw new StarlingError('BAD_INVITE', `not a valid invite: ${cause.message}`, { ...cause.facts, fix }, { cause });
  }
}
