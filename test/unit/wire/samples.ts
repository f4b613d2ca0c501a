/** Valid values of every kind, and a second, independent canonical CBOR encoder to hold the first to account. */
import assert from 'node:assert/strict';
import { type Identity, identityFromSeeds, nobleMldsa } from '../../../src/crypto/index.ts';
import {
  type AnyEntryCore,
  type Attempt,
  type Dropped,
  type EntryCore,
  type ErrorCode,
  type Genesis,
  type NodeCertificate,
  type SignedEntry,
  StarlingError,
} from '../../../src/spec/index.ts';
import { encodeCore, entryBytes, entryId, makeCertificate, UPDATE_CONTEXT } from '../../../src/wire/index.ts';

/** 64 hex digits of one byte. */
export const id = (byte: number): string => byte.toString(16).padStart(2, '0').repeat(32);

/** Deterministic signatures: the golden vectors depend on them. */
export const alice: Identity = identityFromSeeds(
  { mldsaSeed: new Uint8Array(32).fill(1), ed25519Seed: new Uint8Array(32).fill(2) },
  nobleMldsa,
);
export const aliceCertificate: NodeCertificate = makeCertificate(alice, 'core', ['train', 'relay']);

export const genesis: Genesis = {
  v: 1,
  name: 'sample',
  tensors: [
    { name: 'weight', shape: [3, 2] },
    { name: 'bias', shape: [] },
  ],
  initialModelRoot: id(0xab),
  aggregation: 'mean',
  privacy: 'member-readable',
  admission: 'open',
  voting: 'invited',
  updateDtype: 'int16',
  encoding: 'dense',
  topkShare: 0.05,
  schedule: 'auto',
  scaleExponents: [-12, 0],
  eta: 1,
  lambda: 0.5,
  clipNorm: 10,
  maxSamples: 10_000,
  epochDeadlineMs: 5_000,
  minDeadlineMs: 200,
  missEpochs: 3,
  snapshotEpochs: 10,
  retainEpochs: 100,
  founders: [aliceCertificate],
  createdMs: 1_700_000_000_000,
};

const common = { v: 1, swarm: id(0x10), author: alice.fingerprint, anchorBlock: id(0x20) } as const;

export const joinCore: EntryCore<'join'> = {
  ...common,
  seq: 0,
  prev: null,
  lam: 1,
  epochSeen: 0,
  kind: 'join',
  deps: [],
  body: { certificate: aliceCertificate, invite: null },
};

/** Of the second entry of a roster of two. */
export const drop: Dropped = {
  id: id(0x42),
  why: 'unreachable',
  by: [id(0x02), id(0x03)],
  at: { phase: 'allGather', from: id(0x04), to: id(0x02) },
};
export const attempt: Attempt = {
  swarm: id(0x10),
  epoch: 7,
  base: id(0x20),
  number: 2,
  roster: [id(0x41), id(0x42), id(0x43)],
  dropped: [drop],
  broken: [
    [id(0x01), id(0x02)],
    [id(0x01), id(0x03)],
  ],
};

export const contributionCore: EntryCore<'contribution'> = {
  ...common,
  seq: 1,
  prev: id(0x30),
  lam: 300,
  epochSeen: 6,
  kind: 'contribution',
  deps: [id(0x31), id(0x32)],
  body: {
    epoch: 7,
    updateHash: id(0x40),
    sizeBytes: 4_820,
    samples: 300,
    maxAbs: [32_767, 0],
    metrics: { loss: 0.25, accuracy: 1 },
    commitment: id(0x45),
    staleness: 2,
    links: [14, 0, 23],
  },
};

export const decisionCore: EntryCore<'decision'> = {
  ...common,
  seq: 2,
  prev: id(0x33),
  lam: 301,
  epochSeen: 7,
  kind: 'decision',
  deps: [],
  body: { epoch: 7, prev: id(0x20), roster: [id(0x41), id(0x42)], weights: [65_535, 1], aggregateHash: id(0x50), dropped: [drop] },
};

const later = { ...common, seq: 3, prev: id(0x34), lam: 302, epochSeen: 7, deps: [] } as const;
export const membershipCore: EntryCore<'membership'> = { ...later, kind: 'membership', body: { action: 'resume' } };
export const verdictCore: EntryCore<'verdict'> = {
  ...later,
  kind: 'verdict',
  body: { epoch: 7, base: id(0x20), aggregateHash: id(0x50), good: false, reason: 'the loss rose' },
};
export const ballotCore: EntryCore<'ballot'> = { ...later, kind: 'ballot', body: { action: 'remove', subject: id(0x43), epoch: 7 } };

export const cores: readonly AnyEntryCore[] = [joinCore, contributionCore, decisionCore, membershipCore, verdictCore, ballotCore];

export function signedEntry(core: AnyEntryCore): SignedEntry {
  const coreBytes = encodeCore(core);
  const message = entryBytes(coreBytes);
  const entry = { id: entryId(coreBytes), core, coreBytes, signature: alice.signEd25519(message) };
  return core.kind === 'contribution' ? { ...entry, composite: alice.signComposite(UPDATE_CONTEXT, message) } : entry;
}

/** Canonical CBOR written from RFC 8949 sections 3 and 4.2.1 alone: what the library says is checked against it. */
export function cbor(value: unknown): Buffer {
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xf5 : 0xf4);
  if (typeof value === 'number' && !Number.isInteger(value)) {
    const bytes = Buffer.alloc(9, 0xfb);
    bytes.writeDoubleBE(value, 1);
    return bytes;
  }
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)]);
  const pairs = Object.entries(value as object).sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
  return Buffer.concat([head(5, pairs.length), ...pairs.flat().map(cbor)]);
}

function head(major: number, n: number): Buffer {
  const bytes = Buffer.alloc(9);
  if (n < 24) return Buffer.of((major << 5) | n);
  const [log, width] = n < 0x100 ? [0, 1] : n < 0x1_0000 ? [1, 2] : n < 0x1_0000_0000 ? [2, 4] : [3, 8];
  bytes.writeBigUInt64BE(BigInt(n), 1);
  return Buffer.concat([Buffer.of((major << 5) | (24 + log)), bytes.subarray(9 - width)]);
}

export const fromHexBytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

/** That `run` throws this error, about this field. */
export function refuses(run: () => unknown, code: ErrorCode, field: string): void {
  assert.throws(run, (e) => {
    assert.ok(e instanceof StarlingError, String(e));
    assert.deepEqual([e.code, e.facts.field], [code, field]);
    return true;
  });
}
