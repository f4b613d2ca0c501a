import assert from 'node:assert/strict';
import { contentOf } from '../../../src/crypto/index.ts';
import { average, holdsRows, weightsOf } from '../../../src/epoch/average.ts';
import { Random } from '../../../src/learning/random.ts';
import { AGGREGATION_RULES, QMAX, TRUST_ONE, type UpdateDtype, WEIGHT_TOTAL } from '../../../src/spec/index.ts';
import { emptyDecision, sorted, TestSwarm } from '../../support/epochWorld.ts';

const TENSORS = [
  { name: 'weight', shape: [5, 3] },
  { name: 'bias', shape: [3] },
];
const code = (expected: string, peer?: string) => (e: unknown) => {
  const { code: actual, facts } = e as { code?: string; facts?: { peer?: string } };
  return actual === expected && (peer === undefined || facts?.peer === peer);
};

/** Everyone holds the contribution of everyone. */
async function swarmOf(nodes: number, updateDtype: UpdateDtype = 'int16') {
  const exponents = updateDtype === 'int16' ? [-12, -9] : [-4, -3];
  const swarm = new TestSwarm({ nodes, genesis: { tensors: TENSORS, updateDtype, scaleExponents: exponents } }).joined();
  const random = Random.from('average', nodes, updateDtype);
  const ids = await swarm.contribute(swarm.nodes.map(() => Float32Array.from({ length: 18 }, () => random.normal())));
  return { swarm, ids, base: swarm.node(0).ctx.chain.head.state };
}

