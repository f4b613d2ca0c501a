import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EMA_ONE, FAR_EPOCHS, type MemberState, TRUST_ONE } from '../../../src/spec/index.ts';
import { expNegative } from '../../../src/state/exp.ts';
import { type Standing, scaleFreeDistances, trustShares, updateTrust } from '../../../src/state/trust.ts';

const member = (fingerprint: string, facts: Partial<MemberState> = {}): MemberState => ({
  fingerprint,
  nodeClass: 'core',
  status: 'active',
  vote: 'voter',
  ed25519PublicKey: new Uint8Array(32),
  mldsaPublicKey: new Uint8Array(1952),
  joinedEpoch: 0,
  lastEpoch: 0,
  emaX: 0,
  farStreak: 0,
  trust: 0,
  ...facts,
});
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

describe('e^x without Math.exp', () => {
  it('agrees with Math.exp to a thousand-millionth', () => {
    for (let x = 0; x >= -64; x -= 0.013) {
      const reference = Math.exp(x);
      assert.ok(Math.abs(expNegative(x) - reference) <= 1e-9 * reference, `${x}: ${expNegative(x)} against ${reference}`);
    }
    assert.equal(expNegative(0), 1);
  });

  it('is 0 far below, never grows with distance, and refuses what is above 0', () => {
    assert.equal(expNegative(-64.001), 0);
    fc.assert(
      fc.property(fc.double({ min: -70, max: 0, noNaN: true }), fc.double({ min: 0, max: 70, noNaN: true }), (x, further) => {
        assert.ok(expNegative(x - further) <= expNegative(x));
      }),
    );
    assert.throws(() => expNegative(0.1), RangeError);
  });
});

describe('an integrity fault', () => {
  const four = ['a', 'b', 'c', 'd'].map((name) => member(name));

  it('takes the floor away at once, and honest epochs give trust back', () => {
    const after = updateTrust(four, new Map([['a', 0]]), 1, new Set(['d']));
    assert.ok((after[3]?.trust ?? 1) < TRUST_ONE / 1_000_000);
    assert.equal(after[3]?.farStreak, FAR_EPOCHS);
    const [far] = updateTrust([member('a')], new Map([['a', 64]]), 1);
    assert.equal(after[3]?.emaX, far?.emaX, 'as far as anything counts');
    let members = after;
    for (let n = 0; n < 20; n++) members = updateTrust(members, new Map(four.map((m) => [m.fingerprint, 0])), 1);
    assert.ok((members[3]?.trust ?? 0) > 0.2 * TRUST_ONE);
  });
});

describe('scale-free distances', () => {
  it('are max(0, Delta / median - 2), capped at 64', () => {
    assert.deepEqual(scaleFreeDistances([10n, 10n, 10n, 35n]), [0, 0, 0, 1.5]);
    assert.deepEqual(scaleFreeDistances([10n, 30n, 90n]), [0, 0, 1]);
    // Four of them: the mean of 10 and 20 is 15.
    assert.deepEqual(scaleFreeDistances([1n, 10n, 20n, 60n]), [0, 0, 0, 2]);
    assert.deepEqual(scaleFreeDistances([1n, 1n, 10n ** 30n]), [0, 0, 64]);
  });

  it('do not change with the unit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: 1n, max: 10n ** 15n }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 0, max: 100 }),
        (d, shift) => assert.deepEqual(scaleFreeDistances(d.map((v) => v << BigInt(shift))), scaleFreeDistances(d)),
      ),
    );
  });

  it('leave out what did not move the model, unless nothing did', () => {
    assert.deepEqual(scaleFreeDistances([0n, 10n, 0n, 10n, 10n, 35n]), [undefined, 0, undefined, 0, 0, 1.5]);
    assert.deepEqual(scaleFreeDistances([0n, 0n]), [0, 0]);
    assert.deepEqual(scaleFreeDistances([]), []);
  });
});

