import assert from 'node:assert/strict';
import { bytesOf, encodePayload, layoutOf } from '../../../src/aggregation/index.ts';
import { contentOf, fromHex, sealSegments } from '../../../src/crypto/index.ts';
import { Updates } from '../../../src/epoch/updates.ts';
import type { EntryOf } from '../../../src/ledger/index.ts';
import type { Encoding, Genesis, UpdateDtype } from '../../../src/spec/index.ts';
import { encodeUpdate, type UpdateKey, updateHash } from '../../../src/wire/index.ts';
import { draft, hashOf } from '../ledger/entries.ts';
import { genesis as sample } from '../wire/samples.ts';

const TENSORS = [{ name: 'a', shape: [4] }];
const SPANS = layoutOf(TENSORS);
const EXPONENTS = [-4];
const genesis: Genesis = { ...sample, tensors: TENSORS, scaleExponents: EXPONENTS, clipNorm: 3_000, updateDtype: 'int16' };
const SALT = new Uint8Array(32).fill(7);

interface Made {
  readonly entry: EntryOf<'contribution'>;
  readonly key: UpdateKey;
  readonly sealed: Uint8Array;
}

interface Given {
  readonly integers?: Int16Array | Int8Array;
  /** What the entry commits to, where that is not what is sealed. */
  readonly committed?: Int16Array;
  readonly dtype?: UpdateDtype;
  readonly epoch?: number;
  readonly salt?: string;
  readonly encoding?: Encoding;
  /** What is sealed, where that is not what an honest node would send. */
  readonly payload?: Uint8Array;
}

/** A contribution with its sealed update and the key, as its author would make them. */
function made({
  integers = Int16Array.of(1, -2, 3, 100),
  committed,
  dtype = 'int16',
  epoch = 1,
  salt = '',
  encoding = 'dense',
  payload,
}: Given = {}): Made {
  const form = { encoding, topkShare: 0.5, updateDtype: dtype };
  const bytes = payload ?? encodePayload(integers, SPANS, form);
  const hash = updateHash(SALT, bytesOf(committed ?? integers));
  const body = { epoch, updateHash: hash, sizeBytes: 8, samples: 1, maxAbs: [1], metrics: {}, commitment: null, staleness: 0, links: [] };
  const entry = draft({ author: hashOf(`author ${salt}`), change: { body } as never }) as EntryOf<'contribution'>;
  const key = new Uint8Array(32).fill(9);
  const sealed = sealSegments(key, fromHex(entry.id), encodeUpdate({ salt: SALT, encoding, dtype, payload: bytes }));
  return { entry, sealed, key: { id: entry.id, key, cipherRoot: contentOf(sealed).root, cipherBytes: sealed.byteLength } };
}

const code = (expected: string, field?: string) => (e: unknown) => {
  const { code: actual, facts } = e as { code?: string; facts?: { field?: string } };
  return actual === expected && (field === undefined || facts?.field === field);
};

/** Everything that opens `m` is here. */
function holding(m: Made, of: Genesis = genesis): Updates {
  const updates = new Updates(of, SPANS);
  updates.expect(m.entry);
  updates.offerKey(m.key);
  updates.offerSealed(m.entry.id, m.key.cipherRoot, m.sealed);
  return updates;
}

