import assert from 'node:assert/strict';
import { optionOf, type StanceView } from '../../../src/consensus/index.ts';
import { Stances } from '../../../src/consensus/stances.ts';
import { contributionOf, fingerprintOf } from '../../support/rosterWorld.ts';

const node = fingerprintOf(0);
const everyone = new Set([node, fingerprintOf(1)]);

function stance(seq: number, entries: readonly number[], more: Partial<StanceView> = {}): StanceView {
  const { digest, ids } = optionOf(entries.map(contributionOf));
  return { node, seq, option: digest, optionIds: ids, prefs: [[digest, 65_535]], ...more };
}

describe('consensus: stances', () => {
  it('the latest stance of a node counts', () => {
    const stances = new Stances();
    assert.equal(stances.add(stance(2, [1, 2])), 'new');
    assert.equal(stances.add(stance(1, [1])), 'stale');
    assert.equal(stances.add(stance(2, [2, 1])), 'stale');
    assert.equal(stances.add(stance(5, [3])), 'new');
    const [voice, ...others] = stances.voices(everyone);
    assert.deepEqual([voice?.option.ids, others], [[contributionOf(3)], []]);
    assert.deepEqual(stances.voices(new Set()), []);
  });

  it('two options under one seq weigh nothing from then on, and both are passed on as evidence', () => {
    const [stances, elsewhere] = [new Stances(), new Stances()];
    const faces = [stance(4, [1]), stance(4, [2])] as const;
    stances.add(faces[0]);
    assert.equal(stances.add(faces[1]), 'equivocation');
    assert.equal(stances.add(stance(9, [1])), 'stale');
    assert.deepEqual(stances.voices(everyone), []);
    assert.deepEqual(stances.known(), faces);
    assert.deepEqual(
      stances.known().map((face) => elsewhere.add(face)),
      ['new', 'equivocation'],
    );
  });

  it('sees two faces also when a later stance of that node came first', () => {
    const stances = new Stances();
    assert.deepEqual(
      [stance(7, [3]), stance(4, [1]), stance(4, [1]), stance(4, [2])].map((s) => stances.add(s)),
      ['new', 'stale', 'stale', 'equivocation'],
    );
    assert.deepEqual(stances.voices(everyone), []);
  });

  it('hands back the very objects it was given', () => {
    const stances = new Stances();
    const given = stance(1, [1]);
    stances.add(given);
    assert.equal(stances.known()[0], given);
  });

  it('refuses what it could not count, naming the field and the peer, and stays as it was', () => {
    const stances = new Stances();
    const digest = optionOf([]).digest;
    const cases: [StanceView, string, string][] = [
      [stance(-1, [1]), 'MALFORMED', 'seq'],
      [stance(0.5, [1]), 'MALFORMED', 'seq'],
      [stance(1, [1], { prefs: Array.from({ length: 9 }, () => [digest, 1] as const) }), 'MALFORMED', 'prefs'],
      [stance(1, [1], { prefs: [[digest, 65_536]] }), 'MALFORMED', 'prefs'],
      [stance(1, [1], { prefs: [[digest, 0.25]] }), 'MALFORMED', 'prefs'],
      [stance(1, [1], { optionIds: ['no id'] }), 'MALFORMED', 'optionIds'],
      [stance(1, [1], { optionIds: [contributionOf(2)] }), 'HASH_MISMATCH', 'option'],
    ];
    for (const [bad, code, field] of cases)
      assert.throws(
        () => stances.add(bad),
        (error: { code: string; facts: { field: string; peer: string } }) =>
          error.code === code && error.facts.field === field && error.facts.peer === node,
      );
    assert.deepEqual(stances.known(), []);
    stances.add(stance(1, [1]));
    assert.throws(() => stances.add(stance(2, [1], { optionIds: [contributionOf(2)] })), { code: 'HASH_MISMATCH' });
    assert.equal(stances.add(stance(2, [1])), 'new');
  });
});
