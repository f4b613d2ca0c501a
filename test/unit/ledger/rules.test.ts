import assert from 'node:assert/strict';
import { type Identity, identityFromSeeds, sha256, utf8 } from '../../../src/crypto/index.ts';
import { checkEntry, type EntryVerdict, LedgerGraph } from '../../../src/ledger/index.ts';
import type { AnyEntryCore, ErrorCode, Invite, SignedEntry } from '../../../src/spec/index.ts';
import { entryBytes, makeCertificate, makeInvite, UPDATE_CONTEXT } from '../../../src/wire/index.ts';
import { type Draft, draft, hashOf, SWARM, sealed } from './entries.ts';

const identity = (name: string): Identity =>
  identityFromSeeds({ mldsaSeed: sha256(utf8(`${name} mldsa`)), ed25519Seed: sha256(utf8(`${name} ed25519`)) });

describe('ledger/rules', () => {
  const [ada, bob, eve] = ['ada', 'bob', 'eve'].map(identity) as [Identity, Identity, Identity];
  const sign = (entry: SignedEntry, by: Identity): SignedEntry => {
    const message = entryBytes(entry.coreBytes);
    const signed = { ...entry, signature: by.signEd25519(message) };
    return entry.core.kind === 'contribution' ? { ...signed, composite: by.signComposite(UPDATE_CONTEXT, message) } : signed;
  };
  const joinOf = (by: Identity, certificate = makeCertificate(by, 'core', [])): SignedEntry =>
    sign(draft({ author: by.fingerprint, change: { kind: 'join', body: { certificate, invite: null } } }), by);
  const next = (by: Identity, d: Omit<Draft, 'author'>): SignedEntry => sign(draft({ author: by.fingerprint, ...d }), by);

  let graph: LedgerGraph;
  let adaJoin: SignedEntry;
  let bobJoin: SignedEntry;
  let ada1: SignedEntry;
  const check = (entry: SignedEntry, g: LedgerGraph = graph): EntryVerdict =>
    checkEntry(entry, { swarm: SWARM, place: (id) => g.place(id), certificateOf: (author) => g.certificateOf(author) });
  const refuses = (entry: SignedEntry, code: ErrorCode): void => {
    const verdict = check(entry);
    assert.equal(verdict.kind, 'reject', JSON.stringify(verdict));
    assert.equal(verdict.kind === 'reject' && verdict.code, code);
  };

  before(() => {
    graph = new LedgerGraph();
    adaJoin = joinOf(ada);
    bobJoin = joinOf(bob);
    ada1 = next(ada, { prev: adaJoin, deps: [bobJoin] });
  });

  it('accepts a join, a contribution and a decision, in that order', () => {
    const decision = {
      kind: 'decision',
      body: { epoch: 1, prev: hashOf(''), roster: [ada1.id], weights: [5], aggregateHash: hashOf(''), dropped: [] },
    } as const;
    for (const entry of [adaJoin, bobJoin, ada1, next(bob, { prev: bobJoin, deps: [ada1], change: decision })]) {
      assert.deepEqual(check(entry), { kind: 'accept' });
      graph.add(entry);
    }
  });

  it('accepts the other side of a fork: both are kept', () => {
    assert.deepEqual(check(next(ada, { prev: adaJoin, salt: 'other' })), { kind: 'accept' });
  });

  it('names the parents it would need', () => {
    const far = next(ada, { prev: next(ada, { prev: ada1 }), deps: [next(bob, { prev: bobJoin, salt: 'unseen' })] });
    assert.deepEqual(check(far), { kind: 'missing', ids: [far.core.prev, ...far.core.deps] });
    assert.deepEqual(check(ada1, new LedgerGraph()), { kind: 'missing', ids: [adaJoin.id, bobJoin.id] });
  });

  it('asks for no parents on the word of a wrong signature', () => {
    const far = next(ada, { prev: next(ada, { prev: ada1 }) });
    refuses({ ...far, signature: bob.signEd25519(entryBytes(far.coreBytes)) }, 'BAD_SIGNATURE');
  });

  const signedChange = (change: Partial<AnyEntryCore>, by = ada): SignedEntry => next(by, { prev: ada1, change });
  it('refuses each broken rule by its name', () => {
    refuses(signedChange({ swarm: hashOf('another swarm') }), 'WRONG_SWARM');
    refuses(signedChange({ seq: 5 }), 'BAD_SEQUENCE');
    refuses(signedChange({ prev: bobJoin.id, seq: 1, lam: 2 }), 'BAD_SEQUENCE');
    refuses(signedChange({ lam: ada1.core.lam }), 'BAD_LAMPORT');
    refuses(signedChange({ lam: ada1.core.lam + 2 }), 'BAD_LAMPORT');
    refuses(signedChange({ deps: [adaJoin.id] }), 'BAD_DEPS');
    refuses(next(ada, {}), 'BAD_SEQUENCE'); // a contribution at number 0
    refuses(signedChange({ kind: 'join', body: { certificate: makeCertificate(ada, 'core', []), invite: null } }), 'BAD_SEQUENCE');
  });

  it('refuses malformed places and deps that the decoder would not let through', () => {
    const core = signedChange({}).core;
    const raw = (change: Partial<AnyEntryCore>): SignedEntry => ({ ...ada1, core: { ...core, ...change } as AnyEntryCore });
    refuses(raw({ prev: null }), 'BAD_SEQUENCE');
    refuses(raw({ deps: [hashOf('a'), hashOf('b')].sort().reverse() }), 'BAD_DEPS');
    refuses(raw({ deps: [hashOf('a'), hashOf('a')] }), 'BAD_DEPS');
    refuses(raw({ deps: Array.from({ length: 9 }, (_, i) => hashOf(`${i}`)).sort() }), 'BAD_DEPS');
  });

  it('refuses signatures of others, cut ones, and ones of another context', () => {
    const good = signedChange({});
    const message = entryBytes(good.coreBytes);
    assert.deepEqual(check(good), { kind: 'accept' });
    refuses({ ...good, signature: eve.signEd25519(message) }, 'BAD_SIGNATURE');
    refuses({ ...good, signature: good.signature.subarray(1) }, 'BAD_SIGNATURE');
    refuses({ ...good, composite: eve.signComposite(UPDATE_CONTEXT, message) }, 'BAD_SIGNATURE');
    refuses({ ...good, composite: ada.signComposite('starling/block/1', message) }, 'BAD_SIGNATURE');
    const { composite, ...bare } = good;
    assert.ok(composite !== undefined);
    refuses(bare, 'BAD_SIGNATURE');
    refuses({ ...joinOf(eve), composite }, 'MALFORMED');
  });

  it('refuses a join whose certificate is not its own or not whole', () => {
    const certificate = makeCertificate(eve, 'core', []);
    refuses(
      sign(draft({ author: ada.fingerprint, change: { kind: 'join', body: { certificate, invite: null } } }), eve),
      'BAD_CERTIFICATE',
    );
    refuses(joinOf(eve, { ...certificate, nodeClass: 'relay' }), 'BAD_CERTIFICATE');
    assert.deepEqual(check(joinOf(eve, certificate)), { kind: 'accept' });
  });

  it('accepts membership, verdicts and ballots under Ed25519 alone, after the first entry', () => {
    const kinds = [
      { kind: 'membership', body: { action: 'leave' } },
      { kind: 'verdict', body: { epoch: 1, base: SWARM, aggregateHash: hashOf('sum'), good: true, reason: '' } },
      { kind: 'ballot', body: { action: 'admit', subject: bob.fingerprint, epoch: 1 } },
    ] as const;
    for (const change of kinds) {
      const entry = signedChange(change);
      assert.deepEqual(check(entry), { kind: 'accept' });
      refuses({ ...entry, signature: eve.signEd25519(entryBytes(entry.coreBytes)) }, 'BAD_SIGNATURE');
      refuses({ ...entry, composite: ada.signComposite(UPDATE_CONTEXT, entryBytes(entry.coreBytes)) }, 'MALFORMED');
      refuses(next(ada, { change }), 'BAD_SEQUENCE');
    }
  });

  it('refuses a join whose invite is to another swarm, for another class, or its own; its issuer is for the state to judge', () => {
    const fields = { swarm: SWARM, nodeClass: 'core', vote: true, expiresMs: 1, uses: 1, nonce: '00'.repeat(16) } as const;
    const invitedJoin = (invite: Invite): SignedEntry => {
      const body = { certificate: makeCertificate(eve, 'core', []), invite };
      return sign(draft({ author: eve.fingerprint, change: { kind: 'join', body } }), eve);
    };
    const invite = makeInvite(fields, ada);
    refuses(invitedJoin(makeInvite({ ...fields, swarm: hashOf('another swarm') }, ada)), 'BAD_INVITE');
    refuses(invitedJoin(makeInvite({ ...fields, nodeClass: 'relay' }, ada)), 'BAD_INVITE');
    refuses(invitedJoin(makeInvite(fields, eve)), 'BAD_INVITE');
    // The same for who holds the issuer's join and who does not.
    for (const known of [graph, new LedgerGraph()])
      for (const one of [invite, { ...invite, uses: 2 }]) assert.deepEqual(check(invitedJoin(one), known), { kind: 'accept' });
  });

  it('refuses an author whose chain does not start with a join', () => {
    const strange = new LedgerGraph();
    const first = sealed(draft({ author: eve.fingerprint }).core);
    strange.add(first);
    const verdict = check(next(eve, { prev: first }), strange);
    assert.equal(verdict.kind === 'reject' && verdict.code, 'UNKNOWN_AUTHOR');
  });
});
