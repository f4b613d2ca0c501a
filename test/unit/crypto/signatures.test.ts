import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import {
  COMPOSITE_SIGNATURE_BYTES,
  fromHex,
  identityFromSeeds,
  MLDSA_PUBLIC_KEY_BYTES,
  nobleMldsa,
  peerIdOf,
  toHex,
  utf8,
  verifyComposite,
  verifyEd25519,
} from '../../../src/crypto/index.ts';

const file = new URL('../../vectors/crypto/composite-mldsa65-ed25519.json', import.meta.url);
const vector = JSON.parse(readFileSync(file, 'utf8')) as Record<'m' | 'ctx' | 'pk' | 'sk' | 's' | 'sWithContext', string>;
const bytes = (name: keyof typeof vector) => new Uint8Array(Buffer.from(vector[name], 'base64'));
const publicKeys = {
  mldsaPublicKey: bytes('pk').slice(0, MLDSA_PUBLIC_KEY_BYTES),
  ed25519PublicKey: bytes('pk').slice(MLDSA_PUBLIC_KEY_BYTES),
};
const seeds = { mldsaSeed: bytes('sk').slice(0, 32), ed25519Seed: bytes('sk').slice(32) };
const context = Buffer.from(vector.ctx, 'base64').toString();

describe('composite signatures', () => {
  it('derive the published public keys from the published seeds', () => {
    const identity = identityFromSeeds(seeds);
    assert.deepEqual(identity.mldsaPublicKey, publicKeys.mldsaPublicKey);
    assert.deepEqual(identity.ed25519PublicKey, publicKeys.ed25519PublicKey);
    assert.equal(identity.fingerprint, createHash('sha256').update(bytes('pk')).digest('hex'));
  });

  it('accept the signatures published with the draft, without and with a context', () => {
    assert.equal(verifyComposite('', bytes('m'), bytes('s'), publicKeys), true);
    assert.equal(verifyComposite(context, bytes('m'), bytes('sWithContext'), publicKeys), true);
  });

  it('refuse them under another context, message or key', () => {
    assert.equal(verifyComposite(context, bytes('m'), bytes('s'), publicKeys), false);
    assert.equal(verifyComposite('', bytes('m'), bytes('sWithContext'), publicKeys), false);
    assert.equal(verifyComposite('', bytes('m').with(0, 0), bytes('s'), publicKeys), false);
    assert.equal(verifyComposite('', bytes('m'), bytes('s').subarray(1), publicKeys), false);
    const other = identityFromSeeds({ ...seeds, ed25519Seed: seeds.mldsaSeed });
    assert.equal(verifyComposite('', bytes('m'), bytes('s'), other), false);
  });

  it('give the published Ed25519 half, which is deterministic', () => {
    const mine = identityFromSeeds(seeds).signComposite(context, bytes('m'));
    assert.equal(mine.byteLength, COMPOSITE_SIGNATURE_BYTES);
    assert.equal(toHex(mine.slice(-64)), toHex(bytes('sWithContext').slice(-64)));
    assert.equal(verifyComposite(context, bytes('m'), mine, publicKeys), true);
  });

  it('need both halves: one altered byte anywhere is refused', () => {
    const identity = identityFromSeeds(seeds);
    const signature = identity.signComposite('starling/update/1', utf8('m'));
    fc.assert(
      fc.property(fc.nat(signature.length - 1), (at) => {
        const altered = signature.with(at, (signature[at] as number) ^ 0x10);
        assert.equal(verifyComposite('starling/update/1', utf8('m'), altered, identity), false);
      }),
      { numRuns: 30, examples: [[3308], [3309], [3372]] },
    );
  });

  it('repeat byte for byte on the deterministic implementation', () => {
    const sign = () => identityFromSeeds(seeds, nobleMldsa).signComposite('starling/update/1', utf8('m'));
    assert.deepEqual(sign(), sign());
    assert.equal(verifyComposite('starling/update/1', utf8('m'), sign(), publicKeys), true);
  });

  it('refuse a context of more than 255 bytes', () => {
    assert.throws(() => identityFromSeeds(seeds).signComposite('x'.repeat(256), utf8('m')), RangeError);
  });
});

describe('Ed25519', () => {
  it('gives the vector of RFC 8032 section 7.1, test 3', () => {
    const ed25519Seed = fromHex('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7');
    const identity = identityFromSeeds({ mldsaSeed: new Uint8Array(32), ed25519Seed });
    assert.equal(toHex(identity.ed25519PublicKey), 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025');
    const signature = identity.signEd25519(fromHex('af82'));
    assert.equal(
      toHex(signature),
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    );
    assert.equal(verifyEd25519(fromHex('af82'), signature, identity.ed25519PublicKey), true);
    assert.equal(verifyEd25519(fromHex('af83'), signature, identity.ed25519PublicKey), false);
  });

  it('answers false, not an error, to keys and signatures of any bytes and length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.uint8Array({ maxLength: 40 }), (signature, key) => {
        assert.equal(verifyEd25519(utf8('m'), signature, key), false);
      }),
    );
    // Of the right length the verdict is node:crypto's own, for keys of small order too; it must only never throw.
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.uint8Array({ minLength: 32, maxLength: 32 }), (signature, key) => {
        assert.equal(typeof verifyEd25519(utf8('m'), signature, key), 'boolean');
      }),
    );
  });
});

describe('peer ids', () => {
  it('are those of libp2p', async () => {
    for (const fill of [0, 1, 255]) {
      const ed25519Seed = new Uint8Array(32).fill(fill);
      const identity = identityFromSeeds({ mldsaSeed: new Uint8Array(32), ed25519Seed });
      const theirs = peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', ed25519Seed)).toString();
      assert.equal(identity.peerId, theirs);
      assert.equal(peerIdOf(identity.ed25519PublicKey), theirs);
    }
  });
});
