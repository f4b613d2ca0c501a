import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { toHex } from '../../../src/crypto/index.ts';
import type { AggregateHeader, FederatedRecord, SystemEvent } from '../../../src/spec/index.ts';
import {
  aggregateHash,
  attemptBytes,
  attemptId,
  attestBytes,
  beatBytes,
  blockHash,
  certificateBytes,
  checkpointText,
  cutHash,
  DOMAINS,
  decisionId,
  encodeCore,
  encodeGenesis,
  entryBytes,
  entryId,
  evidenceHash,
  haveBytes,
  inviteBytes,
  nextEventHash,
  proposalBytes,
  recordLeaf,
  rosterHash,
  stanceBytes,
  survivorsHash,
  swarmIdOf,
  voteBytes,
  votersHash,
} from '../../../src/wire/index.ts';
import { beat, block, checkpoint, doubleVote, invite, otherDoubleVote, reproposal, SWARM, vote } from './finalitySamples.ts';
import {
  alice,
  aliceCertificate,
  attempt,
  ballotCore,
  cbor,
  contributionCore,
  decisionCore,
  fromHexBytes,
  genesis,
  id,
  joinCore,
  membershipCore,
  verdictCore,
} from './samples.ts';

/** Made once by this code, then frozen: a change here changes what old signatures mean. */
const golden = JSON.parse(readFileSync(new URL('../../vectors/wire/sign-bytes.json', import.meta.url), 'utf8')) as Record<string, string>;

const node = alice.fingerprint;
const attest = { epoch: 7, base: id(0x20), node, ids: [id(1), id(2)] };
const stance = { epoch: 7, base: id(0x20), node, seq: 3, option: id(9), optionIds: [id(1)], prefs: [[id(9), 65_535]] as const };
const have = { epoch: 7, base: id(0x20), node, seq: 300, ids: [], trainers: 1 };
const aggregate: AggregateHeader = {
  v: 1,
  epoch: 7,
  weightTotal: 65_536,
  sumRoot: id(0x60),
  sumBytes: 28,
  distances: ['0', '12345678901234567890'],
  opening: { root: id(0x61), bytes: 82_000 },
};

const record: FederatedRecord = { nodeId: node, deltaHash: id(0x40), trustBefore: 2 ** 28, trustAfter: 2 ** 29, parentBlock: id(0x20) };
const event: SystemEvent = {
  timestamp: 1_700_000_000_001,
  metaHash: id(0x90),
  fusionEntropy: 2 ** 30,
  complianceScore: 0,
  federatedHash: id(0x91),
};

/** What the code says now. */
const actual: Record<string, string> = {
  certificate: toHex(certificateBytes(aliceCertificate)),
  join: toHex(entryBytes(encodeCore(joinCore))),
  contribution: toHex(entryBytes(encodeCore(contributionCore))),
  contributionId: entryId(encodeCore(contributionCore)),
  decision: toHex(entryBytes(encodeCore(decisionCore))),
  decisionId: decisionId(decisionCore.body),
  aggregateHash: aggregateHash(aggregate),
  attempt: toHex(attemptBytes(attempt)),
  attemptId: attemptId(attempt),
  attest: toHex(attestBytes(attest)),
  stance: toHex(stanceBytes(stance)),
  have: toHex(haveBytes(have)),
  swarmId: swarmIdOf(encodeGenesis(genesis)),
  membership: toHex(entryBytes(encodeCore(membershipCore))),
  verdict: toHex(entryBytes(encodeCore(verdictCore))),
  ballot: toHex(entryBytes(encodeCore(ballotCore))),
  invitedJoin: entryId(encodeCore({ ...joinCore, body: { certificate: aliceCertificate, invite } })),
  invite: toHex(inviteBytes(invite)),
  cutHash: cutHash([id(0x43), id(0x42)], [id(0x41), id(0x42)]),
  rosterHash: rosterHash([id(0x41), id(0x42)], [65_535, 1]),
  survivorsHash: survivorsHash(block.body),
  survivorsWithoutDrops: survivorsHash({ ...block.body, dropped: [] }),
  votersHash: votersHash([id(0x02), node, id(0x01)]),
  evidenceHash: evidenceHash([doubleVote, otherDoubleVote]),
  noEvidenceHash: evidenceHash([]),
  blockHash: blockHash(block.header),
  vote: toHex(voteBytes(SWARM, vote())),
  voteForNone: toHex(voteBytes(SWARM, vote({ step: 'prevote', round: 0, block: null }))),
  proposal: toHex(proposalBytes(SWARM, reproposal)),
  beat: toHex(beatBytes(SWARM, beat)),
  record: toHex(recordLeaf(record)),
  eventHash: nextEventHash(id(0), event),
  checkpoint: toHex(Buffer.from(checkpointText(checkpoint))),
};

