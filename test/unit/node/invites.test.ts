import assert from 'node:assert/strict';
import type { InviteRequest } from '../../../src/api/index.ts';
import { type Identity, toHex } from '../../../src/crypto/index.ts';
import { issueInvite } from '../../../src/node/invites.ts';
import type { SwarmState } from '../../../src/spec/index.ts';
import { decodeInviteToken, verifyInvite } from '../../../src/wire/index.ts';
import { FinalChain, identityNamed } from '../../support/finalChain.ts';

const [ann, bob, cem, dee] = ['ann', 'bob', 'cem', 'dee'].map(identityNamed) as [Identity, Identity, Identity, Identity];
const NOW = 1_000_000;
const REQUEST: InviteRequest = { nodeClass: 'core', vote: true, expiresMs: NOW + 60_000, uses: 1 };

describe('an invite', () => {
  const chain = new FinalChain([ann, bob, cem], { admission: 'invite' });
  const issue = (identity: Identity, request: Partial<InviteRequest> = {}, state: Pick<SwarmState, 'members'> = chain.head) =>
    issueInvite({ identity, swarm: chain.swarm, state, nowMs: NOW, nonce: '0f'.repeat(16) }, { ...REQUEST, ...request });

  it('is signed by the voter that made it, for this swarm and this right', () => {
    const { token, invite } = issue(ann);
    assert.deepEqual(decodeInviteToken(token), invite);
    assert.ok(verifyInvite(invite, ann));
    assert.ok(!verifyInvite(invite, bob));
    const { signature: _, ...facts } = invite;
    assert.deepEqual(facts, { v: 1, swarm: chain.swarm, ...REQUEST, nonce: '0f'.repeat(16), issuer: ann.fingerprint });
  });

  it('makes its holder a voter, and only its holder, once a block holds the join', () => {
    const { invite } = issue(ann);
    const stranger = identityNamed('stranger');
    chain.finalise([], [...[ann, bob, cem].map((founder) => chain.join(founder)), chain.join(stranger), chain.join(dee, invite)]);
    const rights = new Map(chain.head.members.map((m) => [m.fingerprint, m.vote]));
    assert.equal(rights.get(dee.fingerprint), 'voter');
    assert.equal(rights.has(stranger.fingerprint), false);
    assert.equal(chain.head.invites[0]?.used, 1);
    assert.ok(issue(dee).token.length > 0);
  });

  it('comes from voters in good standing alone', () => {
    const refused = { code: 'NOT_VOTER' };
    assert.throws(() => issue(identityNamed('stranger')), refused);
    for (const change of [
      { vote: 'none' },
      { vote: 'granted' },
      { vote: 'removed' },
      { status: 'suspended' },
      { status: 'expelled' },
    ] as const) {
      const members = chain.head.members.map((m) => (m.fingerprint === ann.fingerprint ? { ...m, ...change } : m));
      assert.throws(() => issue(ann, {}, { members }), refused);
      assert.throws(() => issue(ann, { vote: false }, { members }), refused);
    }
    const away = chain.head.members.map((m) => ({ ...m, status: 'away' as const }));
    assert.ok(issue(ann, {}, { members: away }).token.length > 0);
  });

  it('is refused where it could admit nobody, with what to do', () => {
    const bad: readonly [Partial<InviteRequest>, RegExp][] = [
      [{ nodeClass: 'edge' }, /vote/],
      [{ nodeClass: 'observer' }, /vote/],
      [{ expiresMs: NOW }, /expires/],
      [{ uses: 0 }, /uses/],
      [{ uses: 1e9 }, /uses/],
    ];
    for (const [request, field] of bad)
      assert.throws(
        () => issue(ann, request),
        (error: { code: string; facts: { field?: string; fix?: string } }) =>
          error.code === 'BAD_INVITE' && field.test(error.facts.field ?? '') && error.facts.fix !== undefined,
      );
    assert.ok(issue(ann, { nodeClass: 'edge', vote: false }).invite.nodeClass === 'edge');
    assert.equal(toHex(issue(ann).invite.signature).length, 2 * 3_373);
  });
});