describe('averaging a roster', () => {
  for (const dtype of ['int16', 'int8'] as const) {
    it(`sums ${dtype} rows exactly, with the weights of the roster, into a header that anyone can check`, async () => {
      const { swarm, ids, base } = await swarmOf(5, dtype);
      const { ctx } = swarm.node(0);
      const roster = sorted(ids);
      const { header, sum, weights } = await average(ctx, base, roster);
      assert.ok(header !== undefined && sum !== undefined);
      // Equal samples and equal trust: a fifth of 65,536 each.
      assert.deepEqual(weights, new Array(5).fill(13_107));
      const rows = roster.map((id) => ctx.updates.row(id) ?? assert.fail('not held'));
      const plain = Array.from({ length: 18 }, (_, k) =>
        rows.reduce((s, row, i) => s + BigInt(weights[i] as number) * BigInt(row[k] as number), 0n),
      );
      assert.deepEqual(Array.from(sum, BigInt), plain);
      assert.equal(header.weightTotal, 5 * 13_107);
      const bytes = Buffer.alloc(72);
      for (const [k, v] of plain.entries()) bytes.writeInt32LE(Number(v), 4 * k);
      assert.deepEqual([header.sumRoot, header.sumBytes, header.epoch], [contentOf(bytes).root, 72, 1]);
      assert.ok(rows.every((row) => row.every((q) => Math.abs(q) <= QMAX[dtype])));
    });
  }

  it('gives the same hash at every node, whatever came first', async () => {
    const { swarm, ids, base } = await swarmOf(4);
    const hashes = await Promise.all(swarm.nodes.map(async (n) => (await average(n.ctx, base, sorted(ids))).hash));
    assert.equal(new Set(hashes).size, 1);
    assert.notEqual(hashes[0], (await average(swarm.node(0).ctx, base, sorted(ids).slice(1))).hash);
  });

  it('gives the same sum in any order of summands', async () => {
    const { swarm, ids, base } = await swarmOf(6);
    const { ctx } = swarm.node(0);
    const one = await average(ctx, base, sorted(ids));
    for (const turn of [1, 2, 3, 4, 5]) {
      const other = await average(ctx, base, [...sorted(ids).slice(turn), ...sorted(ids).slice(0, turn)].reverse());
      assert.deepEqual(
        [other.sum, other.header?.sumRoot, other.header?.weightTotal],
        [one.sum, one.header?.sumRoot, one.header?.weightTotal],
      );
      assert.deepEqual(sorted(other.header?.distances ?? []), sorted(one.header?.distances ?? []));
    }
  });

  it('lets membership entries weigh nothing', async () => {
    const { swarm, ids, base } = await swarmOf(3);
    const { ctx } = swarm.node(0);
    const join = ctx.replica.graph.joinOf(ctx.self)?.id ?? assert.fail('no join');
    const roster = sorted([...ids, join]);
    const { weights, header } = await average(ctx, base, roster);
    assert.equal(weights[roster.indexOf(join)], 0);
    assert.deepEqual([weights.reduce((a, b) => a + b, 0), header?.distances.length], [header?.weightTotal, 3]);
  });

  it('holds the largest sum there can be, alone and with others: all weights on saturated integers', async () => {
    for (const nodes of [1, 3]) {
      const tensors = [
        { name: 'scalar', shape: [] },
        { name: 'one', shape: [1] },
      ];
      const swarm = new TestSwarm({ nodes, genesis: { tensors, scaleExponents: [-12, -12], clipNorm: 1_000 } }).joined();
      const ids = await swarm.contribute(swarm.nodes.map(() => Float32Array.of(500, -500)));
      const { ctx } = swarm.node(0);
      const { sum, weights } = await average(ctx, ctx.chain.head.state, sorted(ids));
      const total = weights.reduce((a, b) => a + b, 0);
      assert.ok(total <= WEIGHT_TOTAL && total > WEIGHT_TOTAL - nodes);
      assert.deepEqual([...(sum ?? [])].map(BigInt), [BigInt(total) * 32_767n, BigInt(total) * -32_767n]);
    }
    assert.ok(BigInt(WEIGHT_TOTAL) * BigInt(QMAX.int16) < 2n ** 31n);
  });

  it('averages to nothing where nobody weighs anything', async () => {
    const { swarm, ids, base } = await swarmOf(2);
    const { ctx } = swarm.node(0);
    const distrusted = { ...base, members: base.members.map((m) => ({ ...m, trust: 0 })) };
    for (const [state, roster] of [
      [base, []],
      [distrusted, sorted(ids)],
    ] as const) {
      const { hash, header, sum, weights } = await average(ctx, state, roster);
      assert.deepEqual([hash, header, sum, weights], ['0'.repeat(64), undefined, undefined, roster.map(() => 0)]);
    }
  });

  it('weighs by samples and trust, and caps the claims of samples', async () => {
    const swarm = new TestSwarm({ nodes: 3, genesis: { maxSamples: 1_000 } }).joined();
    const ids: string[] = [];
    for (const [i, samples] of [100, 100, 5_000].entries()) {
      ids.push((await swarm.node(i).submit(new Float32Array(8).fill(0.1), samples)).contributionId);
    }
    swarm.share();
    const { ctx } = swarm.node(0);
    const base = ctx.chain.head.state;
    assert.deepEqual(weightsOf(ctx, base, ids), [13_107, 13_107, 39_321]);
    const [first] = ids.map((id) => ctx.replica.graph.get(id)?.core.author);
    const members = base.members.map((m) => (m.fingerprint === first ? { ...m, trust: TRUST_ONE } : { ...m, trust: TRUST_ONE / 2 }));
    // 100 x 1 : 100 x 1/2 : 300 x 1/2
    assert.deepEqual(
      weightsOf(ctx, { ...base, members }, ids),
      [1 / 3, 1 / 6, 1 / 2].map((share) => Math.floor(share * WEIGHT_TOTAL)),
    );
  });

  for (const aggregation of AGGREGATION_RULES.filter((rule) => rule !== 'mean')) {
    it(`${aggregation}: every node gets the same, one liar of five does not move it far, and its claim of samples counts for nothing`, async () => {
      const swarm = new TestSwarm({ nodes: 5, genesis: { aggregation } }).joined();
      const ids: string[] = [];
      for (const [i, node] of swarm.nodes.entries()) {
        const update = Float32Array.from({ length: 8 }, (_, k) => (i === 2 ? -3 : 0.1 + k / 100 + i / 1_000));
        ids.push((await node.submit(update, i === 2 ? 10_000 : 10)).contributionId);
        swarm.deliver(node);
      }
      swarm.share();
      const { ctx } = swarm.node(0);
      const base = ctx.chain.head.state;
      assert.deepEqual(weightsOf(ctx, base, sorted(ids)), new Array(5).fill(13_107));
      const all = await Promise.all(swarm.nodes.map((n) => average(n.ctx, base, sorted(ids))));
      assert.equal(new Set(all.map(({ hash }) => hash)).size, 1);
      const { sum, header } = all[0] as (typeof all)[number];
      assert.ok(sum !== undefined && header !== undefined);
      sum.forEach((s, k) => {
        const moved = s / header.weightTotal / 2 ** 12;
        assert.ok(Math.abs(moved - (0.1 + k / 100)) < 0.02, `[${k}] moves by ${moved}`);
      });
    });
  }

  it('names the author of a row that is not held', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const { contributionId } = await swarm.node(1).submit(new Float32Array(8).fill(1));
    swarm.share();
    const { ctx } = swarm.node(0);
    await assert.rejects(
      average(ctx, ctx.chain.head.state, [contributionId]),
      code('AGGREGATE_MISSING', swarm.node(1).identity.fingerprint),
    );
    assert.equal(holdsRows(ctx, emptyDecision(ctx, [contributionId])), false);
    assert.equal(holdsRows(ctx, emptyDecision(ctx, [])), true);
  });
});
