import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex, verifyComposite, verifyEd25519 } from '../../../src/crypto/index.ts';
import {
  type AnyEntryCore,
  DROP_REASONS,
  ENTRY_MAX_BYTES,
  type EntryCore,
  type EntryKind,
  StarlingError,
  TRANSFER_PHASES,
} from '../../../src/spec/index.ts';
import { decodeCore, decodeEntry, encode, encodeCore, encodeEntry, entryBytes, UPDATE_CONTEXT } from '../../../src/wire/index.ts';
import {
  alice,
  ballotCore,
  cbor,
  contributionCore,
  cores,
  decisionCore,
  id,
  joinCore,
  membershipCore,
  signedEntry,
  verdictCore,
} from './samples.ts';

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const hashSet = (maxLength: number) => fc.uniqueArray(hash, { maxLength }).map((hashes) => hashes.sort());
const uint = fc.maxSafeNat();

const common = fc.record({
  v: fc.constant(1 as const),
  swarm: hash,
  author: hash,
  lam: fc.integer({ min: 1 }),
  epochSeen: uint,
  anchorBlock: hash,
  deps: hashSet(8),
});
const chained = fc.oneof(fc.constant({ seq: 0, prev: null }), fc.record({ seq: fc.integer({ min: 1 }), prev: hash }));
const contribution = fc.record({
  epoch: uint,
  updateHash: hash,
  sizeBytes: fc.integer({ min: 1, max: 2 ** 29 }),
  samples: fc.integer({ min: 1 }),
  maxAbs: fc.array(uint, { maxLength: 6 }),
  metrics: fc.dictionary(
    fc.stringMatching(/^[a-z]{1,8}$/),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
    { maxKeys: 4, noNullPrototype: true },
  ),
  commitment: fc.option(hash),
  staleness: uint,
});
/** Unknown ones stand between others alone. */
const links = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 14, max: 23 })), { maxLength: 6 })
  .map((told) => told.slice(0, told.findLastIndex((exponent) => exponent > 0) + 1));
const reason = fc.constantFrom(...DROP_REASONS);
const place = fc.record({ phase: fc.constantFrom(...TRANSFER_PHASES), from: hash, to: hash }, { noNullPrototype: true });
const droppedOf = (roster: readonly string[]) =>
  fc
    .tuple(
      fc.subarray([...roster]),
      fc.array(fc.record({ why: reason, by: hashSet(3), at: fc.option(place) }), { minLength: 5, maxLength: 5 }),
    )
    .map(([ids, drops]) => ids.map((id, i) => ({ id, ...(drops[i] as (typeof drops)[number]) })));
const decision = hashSet(5).chain((roster) =>
  fc.record({
    epoch: fc.integer({ min: 1 }),
    prev: hash,
    roster: fc.constant(roster),
    weights: fc.array(fc.nat(10_000), { minLength: roster.length, maxLength: roster.length }),
    aggregateHash: hash,
    dropped: droppedOf(roster),
  }),
);
const membership = fc.record({ action: fc.constantFrom('away' as const, 'leave' as const, 'resume' as const) });
const verdict = fc.record({ epoch: fc.integer({ min: 1 }), base: hash, aggregateHash: hash }).chain((body) =>
  fc.oneof(
    fc.constant({ ...body, good: true, reason: '' }),
    fc.stringMatching(/^[ -~]{0,200}$/).map((reason) => ({ ...body, good: false, reason })),
  ),
);
const ballot = fc.oneof(
  fc.record({ action: fc.constantFrom('admit' as const, 'remove' as const), subject: hash, epoch: uint }),
  fc.record({ action: fc.constant('restore' as const), subject: fc.constant(null), epoch: uint }),
);
const anyCore: fc.Arbitrary<AnyEntryCore> = fc.oneof(
  fc.tuple(common, chained, membership).map(([a, b, body]) => ({ ...a, ...b, kind: 'membership' as const, body: { ...body } })),
  fc.tuple(common, chained, verdict).map(([a, b, body]) => ({ ...a, ...b, kind: 'verdict' as const, body: { ...body } })),
  fc.tuple(common, chained, ballot).map(([a, b, body]) => ({ ...a, ...b, kind: 'ballot' as const, body: { ...body } })),
  fc.tuple(common, chained, contribution, links).map(([a, b, body, told]) => ({
    ...a,
    ...b,
    kind: 'contribution' as const,
    body: { ...body, links: body.commitment === null ? [] : told },
  })),
  fc.tuple(common, chained, decision).map(([a, b, body]) => ({ ...a, ...b, kind: 'decision' as const, body: { ...body } })),
);

