import assert from 'node:assert/strict';
import type { AggregateHeader } from '../../../src/spec/index.ts';
import { AGGREGATE_MAX_BYTES, aggregateHash, decodeAggregate, encodeAggregate } from '../../../src/wire/index.ts';
import { id } from './samples.ts';

const header: AggregateHeader = {
  v: 1,
  epoch: 7,
  weightTotal: 65_536,
  sumRoot: id(0x60),
  sumBytes: 28,
  distances: ['0', '98765432109876543210'],
  opening: null,
};
const malformed = { code: 'MALFORMED' };

describe('aggregate headers', () => {
  it('decode to what was encoded', () => {
    assert.deepEqual(decodeAggregate(encodeAggregate(header)), header);
    const opened = { ...header, distances: [], opening: { root: id(0x61), bytes: 82_000 } };
    assert.deepEqual(decodeAggregate(encodeAggregate(opened)), opened);
  });

  it('are known by a hash that every field changes', () => {
    const changes: Partial<AggregateHeader>[] = [
      { epoch: 8 },
      { weightTotal: 1 },
      { sumRoot: id(1) },
      { sumBytes: 32 },
      { distances: ['0'] },
      { opening: { root: id(0x61), bytes: 82_000 } },
      { opening: { root: id(0x61), bytes: 82_001 } },
    ];
    const hashes = [header, ...changes.map((change) => ({ ...header, ...change }))].map(aggregateHash);
    assert.equal(new Set(hashes).size, 8);
  });

  it('refuse figures out of range and distances that are not plain decimal', () => {
    for (const change of [
      { epoch: 0 },
      { weightTotal: 0 },
      { weightTotal: 65_537 },
      { sumBytes: 30 },
      { sumBytes: 2 ** 31 },
      { opening: { root: id(1), bytes: 0 } },
    ])
      assert.throws(() => decodeAggregate(encodeAggregate({ ...header, ...change })), malformed);
    for (const digits of ['', '01', '-1', '1e3', '1.5', ' 1', '9'.repeat(41)])
      assert.throws(() => decodeAggregate(encodeAggregate({ ...header, distances: [digits] })), malformed);
  });

  it('bound their size', () => {
    assert.throws(() => decodeAggregate(new Uint8Array(AGGREGATE_MAX_BYTES + 1)), { code: 'TOO_LARGE' });
  });
});
