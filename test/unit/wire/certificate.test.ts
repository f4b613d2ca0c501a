import assert from 'node:assert/strict';
import { identityFromSeeds } from '../../../src/crypto/index.ts';
import { checkCertificate, makeCertificate } from '../../../src/wire/index.ts';
import { alice, aliceCertificate } from './samples.ts';

const bad = { code: 'BAD_CERTIFICATE' };

describe('certificates', () => {
  it('speak for the identity that made them', () => {
    assert.equal(checkCertificate(aliceCertificate), alice.fingerprint);
    assert.equal(checkCertificate(makeCertificate(alice, 'observer', [])), alice.fingerprint);
  });

  it('are refused when class, capabilities, a key or the signature is another', () => {
    const bob = identityFromSeeds({ mldsaSeed: new Uint8Array(32).fill(8), ed25519Seed: new Uint8Array(32).fill(9) });
    const { signature } = aliceCertificate;
    for (const change of [
      { nodeClass: 'relay' as const },
      { capabilities: ['train'] },
      { ed25519PublicKey: bob.ed25519PublicKey },
      { mldsaPublicKey: bob.mldsaPublicKey },
      { signature: signature.with(0, (signature[0] as number) ^ 1) },
      { signature: signature.with(3372, (signature[3372] as number) ^ 1) },
      { signature: bob.signComposite('starling/certificate/1', new Uint8Array(0)) },
    ])
      assert.throws(() => checkCertificate({ ...aliceCertificate, ...change }), bad);
  });
});