/** The wire array of a core with one position replaced. */
function withField(core: AnyEntryCore, position: number, value: unknown): Uint8Array {
  const b = (hex: string) => Buffer.from(hex, 'hex');
  const { certificate } = joinCore.body;
  const bodies: Record<EntryKind, () => readonly unknown[]> = {
    join: () => [[1, certificate.mldsaPublicKey, certificate.ed25519PublicKey, 'core', ['train', 'relay'], certificate.signature], null],
    contribution: () => [7, b(id(0x40)), 4820, 300, [32_767, 0], { loss: 0.25, accuracy: 1 }, b(id(0x45)), 2, [14, 0, 23]],
    decision: () => [
      7,
      b(id(0x20)),
      [b(id(0x41)), b(id(0x42))],
      [65_535, 1],
      b(id(0x50)),
      [[1, 1, [b(id(0x02)), b(id(0x03))], [2, b(id(0x04)), b(id(0x02))]]],
    ],
    membership: () => [2],
    verdict: () => [7, b(id(0x20)), b(id(0x50)), false, 'the loss rose'],
    ballot: () => [1, b(id(0x43)), 7],
  };
  const { v, swarm, author, seq, prev, lam, epochSeen, anchorBlock, kind, deps } = core;
  const wire: readonly unknown[] = [
    v,
    b(swarm),
    b(author),
    seq,
    prev && b(prev),
    lam,
    epochSeen,
    b(anchorBlock),
    ['join', 'contribution', 'decision', 'membership', 'verdict', 'ballot'].indexOf(kind),
    deps.map(b),
    bodies[kind](),
  ];
  return cbor(wire.with(position, value));
}

const hashes = (n: number) => Array.from({ length: n }, (_, i) => Buffer.alloc(32, i));
const contributionBody = (position: number, value: unknown): [EntryCore<'contribution'>, number, unknown] => [
  contributionCore,
  10,
  [7, Buffer.alloc(32), 4820, 300, [1], {}, Buffer.alloc(32), 0, []].with(position, value as never),
];
const decisionBody = (position: number, value: unknown): [EntryCore<'decision'>, number, unknown] => [
  decisionCore,
  10,
  [7, Buffer.alloc(32), hashes(2), [1, 1], Buffer.alloc(32), []].with(position, value as never),
];
const certificateBody = (position: number, value: unknown): [EntryCore<'join'>, number, unknown] => [
  joinCore,
  10,
  [[1, Buffer.alloc(1952), Buffer.alloc(32), 'core', [], Buffer.alloc(3373)].with(position, value as never), null],
];

const verdictBody = (position: number, value: unknown): [EntryCore<'verdict'>, number, unknown] => [
  verdictCore,
  10,
  [7, Buffer.alloc(32), Buffer.alloc(32), false, 'worse'].with(position, value as never),
];
const inviteBody = (position: number, value: unknown): [EntryCore<'join'>, number, unknown] => [
  joinCore,
  10,
  [
    [1, Buffer.alloc(1952), Buffer.alloc(32), 'core', [], Buffer.alloc(3373)],
    [1, Buffer.alloc(32), 'edge', false, 0, 1, Buffer.alloc(16), Buffer.alloc(32), Buffer.alloc(3373)].with(position, value as never),
  ],
];