const b = fromHexBytes;
const domain = (name: string, value: unknown) => Buffer.concat([Buffer.from(`${name}\0`), cbor(value)]);
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const certificate = [1, aliceCertificate.mldsaPublicKey, aliceCertificate.ed25519PublicKey, 'core', ['train', 'relay']];
const core = (seq: number, prev: Buffer | null, lam: number, seen: number, kind: number, deps: Buffer[], body: unknown) =>
  domain('starling/entry/1', [1, b(id(0x10)), b(node), seq, prev, lam, seen, b(id(0x20)), kind, deps, body]);
const contribution = core(
  1,
  b(id(0x30)),
  300,
  6,
  1,
  [b(id(0x31)), b(id(0x32))],
  [7, b(id(0x40)), 4820, 300, [32_767, 0], { loss: 0.25, accuracy: 1 }, b(id(0x45)), 2, [14, 0, 23]],
);
const dropped = [[1, 1, [b(id(0x02)), b(id(0x03))], [2, b(id(0x04)), b(id(0x02))]]];
const decision = [7, b(id(0x20)), [b(id(0x41)), b(id(0x42))], [65_535, 1], b(id(0x50)), dropped];
const attemptIs = domain('starling/attempt/1', [
  b(id(0x10)),
  7,
  b(id(0x20)),
  2,
  [b(id(0x41)), b(id(0x42)), b(id(0x43))],
  dropped,
  [
    [b(id(0x01)), b(id(0x02))],
    [b(id(0x01)), b(id(0x03))],
  ],
]);
const rosterIs = domain('starling/roster/1', [
  [b(id(0x41)), b(id(0x42))],
  [65_535, 1],
]);
const survivorsIs = domain('starling/survivors/1', [[b(id(0x41))], [65_535], [b(id(0x41)), b(id(0x42))], dropped]);

const swarm = b(SWARM);
const inviteFields = [1, swarm, 'relay', true, 1_800_000_000_000, 3, Buffer.alloc(16, 0x0f), b(node)];
const later = (kind: number, body: unknown) => core(3, b(id(0x34)), 302, 7, kind, [], body);
const voteOf = (round: number, step: number, value: Buffer | null) => [7, round, step, value, b(node)];
const signed = (value: string | null) => [...voteOf(1, 1, value === null ? null : b(value)), vote({ block: value }).signature];
const prevoted = (value: string) => [...voteOf(2, 0, b(value)), vote({ round: 2, step: 'prevote', block: value }).signature];
const evidence = [
  [signed(null), signed(id(0x70))],
  [prevoted(id(0x71)), prevoted(id(0x72))],
];
const header = [
  1,
  swarm,
  7,
  b(id(0x20)),
  70_000,
  b(id(0x80)),
  b(
    sha(
      domain(
        'starling/cut/1',
        [0x41, 0x42, 0x43, 0x44].map((n) => b(id(n))),
      ),
    ),
  ),
  b(
    sha(
      domain('starling/roster/1', [
        [b(id(0x41)), b(id(0x42))],
        [65_535, 1],
      ]),
    ),
  ),
  b(sha(survivorsIs)),
  b(id(0x50)),
  b(id(0x82)),
  b(id(0x83)),
  b(id(0x84)),
  b(id(0x85)),
  b(sha(domain('starling/evidence/1', evidence))),
  1_700_000_000_001,
];
const blockIs = b(sha(domain('starling/block/1', header)));

