import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { toHex } from '../../../src/crypto/index.ts';
import type { AggregateHeader } from '../../../src/spec/index.ts';
import {
  aggregateHash,
  attestBytes,
  certificateBytes,
  DOMAINS,
  decisionId,
  encodeCore,
  encodeGenesis,
  entryBytes,
  entryId,
  haveBytes,
  stanceBytes,
  swarmIdOf,
} from '../../../src/wire/index.ts';
import { alice, aliceCertificate, cbor, contributionCore, decisionCore, fromHexBytes, genesis, id, joinCore } from './samples.ts';

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
  attest: toHex(attestBytes(attest)),
  stance: toHex(stanceBytes(stance)),
  have: toHex(haveBytes(have)),
  swarmId: swarmIdOf(encodeGenesis(genesis)),
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
  [7, b(id(0x40)), 4820, 300, [32_767, 0], { loss: 0.25, accuracy: 1 }],
);
const decision = [7, b(id(0x20)), [b(id(0x41)), b(id(0x42))], [65_535, 1], b(id(0x50))];

/** The same, written out by hand with another encoder and node:crypto. */
const independent: Record<string, string> = {
  certificate: cbor(certificate).toString('hex'),
  join: core(0, null, 1, 0, 0, [], [[...certificate, aliceCertificate.signature], null]).toString('hex'),
  contribution: contribution.toString('hex'),
  contributionId: sha(contribution),
  decision: core(2, b(id(0x33)), 301, 7, 2, [], decision).toString('hex'),
  decisionId: sha(domain('starling/decision/1', decision)),
  aggregateHash: sha(domain('starling/aggregate/1', [1, 7, 65_536, b(id(0x60)), 28, ['0', '12345678901234567890']])),
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
    assert.deepEqual(attestBytes({ ...attest, signature: new Uint8Array(64) } as typeof attest), attestBytes(attest));
  });
});
