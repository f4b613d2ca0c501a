import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Attestations } from '../../../src/consensus/attestations.ts';
import { optionOf } from '../../../src/consensus/index.ts';
import { MAX_ROSTER } from '../../../src/spec/index.ts';
import { contributionOf, fingerprintOf } from '../../support/rosterWorld.ts';

const ENTRIES = 5;
const ids = (mask: number): string[] =>
  Array.from({ length: ENTRIES }, (_, x) => x)
    .filter((x) => mask & (1 << x))
    .map(contributionOf);
const nobodyHolds = new Set<string>();

describe('consensus: attestations', () => {
  const masks = fc.array(fc.record({ node: fc.nat(6), mask: fc.nat(2 ** ENTRIES - 1) }), { maxLength: 12 });

  it('derived set and valid options follow the definition, whatever the order of arrival', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), masks, fc.infiniteStream(fc.nat()), (seats, said, shuffle) => {
        const voters = new Set(Array.from({ length: seats }, (_, node) => fingerprintOf(node)));
        const shuffled = said.map((item) => ({ item, key: shuffle.next().value as number })).sort((a, b) => a.key - b.key);
        const [one, other] = [new Attestations(), new Attestations()];
        for (const { node, mask } of said) one.add({ node: fingerprintOf(node), ids: ids(mask) }, nobodyHolds);
        for (const { item } of shuffled) other.add({ node: fingerprintOf(item.node), ids: ids(item.mask) }, nobodyHolds);

        const unions = Array.from({ length: seats }, (_, node) =>
          said.filter((s) => s.node === node).reduce((union, s) => union | s.mask, 0),
        );
        const weight = (x: number): number => unions.filter((union) => union & (1 << x)).length;
        const derived = ids(Array.from({ length: ENTRIES }, (_, x) => (weight(x) > seats / 3 ? 1 << x : 0)).reduce((a, b) => a | b, 0));
        const tallies = [one.tally(voters), other.tally(voters)] as const;
        for (const tally of tallies) assert.deepEqual(tally.derived, optionOf(derived));
        for (let mask = 0; mask < 2 ** ENTRIES; mask++) {
          const inBounds = Array.from({ length: ENTRIES }, (_, x) =>
            mask & (1 << x) ? weight(x) > seats / 3 : weight(x) <= (2 * seats) / 3,
          );
          const expected = optionOf(ids(mask)).digest === optionOf(derived).digest || inBounds.every(Boolean);
          for (const tally of tallies) assert.equal(tally.valid(optionOf(ids(mask))), expected);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('a second version adds and never takes back', () => {
    const attestations = new Attestations();
    const node = fingerprintOf(0);
    assert.equal(attestations.add({ node, ids: ids(0b011) }, nobodyHolds), 'new');
    assert.equal(attestations.add({ node, ids: ids(0b001) }, nobodyHolds), 'known');
    assert.equal(attestations.add({ node, ids: ids(0b100) }, nobodyHolds), 'conflict');
    assert.deepEqual(attestations.tally(new Set([node])).derived.ids, optionOf(ids(0b111)).ids);
    assert.deepEqual(
      attestations.versions().map((version) => version.ids),
      [ids(0b011), ids(0b100)],
    );
  });

  it('an empty attestation is one', () => {
    const attestations = new Attestations();
    assert.equal(attestations.add({ node: fingerprintOf(0), ids: [] }, nobodyHolds), 'new');
    assert.equal(attestations.count(), 1);
  });

  it('a liar that never stops attesting costs no more than the bound, and cannot crowd out what is held', () => {
    const attestations = new Attestations();
    const node = fingerprintOf(0);
    const invented = (from: number): string[] => Array.from({ length: 512 }, (_, i) => (from + i).toString(16).padStart(64, '0'));
    for (let from = 0; from < 8 * 512; from += 512) attestations.add({ node, ids: invented(from) }, nobodyHolds);
    const real = contributionOf(1);
    assert.equal(attestations.add({ node, ids: [real] }, nobodyHolds), 'known');
    assert.equal(attestations.add({ node, ids: [real] }, new Set([real])), 'conflict');
    assert.equal(attestations.tally(new Set([node])).derived.ids.length, MAX_ROSTER + 1);
    for (let i = 0; i < 20; i++) attestations.add({ node, ids: [contributionOf(10 + i)] }, new Set([contributionOf(10 + i)]));
    assert.equal(attestations.versions().length, 8);
  });
});
