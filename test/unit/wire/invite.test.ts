import assert from 'node:assert/strict';
import { identityFromSeeds, nobleMldsa } from '../../../src/crypto/index.ts';
import { type EntryCore, type Invite, StarlingError } from '../../../src/spec/index.ts';
import { decodeCore, decodeInviteToken, encode, encodeCore, encodeInviteToken, makeInvite, verifyInvite } from '../../../src/wire/index.ts';
import { invite } from './finalitySamples.ts';
import { alice, joinCore } from './samples.ts';

const bob = identityFromSeeds({ mldsaSeed: new Uint8Array(32).fill(3), ed25519Seed: new Uint8Array(32).fill(4) }, nobleMldsa);
const token = encodeInviteToken(invite);
const refuses = (text: string): void =>
  assert.throws(
    () => decodeInviteToken(text),
    (e) => e instanceof StarlingError && e.code === 'BAD_INVITE' && typeof e.facts.fix === 'string',
  );

describe('invites', () => {
  it('go through one line of text and verify with the issuer alone', () => {
    assert.match(token, /^starling-invite-1\.[\w-]+$/);
    assert.deepEqual(decodeInviteToken(`  ${token}\n`), invite);
    assert.equal(verifyInvite(decodeInviteToken(token), alice), true);
    assert.equal(verifyInvite(invite, bob), false);
    assert.equal(verifyInvite({ ...invite, uses: 4 }, alice), false);
  });

  it('ride in joins', () => {
    const core: EntryCore<'join'> = { ...joinCore, body: { ...joinCore.body, invite } };
    assert.deepEqual(decodeCore(encodeCore(core)), core);
  });

  it('are not made for no use, for ever smaller times, or with a vote for a class that has none', () => {
    const { v: _v, issuer: _i, signature: _s, ...fields } = invite;
    const wrong: readonly Partial<Invite>[] = [{ uses: 0 }, { uses: 65_537 }, { expiresMs: -1 }, { nodeClass: 'edge' }, { nonce: '0f' }];
    for (const change of wrong)
      assert.throws(() => makeInvite({ ...fields, ...change }, alice), { code: 'BAD_INVITE' }, JSON.stringify(change));
    assert.equal(makeInvite({ ...fields, vote: false, nodeClass: 'edge' }, alice).nodeClass, 'edge');
  });

  it('that are cut, altered, or something else are refused with what to do', () => {
    refuses('');
    refuses('hello');
    refuses(token.slice(1));
    refuses(token.slice(0, -4));
    refuses(`${token}A`);
    refuses(token.replace('invite-1', 'invite-2'));
    refuses(`${token.slice(0, 40)} ${token.slice(40)}`);
    refuses(`${token.slice(0, 40)}+${token.slice(41)}`);
    refuses(token + 'A'.repeat(8_192));
    refuses(`starling-invite-1.${Buffer.from(encode([1, 2, 3])).toString('base64url')}`);
    refuses(`starling-invite-1.${Buffer.from('not CBOR').toString('base64url')}`);
  });
});
