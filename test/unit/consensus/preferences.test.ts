import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createReference } from '../../../src/compute/index.ts';
import { concentration, gate } from '../../../src/consensus/camps.ts';
import { certainty } from '../../../src/consensus/certainty.ts';
import { optionOf } from '../../../src/consensus/index.ts';
import { better } from '../../../src/consensus/options.ts';
import { favourite, mix, type Preference, tidy } from '../../../src/consensus/preferences.ts';
import { contributionOf } from '../../support/rosterWorld.ts';

const compute = createReference();
const near = (actual: number, expected: number, within = 1e-6): void =>
  assert.ok(Math.abs(actual - expected) <= within, `${actual} is not ${expected}`);
const option = (n: number) => optionOf([contributionOf(n)]);

describe('consensus: certainty and mixing', () => {
  it('cert(p) = 1 - H(p)/ln|p|, by hand', async () => {
    near(await certainty([], compute), 1);
    near(await certainty([0.3], compute), 1);
    near(await certainty([1, 1], compute), 0);
    near(await certainty([5, 5, 5, 5], compute), 0);
    // H(0.9, 0.1) = 0.3250830 nats; ln 2 is Math.LN2.
    near(await certainty([0.9, 0.1], compute), 1 - 0.325083 / Math.LN2);
    // H(1/2, 1/4, 1/4) = 1.5 ln 2; ln 3 = 1.0986123.
    near(await certainty([2, 1, 1], compute), 1 - (1.5 * Math.LN2) / 1.0986123);
  });

  it('a camp of a third of the seats or less does not pass the gate', async () => {
    const voices = [0, 0, 1, 1, 1, 2].map((n) => ({ option: option(n), prefs: [1] }));
    assert.deepEqual(new Set((await gate(voices, 6, compute)).map((camp) => camp.option.digest)), new Set([option(1).digest]));
    const both = await gate(voices, 5, compute);
    assert.deepEqual(
      new Map(both.map((camp) => [camp.option.digest, camp.size])),
      new Map([
        [option(0).digest, 2],
        [option(1).digest, 3],
      ]),
    );
  });

  it('a voice weighs from c0 = 0.5 when torn to 1 when certain', async () => {
    const [camp] = await gate(
      [
        { option: option(0), prefs: [1, 1] },
        { option: option(0), prefs: [7] },
        { option: option(0), prefs: [9, 1] },
      ],
      3,
      compute,
    );
    near(camp?.weight ?? 0, 0.5 + 1 + 0.5 + 0.5 * (1 - 0.325083 / Math.LN2));
  });

  it('camps are listened to from half the seats on, fully from two thirds, and less when they balance', async () => {
    const camp = (size: number, n = 0) => ({ option: option(n), size, weight: size });
    near(await concentration([], 9, compute), 0);
    near(await concentration([camp(4)], 9, compute), 0);
    near(await concentration([camp(7)], 12, compute), 0.5);
    near(await concentration([camp(6)], 9, compute), 1);
    near(await concentration([camp(5), camp(5, 1)], 10, compute), 0);
  });

  it('one step is (1 - a) p + a (C y²/Σy² + (1 - C) fallback) for any p, camps and C', async () => {
    const share = fc.double({ min: 0.01, max: 1, noNaN: true });
    const some = fc.uniqueArray(fc.tuple(fc.nat(5), share), { selector: ([n]) => n, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(some, some, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(5), async (own, camps, c, fallback) => {
        const total = own.reduce((sum, [, x]) => sum + x, 0);
        const p: Preference[] = own.map(([n, x]) => ({ option: option(n), share: x / total }));
        const weight = camps.map(([n, x]) => ({ option: option(n), size: 1, weight: x }));
        const squares = camps.reduce((sum, [, x]) => sum + x * x, 0);
        const expected = Array.from({ length: 6 }, (_, n) => {
          const before = own.length === 0 ? (n === fallback ? 1 : 0) : (own.find(([m]) => m === n)?.[1] ?? 0) / total;
          const pull = (camps.find(([m]) => m === n)?.[1] ?? 0) ** 2 / (squares || 1);
          return 0.5 * before + 0.5 * (c * pull + (n === fallback ? 1 - c : 0));
        });
        const mixed = await mix(p, weight, c, option(fallback), option(fallback), compute);
        for (const [n, x] of expected.entries()) near(mixed.find((m) => m.option.digest === option(n).digest)?.share ?? 0, x);
      }),
      { numRuns: 100 },
    );
  });

  it('keeps at most eight shares, none below 1e-4, adding up to 1', () => {
    const p = Array.from({ length: 12 }, (_, n) => ({ option: option(n), share: n === 0 ? 1e-5 : n }));
    const kept = tidy(p);
    assert.deepEqual(new Set(kept.map((x) => x.option.digest)), new Set([4, 5, 6, 7, 8, 9, 10, 11].map((n) => option(n).digest)));
    near(
      kept.reduce((sum, x) => sum + x.share, 0),
      1,
      1e-12,
    );
    assert.equal(
      tidy([
        { option: option(0), share: 0.99995 },
        { option: option(1), share: 0.00005 },
      ]).length,
      1,
    );
    assert.deepEqual(tidy([{ option: option(0), share: 0 }]), []);
  });

  it('shares within 0.05 of the largest count as equal: then the better option leads', () => {
    const large = optionOf([1, 2].map(contributionOf));
    assert.equal(
      favourite([
        { option: option(0), share: 0.52 },
        { option: large, share: 0.48 },
      ]),
      large,
    );
    assert.deepEqual(
      favourite([
        { option: option(0), share: 0.53 },
        { option: large, share: 0.47 },
      ]),
      option(0),
    );
    const [first, second] = better(option(0), option(1)) ? [option(0), option(1)] : [option(1), option(0)];
    assert.deepEqual(
      favourite([
        { option: second, share: 0.5 },
        { option: first, share: 0.5 },
      ]),
      first,
    );
    assert.equal(favourite([]), null);
  });
});