describe('trust shares', () => {
  const standing = fc.record({ x: fc.double({ min: 0, max: 64, noNaN: true }), floored: fc.boolean(), still: fc.boolean() });
  const nodes = fc.array(standing, { minLength: 1, maxLength: 30 }).filter((all) => all.some((n) => n.x < 30 && !n.still));

  it('are exp(-lambda x) / sum exp(-lambda x) where no floor is reached', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (xs, lambda) => {
          const shares = trustShares(
            xs.map((x) => ({ x, floored: true, still: false })),
            lambda,
          );
          const total = sum(xs.map((x) => Math.exp(-lambda * x)));
          xs.forEach((x, i) => {
            assert.ok(Math.abs((shares[i] as number) / TRUST_ONE - Math.exp(-lambda * x) / total) < 1e-9);
          });
        },
      ),
    );
  });

  it('add up to one, keep a quarter of uniform for whoever is floored, and order nodes by x', () => {
    fc.assert(
      fc.property(nodes, fc.double({ min: 0, max: 2, noNaN: true }), (all, lambda) => {
        const shares = trustShares(all, lambda);
        assert.ok(Math.abs(sum(shares) - TRUST_ONE) <= all.length, `${sum(shares)}`);
        all.forEach((a, i) => {
          if (a.floored) assert.ok((shares[i] as number) >= Math.floor((0.25 * TRUST_ONE) / all.length));
          all.forEach((b, j) => {
            if (a.x <= b.x && a.floored === b.floored && !a.still && !b.still) assert.ok((shares[i] as number) >= (shares[j] as number));
          });
        });
      }),
    );
  });

  it('are at most the mean of the others for whoever did not move the model, and at most uniform for one alone', () => {
    fc.assert(
      fc.property(nodes, fc.double({ min: 0, max: 2, noNaN: true }), (all, lambda) => {
        const shares = trustShares(all, lambda);
        const others = shares.filter((_, i) => !all[i]?.still);
        const still = shares.filter((_, i) => all[i]?.still);
        const floor = TRUST_ONE / all.length / 4;
        for (const share of still) assert.ok(share <= Math.max(floor, sum(others) / others.length) + 1, `${share}`);
        if (still.length === 1) assert.ok((still[0] as number) <= TRUST_ONE / all.length + 1, `${still[0]}`);
      }),
    );
  });

  it('lift several nodes to the floor together', () => {
    const far: Standing = { x: 60, floored: true, still: false };
    const near: Standing = { x: 0, floored: true, still: false };
    const shares = trustShares([near, far, far, far], 1).map((s) => s / TRUST_ONE);
    assert.ok(shares.slice(1).every((s) => Math.abs(s - 1 / 16) < 1e-9));
    assert.ok(Math.abs((shares[0] as number) - 13 / 16) < 1e-9);
  });
});

describe('trust over epochs', () => {
  const four = ['a', 'b', 'c', 'd'].map((f) => member(f));
  const epochs = (x: readonly (number | undefined)[], count: number, from: MemberState[] = four): MemberState[] => {
    let members = from;
    for (let e = 0; e < count; e++) members = updateTrust(members, new Map(members.map((m, i) => [m.fingerprint, x[i]])), 1);
    return members;
  };
  const shareOf = (members: MemberState[], i: number): number => (members[i] as MemberState).trust / TRUST_ONE;

  it('averages x with a quarter of the newest', () => {
    let plain = 0;
    let members = four;
    for (const x of [2, 0, 3, 1.5]) {
      plain = plain + 0.25 * (x - plain);
      members = updateTrust(members, new Map([['a', x]]), 1);
    }
    assert.ok(Math.abs((members[0] as MemberState).emaX / EMA_ONE - plain) < 1e-8);
    assert.equal((members[1] as MemberState).emaX, 0, 'who was not in the roster does not move');
  });

  it('keeps a far node at a quarter of uniform for four epochs and lets it fall below 1% with the fifth', () => {
    assert.ok(Math.abs(shareOf(epochs([0, 0, 0, 20], FAR_EPOCHS - 1), 3) - 1 / 16) < 1e-6);
    assert.ok(shareOf(epochs([0, 0, 0, 20], FAR_EPOCHS), 3) < 0.01);
    // Barely far: the average needs some epochs more.
    assert.ok(shareOf(epochs([0, 0, 0, 4.1], 8), 3) < 0.01);
  });

  it('restores the floor with the first epoch that is not far', () => {
    const fallen = epochs([0, 0, 0, 20], 8);
    assert.ok(shareOf(fallen, 3) < 0.001);
    assert.ok(shareOf(epochs([0, 0, 0, 4], 1, fallen), 3) > 0.0624);
  });

  it('counts epochs in a row: one that is not far starts over, one that is missed does not', () => {
    assert.equal((epochs([0, 0, 0, 1], 1, epochs([0, 0, 0, 20], 4))[3] as MemberState).farStreak, 0);
    const away = updateTrust(epochs([0, 0, 0, 20], 4), new Map([['a', 0]]), 1);
    assert.equal((away[3] as MemberState).farStreak, 4);
  });

  it('does not let a poisoner make up for it with zeros', () => {
    const fallen = epochs([0, 0, 0, 20], 8);
    const still = epochs([0, 0, 0, undefined], 20, fallen);
    assert.equal((still[3] as MemberState).emaX, (fallen[3] as MemberState).emaX);
    assert.ok(shareOf(still, 3) < 0.001);
  });

  it('gives nobody a larger share for having been away', () => {
    const members = updateTrust(
      four,
      new Map([
        ['a', 0],
        ['b', 0],
      ]),
      1,
    );
    assert.deepEqual(
      members.map((m) => m.trust),
      new Array(4).fill(TRUST_ONE / 4),
    );
  });
});
