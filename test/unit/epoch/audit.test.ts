import assert from 'node:assert/strict';
import { keepAggregate } from '../../../src/epoch/aggregates.ts';
import { auditRoster, auditSum, ineligible } from '../../../src/epoch/audit.ts';
import { average } from '../../../src/epoch/average.ts';
import type { AggregateHeader, AnyEntryCore, DecisionBody, SignedEntry } from '../../../src/spec/index.ts';
import { aggregateHash } from '../../../src/wire/index.ts';
import { emptyDecision, signed, sorted, type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { hashOf } from '../ledger/entries.ts';

const wave = (i: number): Float32Array => Float32Array.from({ length: 8 }, (_, k) => Math.cos(i + k));
const code = (expected: string, field: string) => (e: unknown) => {
  const { code: actual, facts } = e as { code?: string; facts?: { field?: string; phase?: string } };
  return actual === expected && facts?.field === field && facts.phase === 'audit';
};

interface Given {
  readonly swarm: TestSwarm;
  readonly ids: readonly string[];
  readonly body: DecisionBody;
  readonly header: AggregateHeader;
  readonly auditor: TestNode;
}

/** Three contributions and the honest decision over them; node 2 audits and holds every row. */
async function decided(): Promise<Given> {
  const swarm = new TestSwarm({ nodes: 3 }).joined();
  const ids = await swarm.contribute([wave(1), wave(2), wave(3)]);
  const [author, auditor] = [swarm.node(0), swarm.node(2)];
  const body = await author.decide(ids);
  const { header } = await average(author.ctx, author.ctx.chain.head.state, sorted(ids));
  swarm.share();
  return { swarm, ids: sorted(ids), body, header: header as AggregateHeader, auditor };
}

async function check({ auditor: { ctx } }: Given, body: DecisionBody, header: AggregateHeader | undefined): Promise<void> {
  auditRoster(ctx, ctx.chain.head.state, body);
  await auditSum(ctx, ctx.chain.head.state, body, { header, sum: undefined });
}

describe('the audit of a decision', () => {
  it('passes what follows from the ledger and the rows', async () => {
    const given = await decided();
    await check(given, given.body, given.header);
    await check(given, emptyDecision(given.auditor.ctx), undefined);
  });

  it('finds weights that samples and trust do not give, one unit of one of them', async () => {
    const given = await decided();
    const { body, header } = given;
    const weights = body.weights.map((w, i) => (i === 1 ? w - 1 : w));
    await assert.rejects(
      check(given, { ...body, weights }, { ...header, weightTotal: header.weightTotal - 1 }),
      code('INCOMPATIBLE', 'weights'),
    );
    await assert.rejects(
      check(given, { ...body, weights: [...body.weights].reverse().map((w) => w + 1) }, header),
      code('INCOMPATIBLE', 'weights'),
    );
  });

  it('finds a sum that the rows do not give', async () => {
    const given = await decided();
    const { body, header } = given;
    for (const lie of [{ sumRoot: hashOf('another sum') }, { distances: header.distances.map((d) => `${d}0`) }]) {
      const wrong = { ...header, ...lie };
      await assert.rejects(check(given, { ...body, aggregateHash: aggregateHash(wrong) }, wrong), code('HASH_MISMATCH', 'aggregateHash'));
    }
  });

  it('finds a header that belongs to another roster, whether or not the rows are held', async () => {
    const given = await decided();
    const { body, header, swarm } = given;
    const blind = new TestSwarm({ nodes: 3 });
    blind.node(1).take(swarm.node(0).ctx.replica.graph.entries());
    for (const auditor of [given.auditor, blind.node(1)]) {
      for (const lie of [{ epoch: 2 }, { weightTotal: header.weightTotal + 1 }, { distances: header.distances.slice(1) }])
        await assert.rejects(
          check({ ...given, auditor }, body, { ...header, ...lie }),
          code('INCOMPATIBLE', 'aggregateHash'),
          JSON.stringify(lie),
        );
      await assert.rejects(check({ ...given, auditor }, body, undefined), code('INCOMPATIBLE', 'aggregateHash'));
      await assert.rejects(check({ ...given, auditor }, emptyDecision(auditor.ctx), header), code('INCOMPATIBLE', 'aggregateHash'));
      await check({ ...given, auditor }, body, header);
    }
  });

  it('finds an author who is rostered twice', async () => {
    const given = await decided();
    const { swarm, ids, auditor } = given;
    const first = swarm
      .node(1)
      .ctx.replica.graph.get(ids.find((id) => auditor.ctx.replica.graph.get(id)?.core.author === swarm.node(1).identity.fingerprint) ?? '');
    const { core } = first as SignedEntry;
    const second = signed(swarm.node(1).identity, {
      ...core,
      seq: core.seq + 1,
      prev: (first as SignedEntry).id,
      lam: core.lam + 1,
      deps: [],
    } as AnyEntryCore);
    auditor.take([second]);
    assert.equal(ineligible(auditor.ctx, auditor.ctx.chain.head.state, second), undefined, 'on its own there is nothing wrong with it');
    const body = emptyDecision(auditor.ctx, [...ids, second.id]);
    await assert.rejects(check(given, body, undefined), (e) => code('INCOMPATIBLE', 'roster')(e) && /twice/.test((e as Error).message));
  });

  it('names what may not be rostered, and why', async () => {
    const swarm = new TestSwarm({ nodes: 4, classes: ['core', 'edge', 'observer', 'relay'] }).joined();
    const { ctx } = swarm.node(0);
    const base = ctx.chain.head.state;
    const contribution = (node: TestNode, change: object, body: object = {}): SignedEntry => {
      const { tip, graph } = node.ctx.replica;
      const core = {
        v: 1,
        swarm: swarm.id,
        author: node.identity.fingerprint,
        seq: 1,
        prev: graph.joinOf(node.identity.fingerprint)?.id,
        lam: 2,
        epochSeen: 0,
        anchorBlock: swarm.id,
        kind: 'contribution',
        deps: [],
        body: {
          epoch: 1,
          updateHash: hashOf('u'),
          sizeBytes: 16,
          samples: 10,
          maxAbs: [1, 1],
          metrics: {},
          commitment: null,
          staleness: 0,
          links: [],
          ...body,
        },
        ...change,
      } as unknown as AnyEntryCore;
      assert.notEqual(tip, undefined);
      return signed(node.identity, core);
    };
    const cases: [SignedEntry, RegExp | undefined][] = [
      [contribution(swarm.node(0), {}), undefined],
      [contribution(swarm.node(1), {}), undefined],
      [contribution(swarm.node(2), {}), /class observer/],
      [contribution(swarm.node(3), {}), /class relay/],
      [contribution(swarm.node(0), {}, { epoch: 2 }), /for epoch 2/],
      [contribution(swarm.node(0), { anchorBlock: hashOf('other') }), /another base/],
      [contribution(swarm.node(0), {}, { samples: 10_001 }), /10001 samples/],
      [contribution(swarm.node(0), {}, { sizeBytes: 1_000_000_000_000 }), /1000000000000 bytes/],
      [contribution(swarm.node(0), {}, { maxAbs: [1] }), /other tensors/],
      [contribution(swarm.node(0), {}, { links: Array(5).fill(14) }), /links to 5 members/],
      [contribution(swarm.node(0), {}, { commitment: hashOf('c') }), /that everyone sees/],
      [ctx.replica.graph.joinOf(ctx.self) as SignedEntry, /member already/],
      [contribution(swarm.node(0), { kind: 'decision', body: emptyDecision(ctx) }), /decision is never rostered/],
    ];
    for (const [entry, reason] of cases) {
      const problem = ineligible(ctx, base, entry);
      if (reason === undefined) assert.equal(problem, undefined);
      else assert.match(problem ?? 'nothing', reason);
    }
  });

  it('lets a newcomer be rostered by its join, once', async () => {
    const swarm = new TestSwarm({ nodes: 2 });
    const founders = swarm.genesis.founders.slice(0, 1);
    const small = new TestSwarm({ nodes: 2, genesis: { founders } }).joined();
    const { ctx } = small.node(0);
    const join = ctx.replica.graph.joinOf(small.node(1).identity.fingerprint) as SignedEntry;
    assert.equal(ineligible(ctx, ctx.chain.head.state, join), undefined);
    await small.node(0).decide([join.id]);
    await small.node(0).apply();
    assert.match(ineligible(ctx, ctx.chain.head.state, join) ?? '', /held it already/);
  });
});

describe('applying what others decided', () => {
  /** A decision of `liar` with a sum of its own making, kept where others can fetch it. */
  async function lieOf(liar: TestNode, honest: DecisionBody, ids: readonly string[]): Promise<void> {
    const { header, sum } = await average(liar.ctx, liar.ctx.chain.head.state, ids);
    assert.ok(header !== undefined && sum !== undefined);
    const wrong = sum.map((v, k) => (k === 0 ? v + 1 : v));
    const sumRoot = await liar.blobs.put(new Uint8Array(wrong.buffer));
    const lie = { ...header, sumRoot };
    await keepAggregate(liar.ctx, { hash: aggregateHash(lie), header: lie, sum: wrong });
    liar.ctx.replica.append('decision', { ...honest, aggregateHash: aggregateHash(lie) }, liar.ctx.chain.head.id, 0);
  }

  it('never takes a lie, even of most, and goes with the rest', async () => {
    const swarm = new TestSwarm({ nodes: 4 }).joined();
    const ids = sorted(await swarm.contribute([wave(1), wave(2), wave(3), wave(4)]));
    const honest = await swarm.node(0).decide(ids);
    for (const i of [1, 2, 3]) await lieOf(swarm.node(i), honest, ids);
    swarm.share();
    const node = swarm.node(0);
    const [wanted] = node.ctx.decisions.best(node.ctx.chain).next;
    await node.apply();
    assert.equal(node.ctx.refused.has(wanted as string), true);
    assert.deepEqual([node.ctx.chain.head.state.epoch, node.ctx.chain.head.body], [1, honest]);
  });

  it('refuses for good an aggregate of another size than the model', async () => {
    const swarm = new TestSwarm({ nodes: 3 }).joined();
    const ids = sorted(await swarm.contribute([wave(1), wave(2), wave(3)]));
    const liar = swarm.node(1);
    const { header } = await average(liar.ctx, liar.ctx.chain.head.state, ids);
    const sum = new Int32Array(4);
    const lie: AggregateHeader = {
      ...(header as AggregateHeader),
      sumBytes: 16,
      sumRoot: await liar.blobs.put(new Uint8Array(sum.buffer)),
    };
    await keepAggregate(liar.ctx, { hash: aggregateHash(lie), header: lie, sum });
    const honest = await swarm.node(0).decide(ids);
    for (const i of [1, 2]) {
      await keepAggregate(swarm.node(i).ctx, { hash: aggregateHash(lie), header: lie, sum });
      swarm.node(i).ctx.replica.append('decision', { ...honest, aggregateHash: aggregateHash(lie) }, swarm.id, 0);
    }
    swarm.share();
    await swarm.node(0).apply();
    assert.equal(swarm.node(0).ctx.refused.size, 1);
    assert.deepEqual(swarm.node(0).ctx.chain.head.body, honest);
  });

  it('waits for most seats before it follows, and follows at once where it has decided itself', async () => {
    const swarm = new TestSwarm({ nodes: 5 }).joined();
    const ids = await swarm.contribute([wave(1), wave(2)]);
    const follower = swarm.node(4);
    for (const [i, epoch] of [0, 0, 1].entries()) {
      await swarm.node(i).decide(ids);
      swarm.share();
      await follower.apply();
      assert.equal(follower.ctx.chain.head.state.epoch, epoch, `${i + 1} of 5 decided`);
    }
    await swarm.node(0).apply();
    assert.equal(swarm.node(0).ctx.chain.head.state.epoch, 1);
  });
});
