import assert from 'node:assert/strict';
import fc from 'fast-check';
import { layoutOf, type TensorSpan } from '../../../src/aggregation/index.ts';
import type { Durability, NodeStore } from '../../../src/epoch/ports.ts';
import type { Residual } from '../../../src/epoch/residual.ts';
import type { OwnUpdate } from '../../../src/epoch/residualRecords.ts';
import { MemoryNodeStore } from '../../../src/simulation/stores.ts';
import type { Hex } from '../../../src/spec/index.ts';
import { decode } from '../../../src/wire/index.ts';
import { AnnouncingBlobStore, openResidual, valuesOf } from '../../support/residuals.ts';
import { hashOf } from '../ledger/entries.ts';

const EXPONENTS = [-4, -2];
/** Of the three elements that are learned. */
const scaleAt = (k: number): number => 2 ** (k < 2 ? -4 : -2);

class Crash extends Error {}

/** A disk that dies at the k-th write from now; what was written before stays, but for the newest that was durable 'soon'. */
class FailingStore implements NodeStore {
  readonly under = new MemoryNodeStore();
  /** What takes back each write that is not durable yet. */
  #unsynced: (() => void)[] = [];
  writesLeft = Number.POSITIVE_INFINITY;
  get(key: string): Uint8Array | undefined {
    return this.under.get(key);
  }
  set(key: string, value: Uint8Array, when: Durability = 'now'): void {
    this.write();
    this.#note(key, when);
    this.under.set(key, value);
  }
  delete(key: string, when: Durability = 'now'): void {
    this.write();
    this.#note(key, when);
    this.under.delete(key);
  }
  /** The power goes, and takes back this many of the newest writes, where they may go. */
  lose(count: number): void {
    for (let i = 0; i < count; i++) this.#unsynced.pop()?.();
    this.#unsynced = [];
  }
  #note(key: string, when: Durability): void {
    const before = this.under.get(key);
    if (when === 'now') this.#unsynced = [];
    else this.#unsynced.push(() => (before === undefined ? this.under.delete(key) : this.under.set(key, before)));
  }
  keys(prefix: string): string[] {
    return this.under.keys(prefix);
  }
  write(): void {
    if (this.writesLeft-- <= 0) throw new Crash();
  }
}

/**
 * What the residual is for, kept in plain numbers beside it: every delta, and which contributions are on the ledger. Learns the first two
 * elements and the last of a model of `elements`.
 */
class Trainer {
  readonly elements: number;
  readonly #spans: readonly TensorSpan[];
  readonly store = new FailingStore();
  readonly own = new AnnouncingBlobStore(() => this.store.write());
  readonly ledger: { readonly update: OwnUpdate; rostered: boolean }[] = [];
  residual: Residual;
  /** Sum of the deltas whose contribution is on the ledger. */
  readonly learned = [0, 0, 0];
  epoch = 1;