/** The same, written out by hand with another encoder and node:crypto. */
const independent: Record<string, string> = {
  certificate: cbor(certificate).toString('hex'),
  join: core(0, null, 1, 0, 0, [], [[...certificate, aliceCertificate.signature], null]).toString('hex'),
  contribution: contribution.toString('hex'),
  contributionId: sha(contribution),
  decision: core(2, b(id(0x33)), 301, 7, 2, [], decision).toString('hex'),
  decisionId: sha(domain('starling/decision/1', decision)),
  aggregateHash: sha(domain('starling/aggregate/1', [1, 7, 65_536, b(id(0x60)), 28, ['0', '12345678901234567890'], [b(id(0x61)), 82_000]])),
  attempt: attemptIs.toString('hex'),
  attemptId: sha(attemptIs),
  attest: domain('starling/attest/1', [7, b(id(0x20)), b(node), [b(id(1)), b(id(2))]]).toString('hex'),
  stance: domain('starling/stance/1', [7, b(id(0x20)), b(node), 3, b(id(9)), [b(id(1))], [[b(id(9)), 65_535]]]).toString('hex'),
  have: domain('starling/have/1', [7, b(id(0x20)), b(node), 300, [], 1]).toString('hex'),
  swarmId: sha(
    cbor({
      ...genesis,
      tensors: [
        ['weight', [3, 2]],
        ['bias', []],
      ],
      initialModelRoot: b(id(0xab)),
      founders: [[...certificate, aliceCertificate.signature]],
    }),
  ),
  membership: later(3, [2]).toString('hex'),
  verdict: later(4, [7, b(id(0x20)), b(id(0x50)), false, 'the loss rose']).toString('hex'),
  ballot: later(5, [1, b(id(0x43)), 7]).toString('hex'),
  invitedJoin: sha(
    core(
      0,
      null,
      1,
      0,
      0,
      [],
      [
        [...certificate, aliceCertificate.signature],
        [...inviteFields, invite.signature],
      ],
    ),
  ),
  invite: domain('starling/invite/1', inviteFields).toString('hex'),
  cutHash: sha(
    domain(
      'starling/cut/1',
      [0x41, 0x42, 0x43].map((n) => b(id(n))),
    ),
  ),
  rosterHash: sha(
    domain('starling/roster/1', [
      [b(id(0x41)), b(id(0x42))],
      [65_535, 1],
    ]),
  ),
  survivorsHash: sha(survivorsIs),
  survivorsWithoutDrops: sha(rosterIs),
  votersHash: sha(domain('starling/voters/1', [b(id(0x01)), b(id(0x02)), b(node)])),
  evidenceHash: sha(domain('starling/evidence/1', evidence)),
  noEvidenceHash: sha(domain('starling/evidence/1', [])),
  blockHash: blockIs.toString('hex'),
  vote: domain('starling/vote/1', [swarm, ...voteOf(1, 1, b(id(0x70)))]).toString('hex'),
  voteForNone: domain('starling/vote/1', [swarm, ...voteOf(0, 0, null)]).toString('hex'),
  proposal: domain('starling/proposal/1', [swarm, 7, 3, b(node), blockIs, 1]).toString('hex'),
  beat: domain('starling/beat/1', [swarm, b(node), 1_700_000_000_002, 7, blockIs, b(id(0x80)), b(id(0x82))]).toString('hex'),
  record: domain('starling/record/1', [b(node), b(id(0x40)), 2 ** 28, 2 ** 29, b(id(0x20))]).toString('hex'),
  eventHash: sha(domain('starling/event/1', [b(id(0)), 1_700_000_000_001, b(id(0x90)), 2 ** 30, 0, b(id(0x91))])),
  checkpoint: Buffer.from(`starling/${SWARM}\n70000\n${b(id(0x80)).toString('base64')}\nepoch 7\nmodel ${id(0x82)}\n`).toString('hex'),
};

describe('sign bytes', () => {
  it('cover the same kinds in the code, the golden file and the independent computation', () => {
    assert.deepEqual(Object.keys(golden), Object.keys(actual));
    assert.deepEqual(Object.keys(independent), Object.keys(actual));
  });

  for (const [name, value] of Object.entries(actual)) {
    it(`${name} is frozen`, () => assert.equal(value, golden[name]));
    it(`${name} is what the protocol says, computed apart`, () => assert.equal(value, independent[name]));
  }

  it('keep their domains apart', () => {
    assert.equal(new Set(Object.values(DOMAINS)).size, Object.keys(DOMAINS).length);
  });

  it('leave signatures out of what they sign', () => {
    assert.deepEqual(
      certificateBytes({ ...aliceCertificate, signature: new Uint8Array(0) } as typeof aliceCertificate),
      certificateBytes(aliceCertificate),
    );
    assert.deepEqual(inviteBytes({ ...invite, signature: new Uint8Array(0) } as typeof invite), inviteBytes(invite));
    assert.deepEqual(voteBytes(SWARM, { ...vote(), signature: new Uint8Array(0) } as never), voteBytes(SWARM, vote()));
    assert.deepEqual(attestBytes({ ...attest, signature: new Uint8Array(64) } as typeof attest), attestBytes(attest));
  });
});
