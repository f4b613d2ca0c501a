import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hashWithDomain, toHex } from '../../../src/crypto/index.ts';
import type { ArchiveBase, ArchiveSegment, BlockHeader, Hex, Leaf, QuorumCertificate } from '../../../src/spec/index.ts';
import {
  BASE_MAX_BYTES,
  blockHash,
  compress,
  decode,
  decodeArchiveAnswer,
  decodeArchiveRequest,
  decodeBase,
  decodeSegment,
  decompress,
  encode,
  encodeArchiveAnswer,
  encodeArchiveRequest,
  encodeBase,
  encodeSegment,
  leavesHash,
  SEGMENT_MAX_BYTES,
  STATE_MAX_BYTES,
} from '../../../src/wire/index.ts';
import { baseAt, segmentOf } from '../../support/archives.ts';
import { block } from './finalitySamples.ts';
import { id } from './samples.ts';

/** Plain objects, as decoders make them. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> => fc.record(model, { noNullPrototype: true });
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const epochs = fc.integer({ min: 1, max: 2 ** 40 });
const certificate: fc.Arbitrary<QuorumCertificate> = record({
  epoch: epochs,
  round: fc.nat(100),
  step: fc.constantFrom('prevote' as const, 'precommit' as const),
  block: hash,
  votes: fc
    .uniqueArray(hash, { minLength: 1, maxLength: 5 })
    .map((voters) => voters.sort().map((voter) => ({ voter, signature: new Uint8Array(64).fill(Number.parseInt(voter.slice(0, 2), 16)) }))),
});

/** Headers of consecutive epochs, and leaves that all follow one of an earlier segment. */
const segment: fc.Arbitrary<ArchiveSegment> = record({
  epoch: epochs,
  prev: hash,
  treeSize: fc.integer({ min: 1, max: 2 ** 30 }),
  roots: fc.array(fc.tuple(hash, hash, hash, fc.nat(3)), { minLength: 1, maxLength: 6 }),
  handovers: fc.array(record({ certificate, voters: fc.uniqueArray(hash, { maxLength: 4 }).map((all) => all.sort()) }), {
    maxLength: 3,
  }),
  certificate,
  seed: fc.integer(),
}).map(({ epoch, prev, treeSize, roots, handovers, certificate, seed }) => {
  const headers: BlockHeader[] = [];
  const leaves: Leaf[] = [];
  let before = prev;
  for (const [treeRoot, stateRoot, evidenceHash, count] of roots) {
    for (let n = 0; n < count; n++) {
      const index = treeSize + leaves.length;
      const named = toHex(hashWithDomain(`leaf ${seed} ${index}`));
      leaves.push({ id: named, prev: Math.abs(seed) % index, lam: 1 + (index % 9), void: index % 3 === 0 });
    }
    const place = { epoch: epoch + headers.length, prev: before, treeSize: treeSize + leaves.length };
    headers.push({ ...block.header, ...place, treeRoot, stateRoot, evidenceHash, timeMs: epoch });
    before = blockHash(headers.at(-1) as BlockHeader);
  }
  return { headers, treeSize, leaves, joins: [], handovers, certificate };
});

const sample: ArchiveSegment = segmentOf(1, 2);
/** The segment's parts as they stand on the wire, changed. */
function altered(change: (parts: unknown[]) => void): Uint8Array {
  const parts = decode(decompress(encodeSegment(sample), SEGMENT_MAX_BYTES), 'segment', SEGMENT_MAX_BYTES) as unknown[];
  change(parts);
  return compress(encode(parts));
}