  constructor(elements = 3) {
    this.elements = elements;
    this.#spans = layoutOf([
      { name: 'a', shape: [elements - 1] },
      { name: 'b', shape: [1] },
    ]);
    this.residual = this.#open();
  }

  #open(): Residual {
    return openResidual(this.store, this.own, this.#spans, (hash) => this.ledger.some(({ update }) => update.updateHash === hash));
  }

  async restart(): Promise<void> {
    this.store.writesLeft = Number.POSITIVE_INFINITY;
    this.residual = this.#open();
    await this.residual.tidy();
    await this.settle();
  }

  /** As commit.ts does. The delta counts as learned once it is on the ledger. */
  async submit(delta: readonly number[]): Promise<void> {
    const prepared = await valuesOf(this.residual);
    const integers = new Int16Array(this.elements);
    for (const [k, d] of delta.entries()) {
      const at = this.#at(k);
      prepared[at] = (prepared[at] as number) + d;
      integers[at] = Math.max(-100, Math.min(100, Math.round((prepared[at] as number) / scaleAt(k))));
    }
    const update = {
      updateHash: hashOf(`update ${this.ledger.length} ${this.epoch} ${delta}`),
      epoch: this.epoch,
      dtype: 'int16' as const,
      salt: new Uint8Array(32),
      integers,
      secret: new Uint8Array(32).fill(this.epoch),
      exponents: EXPONENTS,
    };
    await this.residual.contribute(update, prepared, () => this.#append(update, delta));
    this.epoch += 1;
  }

  /** Where the k-th of the three is. */
  #at(k: number): number {
    return k < 2 ? k : this.elements - 1;
  }

  #append(update: OwnUpdate, delta: readonly number[]): void {
    if (this.store.writesLeft-- <= 0) throw new Crash();
    this.ledger.push({ update, rostered: false });
    delta.forEach((d, k) => {
      this.learned[k] = (this.learned[k] as number) + d;
    });
  }

  settle(): Promise<void> {
    return this.residual.settle(
      (hash: Hex) => this.ledger.some(({ update, rostered }) => rostered && update.updateHash === hash),
      this.epoch,
    );
  }

  /** What was learned is owed or in the model, nothing twice and nothing lost. */
  async check(): Promise<void> {
    const values = await valuesOf(this.residual);
    for (let k = 0; k < 3; k++) {
      const inModel = this.ledger.reduce(
        (sum, { update, rostered }) => sum + (rostered ? (update.integers[this.#at(k)] as number) * scaleAt(k) : 0),
        0,
      );
      const owed = values[this.#at(k)] as number;
      assert.ok(
        Math.abs((this.learned[k] as number) - owed - inModel) < 1e-3,
        `${k}: learned ${this.learned[k]}, owed ${owed}, in the model ${inModel}`,
      );
    }
  }
}

type Act =
  | { readonly kind: 'submit'; readonly delta: number[] }
  | { readonly kind: 'choose'; readonly which: number; readonly rostered: boolean }
  | { readonly kind: 'restart' };

const delta = fc.array(fc.float({ min: -10, max: 10, noNaN: true }), { minLength: 3, maxLength: 3 });
const act: fc.Arbitrary<Act> = fc.oneof(
  delta.map((d): Act => ({ kind: 'submit', delta: d })),
  fc.record({ which: fc.nat(), rostered: fc.boolean() }).map((c): Act => ({ kind: 'choose', ...c })),
  fc.constant<Act>({ kind: 'restart' }),
);

async function perform(trainer: Trainer, one: Act): Promise<void> {
  if (one.kind === 'submit') await trainer.submit(one.delta);
  else if (one.kind === 'restart') await trainer.restart();
  else {
    const chosen = trainer.ledger[one.which % Math.max(1, trainer.ledger.length)];
    if (chosen !== undefined) chosen.rostered = one.rostered;
    await trainer.settle();
  }
}

/** Elements of a model whose values are a fact of the store, and of one whose are a file; and how many runs are worth their time. */
const SIZES = [
  [3, 1],
  [65_538, 0.1],
] as const;

for (const [elements, share] of SIZES)
  describe(`the residual of ${elements} elements`, () => {
    it('keeps what was learned owed or in the model, through any choice of decisions and back', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: 20 }), async (acts) => {
          const trainer = new Trainer(elements);
          for (const one of acts) {
            await perform(trainer, one);
            await trainer.check();
          }
        }),
        { numRuns: 200 * share },
      );
    });

    it('keeps it through a crash at any write, wherever it falls, and whatever a power cut takes back', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(act, { minLength: 1, maxLength: 12 }),
          fc.nat(60),
          fc.nat(8),
          fc.array(act, { maxLength: 6 }),
          async (acts, writes, lost, then) => {
            const trainer = new Trainer(elements);
            trainer.store.writesLeft = writes;
            for (const one of acts) {
              try {
                await perform(trainer, one);
              } catch (error) {
                assert.ok(error instanceof Crash);
                break;
              }
            }
            trainer.store.lose(lost);
            await trainer.restart();
            await trainer.check();
            for (const one of then) await perform(trainer, one);
            await trainer.check();
            await trainer.restart();
            await trainer.check();
          },
        ),
        { numRuns: 500 * share },
      );
    });
  });