describe('updates held and wanted', () => {
  it('open once entry, key and bytes are here, in any order', () => {
    const m = made();
    const acts = [
      (u: Updates) => u.expect(m.entry),
      (u: Updates) => u.offerKey(m.key),
      (u: Updates) => u.offerSealed(m.entry.id, m.key.cipherRoot, m.sealed),
    ] as const;
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
    ] as const) {
      const updates = new Updates(genesis, SPANS);
      for (const [i, act] of order.entries()) {
        acts[act](updates);
        if (i < 2) assert.equal(updates.open(m.entry.id, EXPONENTS), false);
      }
      assert.equal(updates.wanted(m.entry.id), true);
      assert.equal(updates.open(m.entry.id, EXPONENTS), true);
      assert.deepEqual(updates.row(m.entry.id), Int16Array.of(1, -2, 3, 100));
      assert.equal(updates.wanted(m.entry.id), false);
      assert.equal(updates.open(m.entry.id, EXPONENTS), true, 'twice is as good as once');
    }
  });

  it('serve their sealed bytes by root', () => {
    const m = made();
    const updates = holding(m);
    assert.deepEqual(updates.sealed(m.key.cipherRoot), m.sealed);
    assert.equal(updates.sealed(hashOf('another')), undefined);
  });

  it('forget a wrong key, not what it did not open, and open with the right one', () => {
    const m = made();
    const updates = new Updates(genesis, SPANS);
    updates.expect(m.entry);
    updates.offerKey({ ...m.key, key: new Uint8Array(32).fill(1) });
    updates.offerSealed(m.entry.id, m.key.cipherRoot, m.sealed);
    assert.throws(() => updates.open(m.entry.id, EXPONENTS), code('DECRYPT_FAILED'));
    assert.deepEqual([updates.key(m.entry.id), updates.sealed(m.key.cipherRoot), updates.wanted(m.entry.id)], [undefined, m.sealed, true]);
    updates.offerKey(m.key);
    assert.equal(updates.open(m.entry.id, EXPONENTS), true);
  });

  it('do not take integers that the entry did not commit to, and stay open for the true ones', () => {
    const lie = made({ integers: Int16Array.of(9, 9, 9, 9), committed: Int16Array.of(1, -2, 3, 100) });
    const updates = holding(lie);
    assert.throws(() => updates.open(lie.entry.id, EXPONENTS), code('HASH_MISMATCH', 'updateHash'));
    assert.equal(updates.wanted(lie.entry.id), true);
    assert.equal(updates.refusal(lie.entry.id), undefined);
  });

  it('do not take another size or another type', () => {
    for (const integers of [Int16Array.of(1, 2, 3), Int16Array.of(1, 2, 3, 4, 5), new Int16Array(40_000)]) {
      const m = made({ integers });
      const updates = holding(m);
      assert.throws(
        () => updates.open(m.entry.id, EXPONENTS),
        (e) => code('MALFORMED')(e) || code('TOO_LARGE')(e),
      );
      assert.equal(updates.row(m.entry.id), undefined);
    }
    const other = made({ integers: Int8Array.of(1, 2, 3, 4, 5, 6, 7, 8), dtype: 'int8' });
    assert.throws(() => holding(other).open(other.entry.id, EXPONENTS), code('INCOMPATIBLE', 'dtype'));
  });

  it("open to the integers that were committed to in every encoding, and to no other encoding than the swarm's", () => {
    for (const encoding of ['topk', 'sign'] as const) {
      const of: Genesis = { ...genesis, encoding, topkShare: 0.5 };
      const integers = encoding === 'topk' ? Int16Array.of(0, -900, 0, 7) : Int16Array.of(5, -5, -5, 5);
      const m = made({ integers, encoding });
      const updates = holding(m, of);
      assert.equal(updates.open(m.entry.id, EXPONENTS), true);
      assert.deepEqual(updates.row(m.entry.id), integers);
      // Nine bytes of top-k are too many for a dense update of four int16 already, eight dense ones for signs.
      const [here, there] = encoding === 'sign' ? ['INCOMPATIBLE', 'MALFORMED'] : ['MALFORMED', 'INCOMPATIBLE'];
      assert.throws(() => holding(m).open(m.entry.id, EXPONENTS), code(here as string));
      const dense = made({ integers });
      assert.throws(() => holding(dense, of).open(dense.entry.id, EXPONENTS), code(there as string));
      const lie = made({ integers: integers.map((v) => -v), committed: integers, encoding });
      assert.throws(() => holding(lie, of).open(lie.entry.id, EXPONENTS), code('HASH_MISMATCH', 'updateHash'));
      const far = encoding === 'topk' ? Int16Array.of(0, 32_767, -32_767, 0) : Int16Array.of(32_767, 32_767, 32_767, 32_767);
      const over = made({ integers: far, encoding });
      assert.throws(() => holding(over, { ...of, clipNorm: 2_000 }).open(over.entry.id, EXPONENTS), code('BOUNDS_EXCEEDED', 'update'));
    }
  });

  it('do not take a payload that decodes to none, and stay open for the true one', () => {
    const of: Genesis = { ...genesis, encoding: 'topk', topkShare: 0.5 };
    const integers = Int16Array.of(0, -900, 0, 7);
    const right = made({ integers, encoding: 'topk' });
    const hostile: readonly (readonly [what: string, payload: Uint8Array, code: string])[] = [
      ['three values where half of four travel', Uint8Array.of(0, 3, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0), 'MALFORMED'],
      ['a place beyond the tensor', Uint8Array.of(0, 1, 0, 0, 0, 4, 1, 0), 'MALFORMED'],
      ['values of zero', Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 0), 'NON_CANONICAL'],
      ['a value past saturation', Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 128), 'BOUNDS_EXCEEDED'],
      ['a count that never ends', Uint8Array.of(0, 255, 255, 255, 255, 0, 0, 0), 'MALFORMED'],
      ['nothing', new Uint8Array(0), 'MALFORMED'],
    ];
    for (const [what, payload, expected] of hostile) {
      const m = made({ integers, encoding: 'topk', payload });
      const updates = holding(m, of);
      assert.throws(() => updates.open(m.entry.id, EXPONENTS), code(expected), what);
      assert.deepEqual([updates.wanted(m.entry.id), updates.refusal(m.entry.id)], [true, undefined], what);
      updates.offerKey(right.key);
      updates.offerSealed(m.entry.id, right.key.cipherRoot, right.sealed);
      assert.equal(updates.open(m.entry.id, EXPONENTS), true, what);
    }
  });

  it('refuse for good what its author committed to over the norm bound', () => {
    // 30,000 / 16 = 1,875 each: two of them are at 2,652, three at 3,248.
    const m = made({ integers: Int16Array.of(30_000, -30_000, 30_000, 0) });
    const updates = holding(m);
    assert.throws(
      () => updates.open(m.entry.id, EXPONENTS),
      (e) => code('BOUNDS_EXCEEDED', 'update')(e) && (e as { facts: { peer?: string } }).facts.peer === m.entry.core.author,
    );
    assert.ok(code('BOUNDS_EXCEEDED')(updates.refusal(m.entry.id)));
    assert.deepEqual([updates.wanted(m.entry.id), updates.open(m.entry.id, EXPONENTS), updates.row(m.entry.id)], [false, false, undefined]);
    const within = made({ integers: Int16Array.of(30_000, -30_000, 0, 0) });
    assert.equal(holding(within).open(within.entry.id, EXPONENTS), true);
    assert.throws(() => holding(within).open(within.entry.id, [-3]), code('BOUNDS_EXCEEDED'), 'the bound is in the model, not in quanta');
  });

  it('refuse integers past saturation, which could overflow a sum', () => {
    const m = made({ integers: Int16Array.of(-32_768, 0, 0, 0) });
    assert.throws(() => holding(m).open(m.entry.id, EXPONENTS), code('BOUNDS_EXCEEDED', 'update'));
    const least = made({ integers: Int16Array.of(-32_767, 0, 0, 0) });
    assert.equal(holding(least).open(least.entry.id, EXPONENTS), true);
    const small: Genesis = { ...genesis, updateDtype: 'int8', tensors: [{ name: 'a', shape: [4] }] };
    const byte = made({ integers: Int8Array.of(-128, 0, 0, 0), dtype: 'int8' });
    assert.throws(() => holding(byte, small).open(byte.entry.id, EXPONENTS), code('BOUNDS_EXCEEDED', 'update'));
  });

  it('keep what the key names: a manifest is unsigned and may carry anything', () => {
    const m = made();
    const junk = new Uint8Array(100).fill(3);
    const root = contentOf(junk).root;
    const updates = new Updates(genesis, SPANS);
    updates.expect(m.entry);
    updates.offerSealed(m.entry.id, root, junk);
    assert.deepEqual(updates.sealed(root), junk);
    updates.offerSealed(m.entry.id, m.key.cipherRoot, m.sealed);
    assert.equal(updates.sealed(root), undefined, 'the latest replaces it, under its own root alone');
    updates.offerKey(m.key);
    updates.offerSealed(m.entry.id, root, junk);
    assert.equal(updates.open(m.entry.id, EXPONENTS), true);

    const fooled = new Updates(genesis, SPANS);
    fooled.expect(m.entry);
    fooled.offerSealed(m.entry.id, root, junk);
    fooled.offerKey(m.key);
    assert.equal(fooled.open(m.entry.id, EXPONENTS), false, 'nothing to blame the key for');
    assert.deepEqual([fooled.key(m.entry.id), fooled.sealed(root)], [m.key, undefined]);
  });

  it('keep the first key offered until it fails, and the one that opened for good', () => {
    const m = made();
    const updates = holding(m);
    const other = { ...m.key, key: new Uint8Array(32).fill(1) };
    updates.offerKey(other);
    assert.equal(updates.key(m.entry.id), m.key);
    updates.open(m.entry.id, EXPONENTS);
    updates.forgetKey(m.entry.id);
    assert.equal(updates.key(m.entry.id), m.key);
  });

  it('remember keys that come before their entry, over the beginning of one epoch, and only so many', () => {
    const m = made();
    const early = new Updates(genesis, SPANS);
    early.offerKey(m.key);
    early.prune(1);
    early.expect(m.entry);
    assert.equal(early.key(m.entry.id), m.key);
    const late = new Updates(genesis, SPANS);
    late.offerKey(m.key);
    late.prune(1);
    late.prune(2);
    late.expect(m.entry);
    assert.equal(late.key(m.entry.id), undefined);
    const flooded = new Updates(genesis, SPANS);
    for (let i = 0; i < 1_024; i++) flooded.offerKey({ ...m.key, id: hashOf(`${i}`) });
    flooded.offerKey(m.key);
    flooded.expect(m.entry);
    assert.equal(flooded.key(m.entry.id), undefined);
  });

  it('are kept for two epochs, their bytes too', () => {
    const m = made({ epoch: 5 });
    const updates = holding(m);
    updates.open(m.entry.id, EXPONENTS);
    updates.prune(6);
    assert.notEqual(updates.row(m.entry.id), undefined);
    updates.prune(7);
    assert.deepEqual([updates.row(m.entry.id), updates.sealed(m.key.cipherRoot)], [undefined, undefined]);
  });

  it('keep sealed bytes for others within a budget: of an epoch that is over first, then those not asked for, the own one last', () => {
    const [old, idle, busy, late, own, waiting] = ['old', 'idle', 'busy', 'late', 'own', 'waiting'].map((salt, i) =>
      made({ salt, epoch: i === 0 ? 5 : 6 }),
    ) as [Made, Made, Made, Made, Made, Made];
    const kept = (budget: number): string[] => {
      const updates = new Updates(genesis, SPANS, budget * own.sealed.byteLength);
      updates.prune(6);
      updates.own(own.entry, own.key, own.sealed, Int16Array.of(1, -2, 3, 100));
      const take = (m: Made, opens = true): void => {
        updates.expect(m.entry);
        if (opens) updates.offerKey(m.key);
        updates.offerSealed(m.entry.id, m.key.cipherRoot, m.sealed);
        updates.open(m.entry.id, EXPONENTS);
      };
      take(waiting, false);
      take(busy);
      take(idle);
      take(old);
      updates.sealed(busy.key.cipherRoot);
      take(late);
      assert.deepEqual(updates.row(old.entry.id), Int16Array.of(1, -2, 3, 100), 'its values stay');
      return Object.entries({ old, idle, busy, late, own, waiting }).flatMap(([name, m]) =>
        updates.sealed(m.key.cipherRoot) ? [name] : [],
      );
    };
    assert.deepEqual(kept(5), ['old', 'idle', 'busy', 'late', 'own', 'waiting']);
    assert.deepEqual(kept(4), ['idle', 'busy', 'late', 'own', 'waiting']);
    assert.deepEqual(kept(3), ['busy', 'late', 'own', 'waiting']);
    assert.deepEqual(kept(0), ['own', 'waiting']);
  });

  it('are let go when their epoch is over where they are large: the rest is for whoever missed a little', () => {
    const [one, two, now] = [made({ salt: 'one', epoch: 5 }), made({ salt: 'two', epoch: 5 }), made({ salt: 'now', epoch: 6 })];
    for (const [budget, kept] of [
      [2, [true, true, true]],
      [1, [true, false, true]],
      [0, [false, false, true]],
    ] as const) {
      const updates = new Updates(genesis, SPANS, 1_000, budget * (one.sealed.byteLength + 8));
      for (const m of [one, two, now]) {
        updates.expect(m.entry);
        updates.offerKey(m.key);
        updates.offerSealed(m.entry.id, m.key.cipherRoot, m.sealed);
        updates.open(m.entry.id, EXPONENTS);
      }
      updates.prune(5);
      assert.ok([one, two, now].every((m) => updates.row(m.entry.id)));
      updates.prune(6);
      assert.deepEqual(
        [one, two, now].map((m) => updates.row(m.entry.id) !== undefined && updates.sealed(m.key.cipherRoot) !== undefined),
        kept,
      );
    }
  });

  it('know how large a sealed update can be: as large as integers that do not compress', () => {
    const size = 200_000;
    const updates = new Updates({ ...genesis, tensors: [{ name: 'a', shape: [size] }] }, layoutOf([{ name: 'a', shape: [size] }]));
    let state = 1;
    const noise = Int16Array.from({ length: size }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return (state >>> 16) - 32_768;
    });
    const sealed = sealSegments(
      new Uint8Array(32),
      fromHex(hashOf('x')),
      encodeUpdate({ salt: SALT, encoding: 'dense', dtype: 'int16', payload: bytesOf(noise) }),
    );
    assert.ok(
      sealed.byteLength > 2 * size && sealed.byteLength <= updates.maxSealedBytes(),
      `${sealed.byteLength} of ${updates.maxSealedBytes()}`,
    );
    assert.ok(updates.maxSealedBytes() < 1.01 * sealed.byteLength);
  });

  it('take the own one without opening it', () => {
    const m = made();
    const updates = new Updates(genesis, SPANS);
    updates.own(m.entry, m.key, m.sealed, Int16Array.of(1, 2, 3, 4));
    assert.deepEqual(
      [updates.wanted(m.entry.id), updates.open(m.entry.id, EXPONENTS), updates.sealed(m.key.cipherRoot)],
      [false, true, m.sealed],
    );
    const again = { ...m.key, cipherRoot: hashOf('sealed again') };
    updates.own(m.entry, again, m.sealed, Int16Array.of(1, 2, 3, 4));
    assert.deepEqual([updates.sealed(m.key.cipherRoot), updates.sealed(again.cipherRoot)], [undefined, m.sealed]);
  });
});
