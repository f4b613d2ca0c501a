import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { Negotiation, optionOf } from '../../../src/consensus/index.ts';
import { better } from '../../../src/consensus/options.ts';
import { MAX_ROSTER } from '../../../src/spec/index.ts';
import { contributionOf, fingerprintOf } from '../../support/rosterWorld.ts';

describe('consensus: options', () => {
  it('a digest is sha256 over the domain, a zero byte and the ids in ascending order', () => {
    const ids = [contributionOf(3), contributionOf(1), contributionOf(2)];
    const hash = createHash('sha256').update('starling/roster/1\0');
    for (const id of [...ids].sort()) hash.update(Buffer.from(id, 'hex'));
    assert.equal(optionOf(ids).digest, hash.digest('hex'));
    assert.equal(optionOf([]).digest, createHash('sha256').update('starling/roster/1\0').digest('hex'));
  });

  it('equal sets are one option, other sets another', () => {
    const sets = fc.uniqueArray(fc.integer({ min: 0, max: 9 }));
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        const [x, y] = [optionOf(a.map(contributionOf)), optionOf([...b, ...b].reverse().map(contributionOf))];
        assert.equal(x.digest === y.digest, a.length === b.length && a.every((n) => b.includes(n)));
      }),
    );
  });

  it('the larger set is better, then the lower digest', () => {
    const [one, other, both] = [optionOf([contributionOf(1)]), optionOf([contributionOf(2)]), optionOf([1, 2].map(contributionOf))];
    assert.ok(better(both, one) && better(both, other) && !better(one, both));
    assert.equal(better(one, other), one.digest < other.digest);
  });

  it('refuses lists that are too long or hold something else than ids', () => {
    const seats = [0, 1].map(fingerprintOf);
    const negotiation = new Negotiation({ epoch: 1, base: fingerprintOf(9), self: seats[0] as string, seats });
    const node = seats[1] as string;
    const many = Array.from({ length: MAX_ROSTER + 1 }, () => contributionOf(1));
    assert.throws(() => negotiation.onAttest({ node, ids: many }), {
      code: 'TOO_LARGE',
      facts: { field: 'attestation', peer: node, phase: 'roster' },
    });
    for (const id of ['', 'zz'.repeat(32), contributionOf(1).toUpperCase(), contributionOf(1).slice(2)])
      assert.throws(() => negotiation.onAttest({ node, ids: [id] }), { code: 'MALFORMED' });
  });
});
