import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DIFFUSION_MAX, ETA_ONE, layoutOf } from '../../../../src/aggregation/index.ts';
import { Account } from '../../../../src/epoch/diffusion/account.ts';
import type { Residual } from '../../../../src/epoch/residual.ts';
import { MemoryNodeStore } from '../../../../src/simulation/stores.ts';
import { picker } from '../../../support/exchanges.ts';
import { AnnouncingBlobStore, openResidual, valuesOf } from '../../../support/residuals.ts';

/** A tensor that ends in the midst of the second piece of 2^16 elements, and one after it. */
const ELEMENTS = 70_000;
const spans = layoutOf([
  { name: 'a', shape: [66_000] },
  { name: 'b', shape: [ELEMENTS - 66_000] },
]);
const scaleExponents = [-12, -10];
const unitAt = (k: number): number => 2 ** (k < 66_000 ? -20 : -18);
const NEIGHBOUR = 'ab'.repeat(32);

class Crash extends Error {}

/** A disk that dies at the k-th write from now. */
class FailingStore extends MemoryNodeStore {
  writesLeft = Number.POSITIVE_INFINITY;
  override set(key: string, value: Uint8Array): void {
    this.write();
    super.set(key, value);
  }
  override delete(key: string): void {
    this.write();
    super.delete(key);
  }
  write(): void {
    if (this.writesLeft-- <= 0) throw new Crash();
  }
}

class Node {
  readonly store = new FailingStore();
  readonly #own = new AnnouncingBlobStore(() => this.store.write());
  readonly #clipNorm: number;
  residual!: Residual;
  account!: Account;

  constructor(clipNorm = 1e9) {
    this.#clipNorm = clipNorm;
    this.restart();
  }

  restart(): void {
    this.store.writesLeft = Number.POSITIVE_INFINITY;
    this.residual = openResidual(this.store, this.#own, spans);
    const { store, residual } = this;
    this.account = new Account({ store, residual, spans, scaleExponents, clipNorm: this.#clipNorm, turn: async () => {} });
  }

  /** All that is owed: exact in doubles for what is learned here. */
  async owed(): Promise<Float64Array> {
    const sum = Float64Array.from(await valuesOf(this.residual));
    for (let piece = 0; piece < this.account.pieces; piece++)
      for (const [i, v] of this.account.row(piece).entries()) {
        const k = piece * 65_536 + i;
        sum[k] = (sum[k] as number) + v * unitAt(k);
      }
    return sum;
  }
}

/** Whole units, and a half one where `rest`. */
const lesson = (seed: number, rest = false): Float32Array => {
  const pick = picker(seed);
  return Float32Array.from({ length: ELEMENTS }, (_, k) => (pick(4_096) - 2_048 + (rest ? 0.25 : 0)) * unitAt(k));
};

const edge = (seq: number, version: number | null) => ({ seq, version, degree: 1, round: seq });

describe('what diffuses', () => {
  it('is what was learned: whole units in rows, the rest beside them, and all of it back on demand', async () => {
    const node = new Node();
    assert.ok(node.account.isEmpty);
    const [first, second] = [lesson(1, true), lesson(2)];
    await node.account.learn(first.slice());
    await node.account.learn(second.slice());
    const total = Float64Array.from(first, (v, k) => v + (second[k] as number));
    assert.deepEqual(await node.owed(), total);
    assert.deepEqual(
      (await valuesOf(node.residual)).slice(0, 2),
      Float32Array.from([0, 1], (k) => 0.25 * unitAt(k)),
    );
    const model = new Float32Array(ELEMENTS).fill(1);
    await node.account.addTo(model, 0.5);
    assert.deepEqual(
      model,
      Float32Array.from(total, (v) => 1 + 0.5 * v),
    );
    node.restart();
    assert.deepEqual(await node.owed(), total);
    await node.account.absorb();
    assert.ok(node.account.isEmpty);
    assert.deepEqual(Float64Array.from(await valuesOf(node.residual)), total);
    node.restart();
    assert.ok(node.account.isEmpty);
    assert.deepEqual(await node.owed(), total);
    // Nothing of what was is left on the disk.
    assert.deepEqual(node.store.keys('diffusion/rows/'), []);
  });

  it('is clipped as a contribution is, and keeps what no row may hold', async () => {
    const clipped = new Node(1);
    await clipped.account.learn(new Float32Array(ELEMENTS).fill(1));
    await clipped.account.learn(new Float32Array(ELEMENTS).fill(1));
    assert.ok(Math.abs(Math.hypot(...(await clipped.owed())) - 1) < 0.01);
    const large = new Node();
    const delta = new Float32Array(ELEMENTS);
    delta[3] = 1_000;
    await large.account.learn(delta.slice());
    assert.equal(large.account.row(0)[3], DIFFUSION_MAX);
    assert.deepEqual(await large.owed(), Float64Array.from(delta));
  });

  it('takes no row that an honest node cannot have', () => {
    const { account } = new Node(1);
    const row = new Int32Array(65_536);
    assert.ok(account.isSound(0, row));
    assert.ok(!account.isSound(1, row));
    // Twice the norm, in units of 2^-20.
    row[5] = 2 * 2 ** 20;
    assert.ok(account.isSound(0, row));
    row[6] = -1_500;
    assert.ok(!account.isSound(0, row));
    assert.throws(() => account.row(2), { code: 'BOUNDS_EXCEEDED' });
  });

  it('is neither lost nor doubled by a crash at any write: an edge, a lesson and a heal count as a whole or not at all', async () => {
    const other = { values: new Int32Array(65_536).fill(999), degree: 1 };
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 14 }), fc.constantFrom('flow', 'learn', 'absorb'), async (writes, what) => {
        const node = new Node();
        await node.account.learn(lesson(1));
        node.account.freeze();
        const frozen = node.account.frozen(0) ?? assert.fail('not sound');
        node.account.mark(0, NEIGHBOUR, edge(1, frozen.version));
        const before = await node.owed();
        const act = async (on: Node): Promise<void> => {
          const own = { values: frozen.values, degree: 1 };
          if (what === 'flow') on.account.flow(0, NEIGHBOUR, edge(1, null), own, other, ETA_ONE);
          else if (what === 'learn') await on.account.learn(lesson(7));
          else await on.account.absorb();
        };
        const twin = new Node();
        await twin.account.learn(lesson(1));
        await act(twin);
        const after = await twin.owed();
        node.store.writesLeft = writes;
        try {
          await act(node);
        } catch (error) {
          assert.ok(error instanceof Crash);
        }
        node.restart();
        const found = await node.owed();
        const isDone = what === 'flow' ? node.account.edge(0, NEIGHBOUR)?.version === null : node.residual.generation === 2;
        assert.deepEqual(found, isDone ? after : before);
        assert.equal(node.account.edge(0, NEIGHBOUR)?.seq, 1);
        // What is open can still be computed from.
        if (!isDone) assert.deepEqual(node.account.rowOf(0, frozen.version), frozen.values);
      }),
      { numRuns: 30 },
    );
  });
});