/** What, the core, the position in the array, the value put there, the field that the error names. */
const refusals: readonly (readonly [string, [AnyEntryCore, number, unknown], string])[] = [
  ['another version', [decisionCore, 0, 2], 'entry.v'],
  ['a swarm id of 31 bytes', [decisionCore, 1, Buffer.alloc(31)], 'entry.swarm'],
  ['an author in hex text', [decisionCore, 2, id(1)], 'entry.author'],
  ['a negative seq', [decisionCore, 3, -1], 'entry.seq'],
  ['a fractional seq', [decisionCore, 3, 1.5], 'entry.seq'],
  ['seq 0 with a parent', [decisionCore, 3, 0], 'entry.prev'],
  ['a later seq without a parent', [decisionCore, 4, null], 'entry.prev'],
  ['lam 0', [decisionCore, 5, 0], 'entry.lam'],
  ['an unknown kind', [decisionCore, 8, 6], 'entry.kind'],
  ['a kind by name', [decisionCore, 8, 'decision'], 'entry.kind'],
  ['the body of another kind', [decisionCore, 8, 1], 'contribution'],
  ['nine deps', [decisionCore, 9, hashes(9)], 'entry.deps'],
  ['unsorted deps', [decisionCore, 9, hashes(3).reverse()], 'entry.deps[1]'],
  ['a dep twice', [decisionCore, 9, [Buffer.alloc(32), Buffer.alloc(32)]], 'entry.deps[1]'],
  ['a body with a field more', [decisionCore, 10, [1, 2, 3, 4, 5, 6, 7]], 'decision'],
  ['a decision about epoch 0', decisionBody(0, 0), 'decision.epoch'],
  ['an unsorted roster', decisionBody(2, hashes(2).reverse()), 'decision.roster[1]'],
  ['a roster with one weight missing', decisionBody(3, [1]), 'decision.weights'],
  ['a negative weight', decisionBody(3, [-1, 1]), 'decision.weights[0]'],
  ['weights above the total', decisionBody(3, [65_536, 1]), 'decision.weights'],
  ['a drop of what is not rostered', decisionBody(5, [[2, 0, [], null]]), 'decision.dropped[0].id'],
  ['a drop without a reason', decisionBody(5, [[1, 3, [], null]]), 'decision.dropped[0].why'],
  ['an update of no bytes', contributionBody(2, 0), 'contribution.sizeBytes'],
  ['an update of 2^40 bytes', contributionBody(2, 2 ** 40), 'contribution.sizeBytes'],
  ['no samples', contributionBody(3, 0), 'contribution.samples'],
  ['a negative max-abs', contributionBody(4, [-1]), 'contribution.maxAbs[0]'],
  ['a metric that is text', contributionBody(5, { loss: 'low' }), 'contribution.metrics.loss'],
  ['17 metrics', contributionBody(5, Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`m${i}`, 1]))), 'contribution.metrics'],
  ['a metric called __proto__', contributionBody(5, JSON.parse('{"__proto__": 1}')), 'contribution.metrics'],
  ['a commitment of 31 bytes', contributionBody(6, Buffer.alloc(31)), 'contribution.commitment'],
  ['a negative staleness', contributionBody(7, -1), 'contribution.staleness'],
  ['a link nearer than any', contributionBody(8, [14, 13]), 'contribution.links[1]'],
  ['a link farther than any', contributionBody(8, [24]), 'contribution.links[0]'],
  ['a negative link', contributionBody(8, [-1]), 'contribution.links[0]'],
  ['links that end with an unknown one', contributionBody(8, [14, 0]), 'contribution.links'],
  ['links to 1,025 members', contributionBody(8, Array(1_025).fill(14)), 'contribution.links'],
  ['metrics as a list', contributionBody(5, [1]), 'contribution.metrics'],
  ['a certificate with a short key', certificateBody(1, Buffer.alloc(1951)), 'join.certificate.mldsaPublicKey'],
  ['an unknown class', certificateBody(3, 'king'), 'join.certificate.nodeClass'],
  ['17 capabilities', certificateBody(4, new Array(17).fill('a')), 'join.certificate.capabilities'],
  ['a join without a word about an invite', [joinCore, 10, [[]]], 'join'],
  ['an invite of another version', inviteBody(0, 2), 'join.invite.v'],
  ['an invite for an unknown class', inviteBody(2, 'king'), 'join.invite.nodeClass'],
  ['an invite with a vote for an edge', inviteBody(3, true), 'join.invite.vote'],
  ['an invite with half a vote', inviteBody(3, 1), 'join.invite.vote'],
  ['an invite for nobody', inviteBody(5, 0), 'join.invite.uses'],
  ['an invite for everybody', inviteBody(5, 65_537), 'join.invite.uses'],
  ['an invite with a long nonce', inviteBody(6, Buffer.alloc(32)), 'join.invite.nonce'],
  ['an invite with a short signature', inviteBody(8, Buffer.alloc(64)), 'join.invite.signature'],
  ['an unknown membership action', [membershipCore, 10, [3]], 'membership.action'],
  ['a membership action by name', [membershipCore, 10, ['leave']], 'membership.action'],
  ['a verdict on epoch 0', verdictBody(0, 0), 'verdict.epoch'],
  ['a verdict by number', verdictBody(3, 1), 'verdict.good'],
  ['a good verdict with a reason', verdictBody(3, true), 'verdict.reason'],
  ['a reason of 201 characters', verdictBody(4, 'x'.repeat(201)), 'verdict.reason'],
  ['a reason of two lines', verdictBody(4, 'a\nb'), 'verdict.reason'],
  ['an unknown ballot', [ballotCore, 10, [3, Buffer.alloc(32), 7]], 'ballot.action'],
  ['a ballot about nobody', [ballotCore, 10, [0, null, 7]], 'ballot.subject'],
  ['a restore of somebody', [ballotCore, 10, [2, Buffer.alloc(32), 7]], 'ballot.subject'],
  ['a certificate with a short signature', certificateBody(5, Buffer.alloc(64)), 'join.certificate.signature'],
];

