import {
  COMPOSITE_SIGNATURE_BYTES,
  ED25519_PUBLIC_KEY_BYTES,
  fingerprintOf,
  type Identity,
  MLDSA_PUBLIC_KEY_BYTES,
  verifyComposite,
} from '../crypto/index.ts';
import { type Fingerprint, NODE_CLASSES, type NodeCertificate, type NodeClass, StarlingError } from '../spec/index.ts';
import { readBytes, readList, readOneOf, readText, readTuple } from './fields.ts';
import { CERTIFICATE_CONTEXT, certificateBytes, certificateFields } from './signBytes/index.ts';

/** Strings a certificate may list, and characters in each: it travels in every join entry. */
const MAX_CAPABILITIES = 16;
const MAX_CAPABILITY_LENGTH = 32;

/** Binds an identity's keys to a class and capabilities, signed by both keys. */
export function makeCertificate(identity: Identity, nodeClass: NodeClass, capabilities: readonly string[]): NodeCertificate {
  const { mldsaPublicKey, ed25519PublicKey } = identity;
  const unsigned = { v: 1, mldsaPublicKey, ed25519PublicKey, nodeClass, capabilities } as const;
  return { ...unsigned, signature: identity.signComposite(CERTIFICATE_CONTEXT, certificateBytes(unsigned)) };
}

/** The fingerprint of the node that `certificate` speaks for. Throws BAD_CERTIFICATE unless both keys signed it. */
export function checkCertificate(certificate: NodeCertificate): Fingerprint {
  const node = fingerprintOf(certificate.mldsaPublicKey, certificate.ed25519PublicKey);
  if (!verifyComposite(CERTIFICATE_CONTEXT, certificateBytes(certificate), certificate.signature, certificate))
    throw new StarlingError('BAD_CERTIFICATE', `the certificate of ${node.slice(0, 8)} is not signed by both of its keys`, {
      node,
      fix: 'the node must issue its certificate again from its keystore',
    });
  return node;
}

export const certificateToWire = (certificate: NodeCertificate): readonly unknown[] => [
  ...certificateFields(certificate),
  certificate.signature,
];

/** Checks form only; `checkCertificate` checks the signature. Throws MALFORMED. */
export function readCertificate(value: unknown, field: string): NodeCertificate {
  const [v, mldsaPublicKey, ed25519PublicKey, nodeClass, capabilities, signature] = readTuple(value, field, 6);
  return {
    v: readOneOf(v, `${field}.v`, [1]),
    mldsaPublicKey: readBytes(mldsaPublicKey, `${field}.mldsaPublicKey`, MLDSA_PUBLIC_KEY_BYTES),
    ed25519PublicKey: readBytes(ed25519PublicKey, `${field}.ed25519PublicKey`, ED25519_PUBLIC_KEY_BYTES),
    nodeClass: readOneOf(nodeClass, `${field}.nodeClass`, NODE_CLASSES),
    capabilities: readList(capabilities, `${field}.capabilities`, MAX_CAPABILITIES, (item, name) =>
      readText(item, name, 1, MAX_CAPABILITY_LENGTH),
    ),
    signature: readBytes(signature, `${field}.signature`, COMPOSITE_SIGNATURE_BYTES),
  };
}