describe('archive encoding', () => {
  it('brings back any segment', () => {
    fc.assert(fc.property(segment, (one) => assert.deepEqual(decodeSegment(encodeSegment(one)), one)));
    assert.deepEqual(decodeSegment(encodeSegment(sample)), sample, 'joins too');
  });

  it('brings back any base, request and answer', () => {
    const base: fc.Arbitrary<ArchiveBase> = record({
      epoch: epochs,
      certificate,
      state: fc.uint8Array({ minLength: 1, maxLength: 99 }),
    });
    fc.assert(fc.property(base, (one) => assert.deepEqual(decodeBase(encodeBase(one)), one)));
    const request = record({ epoch: fc.option(epochs), offset: fc.nat(BASE_MAX_BYTES) });
    fc.assert(fc.property(request, (one) => assert.deepEqual(decodeArchiveRequest(encodeArchiveRequest(one)), one)));
    const answer = fc
      .tuple(fc.uint8Array({ maxLength: 99 }), fc.nat(BASE_MAX_BYTES - 99))
      .map(([part, more]) => ({ total: part.length + more, part }));
    fc.assert(fc.property(answer, (one) => assert.deepEqual(decodeArchiveAnswer(encodeArchiveAnswer(one)), one)));
  });

  const ALTERED: readonly (readonly [what: string, change: (parts: unknown[]) => void, field: RegExp])[] = [
    ['another version', (p) => (p[0] = 2), /segment.v/],
    ['epoch 0', (p) => (p[2] = 0), /segment.epoch/],
    ['no headers', (p) => (p[5] = []), /segment.headers/],
    ['a tree that shrinks', (p) => ((p[5] as unknown[][])[1] as unknown[]).splice(0, 1, 0), /segment.headers\[1\].treeSize/],
    ['a leaf too few', (p) => (p[6] as unknown[]).pop(), /segment.leaves/],
    ['a leaf before the first', (p) => (((p[6] as unknown[][])[1] as unknown[])[0] = -1), /segment.leaves\[1\].prev/],
    ['a leaf that follows itself', (p) => (((p[6] as unknown[][])[1] as unknown[])[0] = 1), /segment.leaves\[1\].prev/],
    ['a leaf with lam 0', (p) => (((p[6] as unknown[][])[1] as unknown[])[1] = 0), /segment.leaves\[1\].lam/],
    ['joins in another order', (p) => (p[7] as unknown[]).reverse(), /segment.joins/],
    ['a join too many', (p) => (p[7] as unknown[]).push((p[7] as unknown[])[0]), /segment.joins/],
    ['a part too many', (p) => p.push(0), /segment/],
    ['no certificate', (p) => p.pop(), /segment/],
  ];
  for (const [what, change, field] of ALTERED)
    it(`refuses a segment with ${what}`, () => {
      assert.throws(
        () => decodeSegment(altered(change)),
        (e: { code?: string; facts?: { field?: string } }) => /MALFORMED|BOUNDS/.test(e.code ?? '') && field.test(e.facts?.field ?? ''),
      );
    });

  it('refuses a join with a signature that no join carries: it would be kept unchecked', () => {
    const [join, ...others] = sample.joins;
    assert.ok(join !== undefined);
    const bytes = encodeSegment({ ...sample, joins: [{ ...join, composite: new Uint8Array(3_373) }, ...others] });
    assert.throws(() => decodeSegment(bytes), { code: 'MALFORMED' });
  });

  it('is bounded: what unpacks to more, or to more items, is refused before it is read', () => {
    assert.throws(() => decodeSegment(compress(new Uint8Array(SEGMENT_MAX_BYTES + 1))), { code: 'TOO_LARGE' });
    const items = 7 * 2 ** 20;
    const bomb = new Uint8Array(5 + items).fill(0x80);
    bomb[0] = 0x9a;
    new DataView(bomb.buffer).setUint32(1, items);
    const packed = compress(bomb);
    assert.ok(packed.length < 1_000, `${packed.length} bytes`);
    assert.throws(() => decodeSegment(packed), { code: 'TOO_LARGE' });
    assert.throws(() => encodeBase(baseAt(1, STATE_MAX_BYTES + 1)), { code: 'TOO_LARGE' });
    assert.throws(() => decodeBase(new Uint8Array(BASE_MAX_BYTES + 1)), { code: 'TOO_LARGE' });
    const leaf: Leaf = { id: id(1), prev: 0, lam: 1, void: false };
    const many = { ...sample, leaves: Array.from({ length: 2 ** 20 + 1 }, () => leaf) };
    assert.throws(() => encodeSegment(many), { code: 'TOO_LARGE' });
    for (const answer of [
      { total: 1, part: new Uint8Array(2) },
      { total: SEGMENT_MAX_BYTES + 1, part: new Uint8Array() },
    ])
      assert.throws(() => decodeArchiveAnswer(encodeArchiveAnswer(answer)));
    for (const request of [
      { epoch: 0, offset: 0 },
      { epoch: 1, offset: -1 },
    ])
      assert.throws(() => decodeArchiveRequest(encodeArchiveRequest(request)));
  });

  it('covers every field of every leaf, and their order, with leavesHash', () => {
    const leaves = sample.leaves;
    const seen = new Set<Hex>([leavesHash(id(0), leaves), leavesHash(id(1), leaves), leavesHash(id(0), leaves.toReversed())]);
    const changes: Partial<Leaf>[] = [{ id: id(9) }, { prev: 3 }, { prev: null }, { lam: 7 }, { void: true }];
    for (const change of changes)
      seen.add(
        leavesHash(
          id(0),
          leaves.map((leaf, i) => (i === 1 ? { ...leaf, ...change } : leaf)),
        ),
      );
    assert.equal(seen.size, 3 + changes.length);
  });

  // Worked out by hand from the layout in docs/protocol.md: domain, then [before, [[prev, lam, void, id]...]] in canonical CBOR.
  it('makes a segment of the bytes that the protocol says', () => {
    const hashOf = (n: number): string => n.toString(16).padStart(2, '0').repeat(32);
    const item = (n: number): string => `5820${hashOf(n)}`;
    const names = 'treeRoot cutHash rosterHash survivorsHash aggregateHash modelRoot stateRoot votersHash nextVotersHash evidenceHash';
    const roots = Object.fromEntries(names.split(' ').map((name, i) => [name, hashOf(0x20 + i)])) as unknown as BlockHeader;
    const header: BlockHeader = { ...roots, v: 1, swarm: hashOf(0x10), epoch: 1_000, prev: hashOf(0x11), treeSize: 24, timeMs: 70_000 };
    const vote = { voter: hashOf(0x33), signature: new Uint8Array(64).fill(0x44) };
    const votes = { epoch: 1_000, round: 2, step: 'precommit', block: hashOf(0x34), votes: [vote] } as const;
    const leaf: Leaf = { id: hashOf(0x31), prev: 5, lam: 500, void: true };
    const one: ArchiveSegment = { headers: [header], treeSize: 23, leaves: [leaf], joins: [], handovers: [], certificate: votes };
    const headers = `818c18181a00011170${Array.from({ length: 10 }, (_, i) => item(0x20 + i)).join('')}`;
    const leaves = `8184051901f4f5${item(0x31)}`;
    const certificate = `851903e80201${item(0x34)}8182${item(0x33)}5840${'44'.repeat(64)}`;
    const plain = `8a01${item(0x10)}1903e8${item(0x11)}17${headers}${leaves}8080${certificate}`;
    assert.equal(Buffer.from(decompress(encodeSegment(one), SEGMENT_MAX_BYTES)).toString('hex'), plain);
    assert.deepEqual(decodeSegment(compress(Buffer.from(plain, 'hex'))), one);
  });

  it('makes leavesHash of the bytes that the protocol says', () => {
    const cbor = Buffer.from(`825820${'00'.repeat(32)}8284f601f45820${'11'.repeat(32)}84001903e8f55820${'22'.repeat(32)}`, 'hex');
    const leaves: Leaf[] = [
      { id: '11'.repeat(32), prev: null, lam: 1, void: false },
      { id: '22'.repeat(32), prev: 0, lam: 1_000, void: true },
    ];
    assert.equal(leavesHash('00'.repeat(32), leaves), toHex(hashWithDomain('starling/leaves/1', cbor)));
  });
});