describe('entries', () => {
  it('decode to what was encoded, every kind', () => {
    for (const core of cores) assert.deepEqual(decodeCore(encodeCore(core)), core);
    fc.assert(fc.property(anyCore, (core) => assert.deepEqual(decodeCore(encodeCore(core)), core)));
  });

  it('are the array of PROTOCOL section 3', () => {
    for (const core of cores) assert.deepEqual(Buffer.from(encodeCore(core)), withField(core, 0, 1));
  });

  it('travel with their signatures, which still verify', () => {
    for (const core of cores) {
      const entry = signedEntry(core);
      const decoded = decodeEntry(encodeEntry(entry));
      assert.deepEqual(decoded, entry);
      const message = entryBytes(decoded.coreBytes);
      assert.equal(verifyEd25519(message, decoded.signature, alice.ed25519PublicKey), true);
      if (decoded.composite !== undefined) assert.equal(verifyComposite(UPDATE_CONTEXT, message, decoded.composite, alice), true);
    }
  });

  for (const [what, [core, position, value], field] of refusals)
    it(`refuse ${what}`, () => {
      assert.throws(
        () => decodeCore(withField(core, position, value)),
        (e) => e instanceof StarlingError && e.code === 'MALFORMED' && e.facts.field === field,
      );
    });

  it('refuse a core or an envelope above its bound, and a core that is not canonical', () => {
    assert.throws(() => decodeCore(new Uint8Array(ENTRY_MAX_BYTES + 1)), { code: 'TOO_LARGE' });
    assert.throws(() => decodeEntry(new Uint8Array(ENTRY_MAX_BYTES + 4097)), { code: 'TOO_LARGE' });
    const { coreBytes, signature } = signedEntry(decisionCore);
    const looseSeq = Buffer.concat([coreBytes.subarray(0, 70), Buffer.of(0x18, coreBytes[70] as number), coreBytes.subarray(71)]);
    assert.equal(coreBytes[70], 2);
    assert.throws(
      () => decodeEntry(encode([looseSeq, signature, null])),
      (e: StarlingError) => e.code === 'NON_CANONICAL' || e.code === 'MALFORMED',
    );
    assert.throws(() => decodeEntry(encode([coreBytes, signature.subarray(1), null])), { code: 'MALFORMED' });
    assert.throws(() => decodeEntry(encode([coreBytes, signature, new Uint8Array(64)])), { code: 'MALFORMED' });
    assert.throws(() => decodeEntry(encode([coreBytes, signature])), { code: 'MALFORMED' });
  });

  it('give a typed error or the same bytes back, whatever byte is changed', () => {
    const bytes = encodeEntry(signedEntry(contributionCore)).slice();
    fc.assert(
      fc.property(fc.nat(400), fc.nat(255), (at, byte) => {
        const altered = bytes.with(at, byte);
        try {
          assert.deepEqual(encodeEntry(decodeEntry(altered)), altered);
        } catch (e) {
          assert.ok(e instanceof StarlingError, String(e));
        }
      }),
      { numRuns: 500 },
    );
  });
});
