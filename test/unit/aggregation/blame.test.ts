import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import fc from 'fast-check';
import { type Blame, findBlame, type Openings, type RefusedSum } from '../../../src/aggregation/index.ts';
import { sis } from '../../../src/crypto/index.ts';

const N = sis.DEGREE;
const SEED = new Uint8Array(32).fill(21);
const LENGTH = 9_000;
const BLOCKS = sis.rowBlocks(LENGTH);
const WEIGHTS = [20_000, 7, 30_000, 1, 15_528];
const EVERYONE = [0, 1, 2, 3, 4] as const;

const blockOf = <T extends Int16Array | Int32Array>(row: T, block: number): T => row.subarray(N * block, N * (block + 1)) as T;

interface Author {
  /** rho's digits, then the values. */
  readonly row: Int16Array;
  readonly commitment: sis.Commitment;
}
const AUTHORS: readonly Author[] = EVERYONE.map((author) => {
  const values = Int16Array.from({ length: LENGTH }, (_, i) => Math.imul(i + 1 + 100 * author, 0x9e37_79b1) >> 17);
  const rho = sis.expandRho(new Uint8Array(32).fill(author));
  return { row: Int16Array.from([...sis.rhoRow(rho), ...values]), commitment: sis.commit(SEED, values, rho) };
});

interface Lie {
  readonly hop?: number;
  readonly block: number;
  readonly at: number;
  readonly by: number;
}

/** Every block goes around a ring that begins with another author; a lying hop adds something to what it sends on. */
class RingOfHops {
  readonly sum: Int32Array = new Int32Array(N * sis.RHO_BLOCKS + LENGTH);
  readonly #sent = new Map<string, Int32Array>();
  readonly questions = { parts: 0, partialSums: 0 };

  constructor(lie: Lie, rows: readonly Int16Array[] = AUTHORS.map(({ row }) => row)) {
    for (let block = 0; block < BLOCKS; block++) {
      let partial = new Int32Array(blockOf(this.sum, block).length);
      for (const hop of this.hops(block)) {
        const row = blockOf(rows[hop] as Int16Array, block);
        partial = partial.map((value, i) => value + (WEIGHTS[hop] as number) * (row[i] as number));
        if (hop === lie.hop && block === lie.block) partial[lie.at] = (partial[lie.at] as number) + lie.by;
        this.#sent.set(`${hop}/${block}`, partial);
      }
      blockOf(this.sum, block).set(partial);
    }
  }

  hops(block: number): number[] {
    return EVERYONE.map((i) => (i + block) % EVERYONE.length);
  }

  sent(hop: number, block: number): Int32Array {
    return this.#sent.get(`${hop}/${block}`) as Int32Array;
  }

  refused(): RefusedSum {
    return {
      seed: SEED,
      commitments: AUTHORS.map(({ commitment }) => commitment),
      weights: WEIGHTS,
      blocks: BLOCKS,
      maxValue: 32_767,
      sum: async (block) => blockOf(this.sum, block),
    };
  }

  isRight(): boolean {
    const tail = N * sis.RHO_BLOCKS;
    const { seed, commitments, weights } = this.refused();
    return sis.verifySum({ seed, commitments, weights, rhoSum: this.sum.subarray(0, tail), sum: this.sum.subarray(tail) });
  }

  openings(change: Partial<Openings> = {}): Openings {
    const honest: Openings = {
      part: async (author, from, to) =>
        sis.commitRange(SEED, from, (AUTHORS[author] as Author).row.subarray(N * from, Math.min(N * to, LENGTH + N * sis.RHO_BLOCKS))),
      row: async (author, block) => blockOf((AUTHORS[author] as Author).row, block),
      hops: (block) => this.hops(block),
      partialSum: async (hop, block) => this.sent(hop, block),
    };
    const all = { ...honest, ...change };
    return {
      ...all,
      part: (author, from, to) => {
        this.questions.parts++;
        return all.part(author, from, to);
      },
      partialSum: (hop, block) => {
        this.questions.partialSums++;
        return all.partialSum(hop, block);
      },
    };
  }
}

