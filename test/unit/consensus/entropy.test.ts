import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createReference } from '../../../src/compute/index.ts';
import { Negotiation, optionOf, PROBABILITY_ONE, type StanceView } from '../../../src/consensus/index.ts';
import { better } from '../../../src/consensus/options.ts';
import { contributionOf, fingerprintOf } from '../../support/rosterWorld.ts';
import { type BruteStance, type BruteState, bruteTick } from './bruteForce.ts';

const compute = createReference();
const option = (entries: readonly number[]) => optionOf(entries.map(contributionOf));

function node(seats: number, held: readonly number[], self = 0): Negotiation {
  const negotiation = new Negotiation({
    epoch: 1,
    base: '00'.repeat(32),
    self: fingerprintOf(self),
    seats: Array.from({ length: seats }, (_, i) => fingerprintOf(i)),
  });
  for (const entry of held) negotiation.hold(contributionOf(entry));
  return negotiation;
}

/** Seats from..to-1 attest `entries` and, with a seq, stand on `stands`. */
function others(negotiation: Negotiation, from: number, to: number, entries: readonly number[], stands?: readonly number[], seq = 1): void {
  for (let seat = from; seat < to; seat++) {
    negotiation.onAttest({ node: fingerprintOf(seat), ids: option(entries).ids });
    if (stands !== undefined) negotiation.onStance(certain(seat, seq, stands));
  }
}

function certain(seat: number, seq: number, entries: readonly number[]): StanceView {
  const { digest, ids } = option(entries);
  return { node: fingerprintOf(seat), seq, option: digest, optionIds: ids, prefs: [[digest, PROBABILITY_ONE]] };
}