describe('the residual', () => {
  it('keeps it where a write fails once and the process goes on', async () => {
    for (let failing = 0; failing < 10; failing++) {
      const trainer = new Trainer();
      await trainer.submit([1, 2, 3]);
      trainer.store.writesLeft = failing;
      const submitted = () => trainer.submit([0.5, 0.25, 0.125]);
      // integers, the index, their record, values, pending, the ledger, the residual, the end of pending, the values before
      if (failing < 9) await assert.rejects(submitted(), Crash);
      else await submitted();
      trainer.store.writesLeft = Number.POSITIVE_INFINITY;
      for (const one of trainer.ledger) one.rostered = true;
      await trainer.settle();
      await trainer.check();
      await trainer.restart();
      await trainer.check();
    }
  });

  it('is not taken back by a contribution whose end was not written down', async () => {
    const trainer = new Trainer();
    // Integers, index, record, values, pending, the ledger, the residual; not the end of pending.
    trainer.store.writesLeft = 7;
    await assert.rejects(trainer.submit([1, 2, 3]), Crash);
    trainer.store.writesLeft = Number.POSITIVE_INFINITY;
    await trainer.residual.exchange(
      (values) => values.fill(7),
      () => undefined,
    );
    await trainer.restart();
    assert.deepEqual(await valuesOf(trainer.residual), Float32Array.of(7, 7, 7));
  });

  it('survives a restart to the bit, and gives own updates back whole', async () => {
    const trainer = new Trainer();
    await trainer.submit([0.1, -7, 3.25]);
    await trainer.submit([1e-3, 100, -0.5]);
    const { update } = trainer.ledger[1] as (typeof trainer.ledger)[0];
    const before = await valuesOf(trainer.residual);
    await trainer.restart();
    assert.deepEqual(await valuesOf(trainer.residual), before);
    assert.deepEqual(await trainer.residual.get(update.updateHash), { ...update, exponents: [...EXPONENTS] });
    assert.equal(await trainer.residual.get(hashOf('another')), undefined);
    const parts: unknown[] = [];
    for await (const { start, values } of trainer.residual.parts()) parts.push([start, values]);
    assert.deepEqual(parts, [[0, before]]);
  });

  it('says how old the oldest update is that no model holds and no later one brought', async () => {
    const trainer = new Trainer();
    const roster = (which: number, rostered: boolean): Promise<void> => {
      (trainer.ledger[which] as { rostered: boolean }).rostered = rostered;
      return trainer.settle();
    };
    assert.equal(trainer.residual.staleness(1), 0);
    await trainer.submit([5, 5, 5]);
    // It may be rostered yet.
    assert.deepEqual([trainer.residual.staleness(1), trainer.residual.staleness(2), trainer.residual.staleness(4)], [0, 1, 3]);
    await trainer.submit([5, 5, 5]);
    assert.equal(trainer.residual.staleness(3), 2);
    await roster(1, true);
    assert.equal(trainer.residual.staleness(3), 0, 'the second brought the first');
    await trainer.submit([5, 5, 5]);
    assert.equal(trainer.residual.staleness(4), 1);
    await roster(1, false);
    assert.equal(trainer.residual.staleness(4), 3);
    await trainer.restart();
    assert.equal(trainer.residual.staleness(4), 3);
  });

  it('does the same once or twice', async () => {
    const trainer = new Trainer();
    await trainer.submit([5, 5, 5]);
    (trainer.ledger[0] as { rostered: boolean }).rostered = true;
    await trainer.settle();
    const once = await valuesOf(trainer.residual);
    await trainer.settle();
    assert.deepEqual(await valuesOf(trainer.residual), once);
  });

  it('forgets updates of 64 epochs ago, keeps the balance and leaves nothing of them on disk', async () => {
    const keys = new Set<string>();
    const trainer = new Trainer();
    const { under } = trainer.store;
    const [set, remove] = [under.set.bind(under), under.delete.bind(under)];
    under.set = (key, value) => {
      keys.add(key);
      set(key, value);
    };
    under.delete = (key) => {
      keys.delete(key);
      remove(key);
    };
    for (let i = 0; i < 80; i++) {
      await trainer.submit([0.1 * i, -3, 1]);
      (trainer.ledger[i] as { rostered: boolean }).rostered = i % 3 !== 0;
      await trainer.settle();
    }
    await trainer.check();
    const left = (prefix: string): number => [...keys].filter((key) => key.startsWith(prefix)).length;
    assert.equal(left('own-update/'), 63);
    assert.ok(left('own/') <= 63 + 1, 'integers of each, some the same, and the values');
    const old = trainer.ledger[0] as { rostered: boolean };
    old.rostered = true;
    await trainer.settle();
    old.rostered = false;
    await trainer.check();
    await trainer.restart();
    await trainer.check();
  });

  it('does not remember what a crash left half forgotten', async () => {
    for (let writes = 0; writes < 4; writes++) {
      const trainer = new Trainer();
      await trainer.submit([1, 2, 3]);
      (trainer.ledger[0] as { rostered: boolean }).rostered = true;
      await trainer.settle();
      trainer.epoch = 100;
      trainer.store.writesLeft = writes;
      await assert.rejects(trainer.settle(), Crash);
      await trainer.restart();
      await trainer.submit([4, 5, 6]);
      const [, settled] = decode(trainer.store.get('residual/at') as Uint8Array, 'residual', 1_000) as [unknown, unknown[]];
      assert.deepEqual(settled, []);
      await trainer.check();
    }
  });

  it('takes any number of updates of few epochs and starts again', async () => {
    const trainer = new Trainer();
    for (let i = 0; i < 300; i++) {
      await trainer.submit([1, 0, 0]);
      trainer.epoch = 1;
    }
    await trainer.restart();
    await trainer.check();
  });
});