const lie = fc.record({
  hop: fc.constantFrom(...EVERYONE),
  block: fc.nat(BLOCKS - 2),
  at: fc.nat(N - 1),
  by: fc.oneof(fc.constantFrom(1, -1), fc.integer({ min: -100_000, max: 100_000 })).filter((by) => by !== 0),
});

/** Someone whose answers were honest must not be named. */
const assertNames = (blame: Blame | undefined, wanted: Omit<Blame, 'reason'>): void => {
  assert.deepEqual(blame && { role: blame.role, author: blame.author, block: blame.block }, wanted);
};

describe('blame', () => {
  it('finds nothing in a right sum', async () => {
    const ring = new RingOfHops({ block: 0, at: 0, by: 0 });
    assert.ok(ring.isRight());
    assert.equal(await findBlame(ring.refused(), ring.openings()), undefined);
  });

  it('names the hop that sent on a wrong partial sum, in a logarithm of questions', async () => {
    await fc.assert(
      fc.asyncProperty(lie, async (lie) => {
        const ring = new RingOfHops(lie);
        assert.equal(ring.isRight(), false);
        const blame = await findBlame(ring.refused(), ring.openings());
        assert.deepEqual(blame, { role: 'hop', author: lie.hop, block: lie.block, reason: 'sent a wrong sum' });
        assert.ok(ring.questions.parts <= EVERYONE.length * Math.ceil(Math.log2(BLOCKS)), `${ring.questions.parts} parts`);
        assert.ok(ring.questions.partialSums <= Math.ceil(Math.log2(EVERYONE.length)), `${ring.questions.partialSums} partial sums`);
      }),
      { numRuns: 25 },
    );
  }).timeout(30_000);

  it('is the one check that a wrong partial sum does not pass when every hash and signature is right', async () => {
    const keys = EVERYONE.map(() => generateKeyPairSync('ed25519'));
    const ring = new RingOfHops({ hop: 3, block: 10, at: 5, by: 1 });
    for (let block = 0; block < BLOCKS; block++)
      for (const hop of EVERYONE) {
        // What a hop signs is the hash of what it sends: the receiver sees both, and neither can tell a wrong addend.
        const hash = createHash('sha256').update(ring.sent(hop, block)).digest();
        const { privateKey, publicKey } = keys[hop] as { privateKey: KeyObject; publicKey: KeyObject };
        assert.ok(verify(null, hash, publicKey, sign(null, hash, privateKey)));
      }
    assert.equal(ring.isRight(), false);
    assertNames(await findBlame(ring.refused(), ring.openings()), { role: 'hop', author: 3, block: 10 });
  });

  it('names the author that put another row into the sum than it committed to', async () => {
    const rows = AUTHORS.map(({ row }) => row.slice());
    const row = rows[2] as Int16Array;
    row[N * 11 + 4] = (row[N * 11 + 4] as number) ^ 1;
    const ring = new RingOfHops({ block: 0, at: 0, by: 0 }, rows);
    assert.equal(ring.isRight(), false);
    // It opens what it summed: that is not what it committed to. Or what it committed to: then it did not send that on.
    const summed = ring.openings({ row: async (author, block) => blockOf(rows[author] as Int16Array, block) });
    assert.deepEqual(await findBlame(ring.refused(), summed), { role: 'author', author: 2, block: 11, reason: 'opens another row' });
    assertNames(await findBlame(ring.refused(), ring.openings()), { role: 'hop', author: 2, block: 11 });
  });

  it('names no honest author, whatever parts another one claims', async () => {
    await fc.assert(
      fc.asyncProperty(lie, fc.constantFrom(...EVERYONE), fc.nat(1_000), async (lie, liar, index) => {
        const ring = new RingOfHops(lie);
        const { part } = ring.openings();
        const openings = ring.openings({
          part: async (author, from, to) => (author === liar ? sis.expand(SEED, index + from + to) : part(author, from, to)),
        });
        const blame = await findBlame(ring.refused(), openings);
        assert.ok(blame !== undefined && (blame.author === liar || blame.author === lie.hop), JSON.stringify(blame));
      }),
      { numRuns: 15 },
    );
  }).timeout(30_000);

  it('names an author whose committed row is out of bounds', async () => {
    const large = Int32Array.from((AUTHORS[1] as Author).row);
    large[N * 9] = 40_000;
    const commitments = AUTHORS.map(({ commitment }, author) => (author === 1 ? sis.commitRange(SEED, 0, large) : commitment));
    const ring = new RingOfHops({ hop: 0, block: 9, at: 1, by: 1 });
    const openings = ring.openings();
    const blame = await findBlame(
      { ...ring.refused(), commitments },
      {
        ...openings,
        part: async (author, from, to) =>
          author === 1
            ? sis.commitRange(SEED, from, large.subarray(N * from, Math.min(N * to, large.length)))
            : openings.part(author, from, to),
        row: async (author, block) => (author === 1 ? blockOf(large, block) : openings.row(author, block)),
      },
    );
    assert.deepEqual(blame, { role: 'author', author: 1, block: 9, reason: 'opens another row' });
  });

  it('names the hop that carried between the digits of rho', async () => {
    const ring = new RingOfHops({ block: 0, at: 0, by: 0 });
    const [low, high] = [7, 4 * N + 7];
    const bound = 65_536 * sis.RHO_DIGIT_BOUND;
    ring.sum[low] = (ring.sum[low] as number) - 4096 * Math.ceil((2 * bound) / 4096);
    ring.sum[high] = (ring.sum[high] as number) + Math.ceil((2 * bound) / 4096);
    assert.equal(ring.isRight(), false);
    const last = ring.hops(0).at(-1) as number;
    assertNames(await findBlame(ring.refused(), ring.openings()), { role: 'hop', author: last, block: 0 });
  });

  it('names who does not answer', async () => {
    const ring = new RingOfHops({ hop: 2, block: 12, at: 0, by: 5 });
    const silent = (role: Blame['role'], author: number): Omit<Blame, 'block'> => ({ role, author, reason: 'silent' });
    const blameOf = async (change: Partial<Openings>): Promise<Omit<Blame, 'block'> | undefined> => {
      const blame = await findBlame(ring.refused(), ring.openings(change));
      return blame && { role: blame.role, author: blame.author, reason: blame.reason };
    };
    const honest = ring.openings();
    const part: Openings['part'] = async (author, from, to) => (author === 4 ? undefined : honest.part(author, from, to));
    const row: Openings['row'] = async (author, block) => (author === 3 ? undefined : honest.row(author, block));
    assert.deepEqual(await blameOf({ part }), silent('author', 4));
    assert.deepEqual(await blameOf({ row }), silent('author', 3));
    const asked = ring.hops(12)[Math.floor((EVERYONE.length - 2) / 2)] as number;
    assert.deepEqual(await blameOf({ partialSum: async () => undefined }), silent('hop', asked));
  });

  it('names an author that opens a row of another length', async () => {
    const ring = new RingOfHops({ hop: 2, block: 12, at: 0, by: 5 });
    const honest = ring.openings();
    // The last block has 808 values: with zeros behind them the commitment is the same.
    const row: Openings['row'] = async (author, block) => {
      const values = (await honest.row(author, block)) as Int16Array;
      return author === 0 ? Int16Array.from([...values, 0]) : values;
    };
    assert.deepEqual(await findBlame(ring.refused(), ring.openings({ row })), {
      role: 'author',
      author: 0,
      block: 12,
      reason: 'opens another row',
    });
  });

  it('has nobody to name without authors', async () => {
    const ring = new RingOfHops({ block: 0, at: 0, by: 0 });
    await assert.rejects(findBlame({ ...ring.refused(), weights: [], commitments: [] }, ring.openings()), { code: 'MALFORMED' });
  });
});