describe('consensus: negotiation of one node', () => {
  it('a single seat stops on its own roster at the second tick', async () => {
    const negotiation = node(1, [2, 1]);
    assert.deepEqual(negotiation.freeze(0), { node: fingerprintOf(0), ids: option([1, 2]).ids });
    assert.equal((await negotiation.tick(0, compute)).stop, null);
    const { stop, state } = await negotiation.tick(150, compute);
    assert.deepEqual({ stop, state }, { stop: { option: option([1, 2]).ids, why: 'agreed' }, state: 'stopped' });
  });

  it('nothing to average is an option like any other', async () => {
    const negotiation = node(3, []);
    negotiation.freeze(0);
    others(negotiation, 1, 3, [], []);
    await negotiation.tick(10, compute);
    assert.deepEqual((await negotiation.tick(160, compute)).stop, { option: [], why: 'agreed' });
  });

  it('says nothing before the freeze', async () => {
    const negotiation = node(4, [1]);
    others(negotiation, 1, 4, [1], [1]);
    assert.deepEqual(await negotiation.tick(0, compute), { stance: null, stop: null, state: 'waiting' });
  });

  it('stands on its own roster while two thirds or fewer have attested, then on what follows from the attestations', async () => {
    const negotiation = node(6, [1, 2, 3]);
    negotiation.freeze(0);
    others(negotiation, 1, 4, [1, 2]);
    for (const at of [100, 500]) {
      const waiting = await negotiation.tick(at, compute);
      assert.deepEqual([waiting.state, waiting.stance?.optionIds, waiting.stance?.seq], ['waiting', option([1, 2, 3]).ids, 1]);
    }
    others(negotiation, 4, 5, [1, 2]);
    const { state, stance } = await negotiation.tick(510, compute);
    assert.deepEqual([state, stance?.option], ['negotiating', option([1, 2]).digest]);
  });

  it('in full agreement every node stops at its second tick after it heard the others', async () => {
    const negotiation = node(10, [1, 2]);
    negotiation.freeze(0);
    others(negotiation, 1, 10, [1, 2], [1, 2]);
    assert.equal((await negotiation.tick(20, compute)).stop, null);
    assert.equal((await negotiation.tick(170, compute)).stop?.why, 'agreed');
  });

  it('a listener comes to the same roster and is not counted', async () => {
    const negotiation = node(4, [1, 2], 7);
    assert.equal(negotiation.freeze(0), null);
    assert.equal(negotiation.onAttest({ node: fingerprintOf(8), ids: [] }), 'known');
    assert.equal(negotiation.onStance(certain(8, 1, [1])), 'stale');
    others(negotiation, 0, 4, [1, 2], [1, 2]);
    assert.equal((await negotiation.tick(10, compute)).stance, null);
    assert.deepEqual((await negotiation.tick(160, compute)).stop, { option: option([1, 2]).ids, why: 'agreed' });
    assert.ok(negotiation.known().attests.every(({ node: attester }) => attester !== fingerprintOf(7)));
  });

  it('a listener that hears nobody hands over what it holds', async () => {
    const negotiation = node(4, [1], 7);
    negotiation.freeze(0);
    await negotiation.tick(600, compute);
    const { stop } = await negotiation.tick(4_500, compute);
    assert.deepEqual(stop, { option: option([1]).ids, why: 'deadline' });
  });

  for (const heard of [3, 6])
    it(`with ${heard} of 10 attesting after READY it counts those, and nobody who comes later`, async () => {
      const negotiation = node(10, [1, 2]);
      negotiation.freeze(0);
      others(negotiation, 1, heard, [1, 2], [1, 2]);
      assert.equal((await negotiation.tick(500, compute)).state, 'waiting');
      assert.equal((await negotiation.tick(501, compute)).state, 'negotiating');
      others(negotiation, heard, 10, [1], [1]);
      assert.deepEqual((await negotiation.tick(700, compute)).stop, { option: option([1, 2]).ids, why: 'agreed' });
    });

  it('while what was attested is not here yet it keeps its choice, and in the end hands over its own', async () => {
    const negotiation = node(4, [1]);
    negotiation.freeze(0);
    others(negotiation, 1, 4, [1, 2], [1, 2]);
    const { stance } = await negotiation.tick(600, compute);
    assert.equal(stance, null);
    assert.deepEqual((await negotiation.tick(4_600, compute)).stop, { option: option([1]).ids, why: 'deadline' });
  });

  it('follows two thirds only once it holds what they stand on', async () => {
    const negotiation = node(4, [1]);
    negotiation.freeze(0);
    others(negotiation, 1, 4, [1, 2], [1, 2]);
    await negotiation.tick(600, compute);
    negotiation.hold(contributionOf(2));
    await negotiation.tick(750, compute);
    assert.deepEqual((await negotiation.tick(900, compute)).stop, { option: option([1, 2]).ids, why: 'agreed' });
  });

  it('the gate: a third of the seats, however certain, is not heard at all', async () => {
    // Entry 3 is attested by 4 of 9: an option with it is as valid as one without it, only derived has it.
    const negotiation = node(9, [1, 2, 3]);
    negotiation.freeze(0);
    others(negotiation, 1, 4, [1, 2, 3]);
    others(negotiation, 4, 9, [1, 2], [1, 2, 3]);
    for (const seat of [1, 2, 3]) negotiation.onStance(certain(seat, 1, [1, 2]));
    const { stance } = await negotiation.tick(10, compute);
    assert.deepEqual(stance?.prefs, [[option([1, 2, 3]).digest, PROBABILITY_ONE]]);
    negotiation.onStance(certain(4, 2, [1, 2]));
    const after = await negotiation.tick(160, compute);
    assert.ok(
      after.stance?.prefs.some(([digest]) => digest === option([1, 2]).digest),
      'a fourth voice of nine is heard',
    );
  });

  it('two thirds on a roster that leaves out what two thirds attest, or adds what nobody does, are not followed', async () => {
    for (const bad of [[1], [1, 2, 3]]) {
      const negotiation = node(7, [1, 2, 3]);
      others(negotiation, 1, 7, [1, 2], bad);
      for (const at of [10, 160, 310]) {
        negotiation.freeze(0);
        const { stance, stop } = await negotiation.tick(at, compute);
        assert.deepEqual([stance?.prefs, stop], [[[option([1, 2]).digest, PROBABILITY_ONE]], null]);
      }
    }
  });

  it('an equivocator weighs nothing: with it 3 of 4 would agree', async () => {
    const negotiation = node(4, [1]);
    negotiation.freeze(0);
    others(negotiation, 1, 3, [1], [1]);
    assert.equal(negotiation.onStance(certain(2, 1, [])), 'equivocation');
    for (const at of [10, 160, 310]) assert.equal((await negotiation.tick(at, compute)).stop, null);
    assert.equal(negotiation.known().stances.filter(({ node: author }) => author === fingerprintOf(2)).length, 2);
    others(negotiation, 3, 4, [1], [1]);
    await negotiation.tick(460, compute);
    assert.equal((await negotiation.tick(610, compute)).stop?.why, 'agreed');
  });

  it('agreement has to hold on two ticks running', async () => {
    const negotiation = node(4, [1, 2]);
    negotiation.freeze(0);
    others(negotiation, 1, 2, [1, 2], [1, 2]);
    others(negotiation, 2, 4, [1], [1, 2]);
    await negotiation.tick(10, compute);
    others(negotiation, 1, 3, [1], [1], 2);
    assert.equal((await negotiation.tick(160, compute)).stop, null);
    others(negotiation, 1, 3, [1], [1, 2], 3);
    assert.equal((await negotiation.tick(310, compute)).stop, null);
    assert.equal((await negotiation.tick(460, compute)).stop?.why, 'agreed');
  });

  it('a node that has just changed its mind waits until it is certain enough', async () => {
    const negotiation = node(9, [1, 2]);
    negotiation.freeze(0);
    await negotiation.tick(10, compute);
    negotiation.hold(contributionOf(3));
    others(negotiation, 1, 5, [1, 2, 3], [1, 2, 3]);
    others(negotiation, 5, 9, [1, 2], [1, 2, 3]);
    // Own share 1/2, 1/4, 1/8, 1/16, ...: certainty 0, 0.19, 0.46, 0.66, ...
    for (const at of [160, 310, 460, 610]) {
      const { stop, stance } = await negotiation.tick(at, compute);
      assert.deepEqual([stop, stance?.optionIds], [null, option([1, 2, 3]).ids]);
    }
    assert.deepEqual((await negotiation.tick(760, compute)).stop, { option: option([1, 2, 3]).ids, why: 'agreed' });
  });

  it('after the stop it goes on taking positions for those who have not stopped, until the hand-over', async () => {
    const negotiation = node(4, [1, 2]);
    negotiation.freeze(0);
    others(negotiation, 1, 4, [1], [1]);
    await negotiation.tick(10, compute);
    const stop = (await negotiation.tick(160, compute)).stop;
    others(negotiation, 1, 4, [1, 2], [1, 2], 2);
    const moved = await negotiation.tick(310, compute);
    assert.deepEqual([moved.stop, moved.state, moved.stance?.optionIds], [stop, 'stopped', option([1, 2]).ids]);
    await negotiation.tick(4_500, compute);
    others(negotiation, 1, 4, [1, 2], [1], 3);
    assert.deepEqual((await negotiation.tick(4_600, compute)).stance, moved.stance);
  });

  it('a restarted node goes on above the seq it had used', async () => {
    const negotiation = node(4, [1]);
    assert.equal(negotiation.onStance(certain(0, 41, [2])), 'stale');
    negotiation.freeze(0);
    assert.equal((await negotiation.tick(10, compute)).stance?.seq, 42);
    negotiation.onStance(certain(0, 50, [2]));
    assert.equal((await negotiation.tick(160, compute)).stance?.seq, 51);
    assert.equal((await negotiation.tick(310, compute)).stance?.seq, 51);
  });

  it('one tick at a time', async () => {
    const negotiation = node(1, [1]);
    negotiation.freeze(0);
    const first = negotiation.tick(0, compute);
    await assert.rejects(negotiation.tick(1, compute), { code: 'INTERNAL' });
    await first;
    await negotiation.tick(2, compute);
  });

  it('ticks as the rule written down a second time does', async () => {
    const ENTRIES = 4;
    const mask = fc.nat(2 ** ENTRIES - 1);
    const ids = (m: number) => option(Array.from({ length: ENTRIES }, (_, x) => x).filter((x) => m & (1 << x)));
    const prefs = fc.uniqueArray(fc.tuple(mask, fc.integer({ min: 1, max: PROBABILITY_ONE })), { selector: ([m]) => m, maxLength: 4 });
    // Most nodes see nearly the same, or nothing would ever pass the gate.
    const mostly = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(0b0111, 0b1111, 0b0011) }, { weight: 1, arbitrary: mask });
    const seat = fc.record({ attested: mostly, early: fc.record({ option: mostly, prefs }), later: fc.record({ option: mostly, prefs }) });
    let followed = 0;
    await fc.assert(
      fc.asyncProperty(mostly, mostly, fc.array(seat, { minLength: 0, maxLength: 8 }), fc.boolean(), async (own, more, seats, waited) => {
        const W = seats.length + 1;
        const negotiation = node(W, []);
        for (const id of ids(own).ids) negotiation.hold(id);
        negotiation.freeze(0);
        let brute: BruteState = { p: new Map(), ex: null, close: false };
        if (waited && W > 1) {
          await negotiation.tick(10, compute);
          brute = { p: new Map([[own, 1]]), ex: own, close: false };
        }
        for (const id of ids(more).ids) negotiation.hold(id);
        seats.forEach(({ attested }, i) => {
          negotiation.onAttest({ node: fingerprintOf(i + 1), ids: ids(attested).ids });
        });
        for (const [seq, phase] of (['early', 'later', 'later'] as const).entries()) {
          const stances: BruteStance[] = seats.map((s) => s[phase]);
          stances.forEach((s, i) => {
            const { digest, ids: optionIds } = ids(s.option);
            const view = s.prefs.map(([m, x]) => [ids(m).digest, x] as const);
            negotiation.onStance({ node: fingerprintOf(i + 1), seq, option: digest, optionIds, prefs: view });
          });
          const { stance } = await negotiation.tick(600 + 150 * seq, compute);
          const attested = [own, ...seats.map((s) => s.attested)];
          brute = bruteTick(brute, {
            seats: W,
            entries: ENTRIES,
            held: own | more,
            attested,
            stances,
            better: (a, b) => better(ids(a), ids(b)),
          });
          if (brute.close) return;
          assert.equal(stance?.option, brute.ex === null ? undefined : ids(brute.ex).digest);
          if (brute.ex !== null && brute.ex !== own) followed += 1;
          const expected = new Map([...brute.p].map(([m, x]) => [ids(m).digest, x * PROBABILITY_ONE]));
          assert.equal(stance?.prefs.length ?? 0, expected.size);
          for (const [digest, x] of stance?.prefs ?? [])
            assert.ok(Math.abs(x - (expected.get(digest) ?? Number.NaN)) <= 1, `${x} is not ${expected.get(digest)}`);
        }
      }),
      { numRuns: 400 },
    );
    assert.ok(followed > 100, `only ${followed} of the ticks moved anywhere`);
  });
});
