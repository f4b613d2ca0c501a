import assert from 'node:assert/strict';
import { bytesOf } from '../../../src/aggregation/index.ts';
import { contentOf, sis } from '../../../src/crypto/index.ts';
import { keepAggregate } from '../../../src/epoch/aggregates.ts';
import { ineligible } from '../../../src/epoch/audit.ts';
import { average } from '../../../src/epoch/average.ts';
import { checkBlock } from '../../../src/epoch/blocks.ts';
import { commitmentSeed } from '../../../src/epoch/commitment.ts';
import type { Averaged, AverageJob } from '../../../src/epoch/exchange/index.ts';
import { averageByStreams } from '../../../src/epoch/scheduled.ts';
import { judge } from '../../../src/epoch/verdict.ts';
import {
  type AggregateHeader,
  type Attempt,
  type Block,
  type BlockHeader,
  type DecisionBody,
  type Dropped,
  type EntryId,
  NARROW_WEIGHT_TOTAL,
  survivorsOf,
  VOTING,
} from '../../../src/spec/index.ts';
import { aggregateHash, blockHash, decisionId, encodeOpening, makeBlock } from '../../../src/wire/index.ts';
import { emptyDecision, sorted, type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { certify, committee, draftOf, give, wave } from '../../support/finalSteps.ts';

/** A sum as an honest exchange ends with it, computed from everybody's own update. */
async function averagedOf(
  swarm: TestSwarm,
  { base, roster }: Pick<AverageJob, 'base' | 'roster'>,
  dropped: readonly Dropped[] = [],
): Promise<Averaged> {
  const attempt: Attempt = { swarm: swarm.id, epoch: base.epoch + 1, base: base.decision, number: 0, roster, dropped, broken: [] };
  const survivors = survivorsOf(attempt);
  const reading = survivors.map(async (id) => {
    const { author, body } = swarm.node(0).ctx.replica.graph.get(id)?.core ?? assert.fail('no entry');
    const node = swarm.nodes.find((n) => n.identity.fingerprint === author) ?? assert.fail('nobody');
    const own = (await node.residual.get('updateHash' in body ? body.updateHash : '')) ?? assert.fail('not kept');
    const rho = sis.expandRho(own.secret ?? assert.fail('no secret'));
    return { q: own.integers, rho: sis.rhoRow(rho), commitment: sis.commit(commitmentSeed(swarm.id), own.integers, rho) };
  });
  const rows = await Promise.all(reading);
  // Four of one sample count and one trust.
  const weights = rows.map(() => NARROW_WEIGHT_TOTAL / roster.length);
  const summed = (each: readonly sis.SisRow[]): Int32Array =>
    Int32Array.from({ length: each[0]?.length ?? 0 }, (_, k) =>
      each.reduce((sum, row, i) => sum + (weights[i] as number) * (row[k] as number), 0),
    );
  return {
    attempt,
    survivors,
    weights,
    sum: summed(rows.map(({ q }) => q)),
    rhoSum: summed(rows.map(({ rho }) => rho)),
    commitments: rows.map(({ commitment }) => sis.encodeCommitment(commitment)),
  };
}

const jobOf = (node: TestNode, roster: readonly EntryId[]): AverageJob => {
  const base = node.ctx.chain.finalized.state;
  return { base, roster, signers: base.members.map((m) => m.fingerprint), needed: 3 };
};

/** The node's exchange ends with this, at once. */
async function sum(node: TestNode, roster: readonly EntryId[], averaged: Averaged, isCertified = true): Promise<void> {
  node.ctx.sums.connect({ begin: async () => averaged, isCertified: () => isCertified, rest: async () => undefined });
  await averageByStreams(node.ctx, jobOf(node, roster));
}

async function checked(node: TestNode, block: Block, round = 0, wasValid = false): Promise<string> {
  const check = await checkBlock(node.ctx, node.ctx.chain.finalized, block, round, wasValid);
  return check.kind === 'invalid' ? `${check.error.code} ${check.error.facts.field}` : check.kind;
}

const withHeader = (block: Block, change: Partial<BlockHeader>): Block => {
  const header = { ...block.header, ...change };
  return { ...block, header, hash: blockHash(header) };
};

describe('a block of a scheduled epoch', () => {
  let swarm: TestSwarm;
  let roster: EntryId[];
  let honest: Averaged;
  beforeEach(async () => {
    swarm = committee(4, { schedule: 'ring' });
    roster = sorted(await swarm.contribute([wave(0), wave(1), wave(2), wave(3)]));
    honest = await averagedOf(swarm, jobOf(swarm.node(0), roster));
  });

  /** Node 0 ends with this sum; all judge it, and node 0 drafts the block. */
  async function blockOver(averaged: Averaged): Promise<Block> {
    const [proposer] = swarm.nodes as [TestNode];
    await sum(proposer, roster, averaged);
    const aggregate = await average(proposer.ctx, proposer.ctx.chain.finalized.state, roster);
    for (const { ctx } of swarm.nodes) await judge(ctx, ctx.chain.finalized, aggregate);
    swarm.share();
    await keepAggregate(proposer.ctx, aggregate);
    return (await draftOf(proposer, roster)).block;
  }

  /** The block names another header, which node 0 serves and all have judged. */
  async function blockNaming(change: Partial<AggregateHeader>): Promise<Block> {
    const [proposer] = swarm.nodes as [TestNode];
    const block = await blockOver(honest);
    const { header, sum } = await average(proposer.ctx, proposer.ctx.chain.finalized.state, roster);
    const lie = { ...(header ?? assert.fail('a header')), ...change };
    const aggregate = { hash: aggregateHash(lie), header: lie, sum };
    for (const { ctx } of swarm.nodes) await judge(ctx, ctx.chain.finalized, aggregate);
    swarm.share();
    await keepAggregate(proposer.ctx, aggregate);
    const { block: over } = await draftOf(proposer, roster);
    return makeBlock({ ...over.header, aggregateHash: aggregate.hash }, { ...block.body, tips: over.body.tips });
  }

  /** What a voter without the sum finds, that has seen the certificate. */
  async function verdictOn(block: Block): Promise<string> {
    const [, voter] = swarm.nodes as [TestNode, TestNode];
    voter.ctx.sums.connect({ begin: async () => undefined, isCertified: () => true, rest: async () => undefined });
    return checked(voter, block);
  }

  it('is valid for whoever made the sum, and for whoever pulls it and holds it against the commitments', async () => {
    const block = await blockOver(honest);
    assert.equal(await checked(swarm.node(0), block), 'valid');
    assert.equal(await verdictOn(block), 'valid');
    assert.ok(swarm.node(1).asked.some(({ protocol }) => protocol === 'content'));
  });

  it('waits for the attempt’s certificate, unless q voters have found it valid before', async () => {
    const block = await blockOver(honest);
    const [, voter] = swarm.nodes as [TestNode, TestNode];
    assert.equal(await checked(voter, block), 'incomplete');
    assert.equal(await checked(voter, block, 3, true), 'valid');
  });

  it('is waited for where an own exchange may give the sum soon, and pulled after that', async () => {
    const block = await blockOver(honest);
    const [, voter] = swarm.nodes as [TestNode, TestNode];
    voter.ctx.sums.connect({ begin: () => new Promise(() => undefined), isCertified: () => true, rest: async () => undefined });
    void averageByStreams(voter.ctx, jobOf(voter, roster));
    assert.equal(await checked(voter, block), 'incomplete');
    assert.equal(voter.asked.length, 0);
    await swarm.clock.runUntil(() => false, 4_000);
    assert.equal(await checked(voter, block), 'valid');
  });

  it('names who was dropped, and leaves them out of everything', async () => {
    const [gone] = roster as [EntryId];
    const by = [swarm.node(1).identity.fingerprint];
    const averaged = await averagedOf(swarm, jobOf(swarm.node(0), roster), [{ id: gone, why: 'unreachable', by, at: null }]);
    const block = await blockOver(averaged);
    assert.deepEqual(block.body.dropped, averaged.attempt.dropped);
    assert.equal(await verdictOn(block), 'valid');
    const { header } = await average(swarm.node(0).ctx, swarm.node(0).ctx.chain.finalized.state, roster);
    for (const node of swarm.nodes) await give(node, { block, certificate: certify(block, swarm.nodes.slice(0, 3)) }, header);
    const { chain, replica } = swarm.node(2).ctx;
    const author = replica.graph.get(gone)?.core.author;
    for (const member of chain.finalized.state.members) assert.equal(member.lastEpoch, member.fingerprint === author ? 0 : 1);
    assert.equal(chain.finalized.header?.weightTotal, (NARROW_WEIGHT_TOTAL * 3) / 4);
  });

  it('is refused with other drops than those that were signed for the attempt', async () => {
    const [gone, other] = roster as [EntryId, EntryId];
    const drop: Dropped = { id: gone, why: 'unreachable', by: [], at: null };
    const block = await blockOver(await averagedOf(swarm, jobOf(swarm.node(0), roster), [drop]));
    for (const dropped of [[{ ...drop, why: 'links' as const }], [{ ...drop, id: other }]])
      assert.equal(await verdictOn(makeBlock(block.header, { ...block.body, dropped })), 'INCOMPATIBLE dropped');
    assert.equal(await verdictOn(makeBlock(block.header, { ...block.body, dropped: [] })), 'INCOMPATIBLE aggregateHash');
  });

  const bump = (values: Int32Array): Int32Array => values.with(0, (values[0] as number) + 1);
  for (const [what, lie, verdict] of [
    ['a sum that is off by one', (a: Averaged) => ({ ...a, sum: bump(a.sum) }), 'HASH_MISMATCH aggregateHash'],
    ['another sum of rho', (a: Averaged) => ({ ...a, rhoSum: bump(a.rhoSum) }), 'HASH_MISMATCH aggregateHash'],
    ['commitments in another order', (a: Averaged) => ({ ...a, commitments: [...a.commitments].reverse() }), 'HASH_MISMATCH opening'],
    ['a commitment too few', (a: Averaged) => ({ ...a, commitments: a.commitments.slice(1) }), 'INCOMPATIBLE opening'],
    [
      'a commitment beyond its modulus',
      (a: Averaged) => ({ ...a, commitments: a.commitments.map((c) => new Uint8Array(c).fill(255)) }),
      'INCOMPATIBLE opening',
    ],
    ['an attempt over another base', (a: Averaged) => ({ ...a, attempt: { ...a.attempt, base: 'ab'.repeat(32) } }), 'INCOMPATIBLE opening'],
    ['an attempt of another epoch', (a: Averaged) => ({ ...a, attempt: { ...a.attempt, epoch: 9 } }), 'INCOMPATIBLE opening'],
    ['an attempt of another swarm', (a: Averaged) => ({ ...a, attempt: { ...a.attempt, swarm: 'ab'.repeat(32) } }), 'INCOMPATIBLE opening'],
  ] as const)
    it(`over ${what} is invalid`, async () => {
      assert.equal(await verdictOn(await blockOver(lie(honest))), verdict);
    });

  it('over a sum of another roster is invalid', async () => {
    const block = await blockOver(honest);
    const opening = encodeOpening({ ...honest, attempt: { ...honest.attempt, roster: roster.slice(1) } });
    await swarm.node(0).blobs.put(opening);
    const named = await blockNaming({ opening: { root: contentOf(opening).root, bytes: opening.byteLength } });
    assert.equal(block.header.epoch, named.header.epoch);
    assert.equal(await verdictOn(named), 'INCOMPATIBLE roster');
  });

  it('over a header that is not of it is invalid', async () => {
    assert.equal(await verdictOn(await blockNaming({ weightTotal: 1 })), 'INCOMPATIBLE aggregateHash');
    assert.equal(await verdictOn(await blockNaming({ distances: ['1', '1', '1', '1'] })), 'INCOMPATIBLE aggregateHash');
    assert.equal(await verdictOn(await blockNaming({ distances: ['1', '1', '1', '1'], opening: null })), 'INCOMPATIBLE aggregateHash');
    const junk = new Uint8Array(100).fill(1);
    await swarm.node(0).blobs.put(junk);
    assert.equal(await verdictOn(await blockNaming({ opening: { root: contentOf(junk).root, bytes: 100 } })), 'INCOMPATIBLE opening');
  });

  it('waits where nobody gives the opening', async () => {
    const other = contentOf(bytesOf(Int32Array.of(1)));
    assert.equal(await verdictOn(await blockNaming({ opening: { root: other.root, bytes: 4 } })), 'incomplete');
  });

  it('that rosters contributions and names no sum is invalid, and one of nothing before round 2', async () => {
    const block = await blockOver(honest);
    const zero = '0'.repeat(64);
    assert.equal(await verdictOn(withHeader(block, { aggregateHash: zero })), 'BAD_BLOCK roster');
    const late = await checkBlock(
      swarm.node(1).ctx,
      swarm.node(1).ctx.chain.finalized,
      withHeader(block, { aggregateHash: zero }),
      2,
      false,
    );
    assert.equal(late.kind === 'invalid' ? late.error.facts.field : late.kind, 'aggregateHash');
    const empty = (await draftOf(swarm.node(0), [])).block;
    assert.equal(await verdictOn(empty), 'BAD_BLOCK roster');
    assert.equal(await checked(swarm.node(1), empty, VOTING.emptyFromRound), 'valid');
  });
});

describe('a sum that is made with others', () => {
  it('is one run for one roster, ends with EPOCH_PAST where another takes its place, and is none where nobody connects', async () => {
    const swarm = committee(4, { schedule: 'ring' });
    const roster = sorted(await swarm.contribute([wave(0), wave(1), wave(2), wave(3)]));
    const [node, other] = swarm.nodes as [TestNode, TestNode];
    await assert.rejects(averageByStreams(node.ctx, jobOf(node, roster)), { code: 'AGGREGATE_MISSING' });
    const exchange = Promise.withResolvers<Averaged | undefined>();
    node.ctx.sums.connect({ begin: () => exchange.promise, isCertified: () => false, rest: async () => undefined });
    const run = averageByStreams(node.ctx, jobOf(node, roster));
    assert.equal(averageByStreams(node.ctx, jobOf(node, roster)), run);
    const { state } = node.ctx.chain.finalized;
    assert.deepEqual([node.ctx.sums.isPending(state, roster), node.ctx.sums.isPending(state, roster.slice(1))], [true, false]);
    await assert.rejects(average(node.ctx, state, roster.slice(1)), { code: 'AGGREGATE_MISSING' });
    exchange.resolve(undefined);
    await assert.rejects(run, { code: 'EPOCH_PAST' });
    assert.equal(node.ctx.sums.isRunning, false);
    // Nobody was left to sum: contributions take no effect.
    const drops = roster.map((id): Dropped => ({ id, why: 'unreachable', by: [], at: null }));
    await sum(other, roster, {
      ...(await averagedOf(swarm, jobOf(other, roster))),
      attempt: { ...(await averagedOf(swarm, jobOf(other, roster))).attempt, dropped: drops },
      survivors: [],
      weights: [],
    });
    const nothing = await average(other.ctx, other.ctx.chain.finalized.state, roster);
    assert.deepEqual([nothing.roster, nothing.header, nothing.dropped], [[], undefined, []]);
  });
});

describe('a block of an epoch by a rule over segments', () => {
  let swarm: TestSwarm;
  let roster: EntryId[];
  let made: Averaged;
  beforeEach(async () => {
    swarm = committee(4, { schedule: 'butterfly', aggregation: 'median' });
    roster = sorted(await swarm.contribute([wave(0), wave(1), wave(2), wave(3)]));
    const { base } = jobOf(swarm.node(0), roster);
    const attempt: Attempt = { swarm: swarm.id, epoch: base.epoch + 1, base: base.decision, number: 0, roster, dropped: [], broken: [] };
    const sum = new Int32Array(swarm.node(0).ctx.spans.at(-1)?.end ?? 0).fill(7);
    const ruled = { weightTotal: 2, distances: [1n, 1n, 1n, 9n] };
    made = { attempt, survivors: roster, weights: [1, 1, 1, 1], sum, rhoSum: new Int32Array(), commitments: [], ruled };
  });

  async function blockOver(averaged: Averaged): Promise<Block> {
    const [proposer] = swarm.nodes as [TestNode];
    await sum(proposer, roster, averaged);
    const aggregate = await average(proposer.ctx, proposer.ctx.chain.finalized.state, roster);
    assert.deepEqual(aggregate.header?.distances, averaged.ruled?.distances.map(String));
    assert.equal(aggregate.header?.weightTotal, 2);
    for (const { ctx } of swarm.nodes) await judge(ctx, ctx.chain.finalized, aggregate);
    swarm.share();
    await keepAggregate(proposer.ctx, aggregate);
    return (await draftOf(proposer, roster)).block;
  }

  it('has contributions that commit to no values', () => {
    for (const id of roster) {
      const { body } = swarm.node(0).ctx.replica.graph.get(id)?.core ?? assert.fail('no entry');
      assert.ok('commitment' in body && body.commitment === null);
    }
  });

  it('is prevoted by whoever took part in making it, and by nobody who only sees that others did, unless q voters have', async () => {
    const block = await blockOver(made);
    assert.equal(await checked(swarm.node(0), block), 'valid');
    const [, voter, other] = swarm.nodes as [TestNode, TestNode, TestNode];
    voter.ctx.sums.connect({ begin: async () => undefined, isCertified: () => true, rest: async () => undefined });
    assert.equal(await checked(voter, block), 'incomplete');
    assert.equal(await checked(voter, block, 3, true), 'valid');
    await sum(other, roster, made);
    assert.equal(await checked(other, block), 'valid');
  });

  it('is not prevoted by who made something else of the rows', async () => {
    const [, , other] = swarm.nodes as [TestNode, TestNode, TestNode];
    await sum(other, roster, { ...made, sum: made.sum.with(0, 8) });
    assert.equal(await checked(other, await blockOver(made)), 'incomplete');
  });

  it('is invalid with another number of distances than it has contributions', async () => {
    const short = { weightTotal: 2, distances: [1n, 2n, 3n] };
    const block = await blockOver({ ...made, ruled: short });
    assert.equal(await checked(swarm.node(0), block), 'INCOMPATIBLE aggregateHash');
  });

  it('is taken by whoever was away on its certificate, and moves trust by the distances', async () => {
    const block = await blockOver(made);
    const [first, , , away] = swarm.nodes as [TestNode, TestNode, TestNode, TestNode];
    const { header } = await average(first.ctx, first.ctx.chain.finalized.state, roster);
    const record = { block, certificate: certify(block, swarm.nodes.slice(0, 3)) };
    for (const node of [first, away]) await give(node, record, header);
    assert.equal(away.ctx.chain.finalized.state.epoch, 1);
    assert.deepEqual(away.ctx.chain.finalized.state, first.ctx.chain.finalized.state);
    const authors = roster.map((id) => first.ctx.replica.graph.get(id)?.core.author);
    const trustOf = (i: number) => away.ctx.chain.finalized.state.members.find((m) => m.fingerprint === authors[i])?.trust ?? 0;
    assert.ok(trustOf(3) < trustOf(0), `${trustOf(3)} and ${trustOf(0)}`);
  });

  it('without a quorum is taken by whoever took no part from more deciders than rows may lie', async () => {
    const many = new TestSwarm({ nodes: 7, genesis: { schedule: 'butterfly', aggregation: 'median' } }).joined();
    const ids = sorted(await many.contribute([0, 1, 2, 3, 4, 5, 6].map(wave)));
    const [first, second, third] = many.nodes as [TestNode, TestNode, TestNode];
    const away = many.node(6);
    const { id: prev, state } = first.ctx.chain.head;
    const attempt = { ...made.attempt, swarm: many.id, base: state.decision, roster: ids };
    const ruled = { weightTotal: 1, distances: ids.map(() => 1n) };
    await sum(first, ids, { ...made, attempt, survivors: ids, weights: ids.map(() => 1), ruled });
    const aggregate = await average(first.ctx, state, ids);
    await keepAggregate(first.ctx, aggregate);
    const { weights, hash: aggregateHash } = aggregate;
    const body: DecisionBody = { epoch: 1, prev, roster: ids, weights, aggregateHash, dropped: [] };
    const decide = (node: TestNode, what: DecisionBody): unknown => node.ctx.replica.append('decision', what, prev, 0);
    decide(away, emptyDecision(away.ctx));
    for (const node of [first, second]) decide(node, body);
    many.share();
    await away.apply();
    assert.equal(away.ctx.unavailable.has(decisionId(body)), true, 'two of seven may lie');
    assert.notDeepEqual(away.ctx.chain.head.body, body);
    decide(third, body);
    many.share();
    await many.clock.runUntil(() => false, many.clock.nowMs() + 10_000);
    await away.apply();
    assert.deepEqual(away.ctx.chain.head.body, body);
  });

  it('rosters members alone: so many rows go by segments as there are members', async () => {
    const strangers = new TestSwarm({ nodes: 4, genesis: { schedule: 'butterfly', aggregation: 'median' } }).joined();
    const [id] = await strangers.contribute([wave(0)]);
    const { ctx } = strangers.node(1);
    const entry = ctx.replica.graph.get(id ?? '') ?? assert.fail('no entry');
    const { state } = ctx.chain.head;
    assert.equal(ineligible(ctx, state, entry), undefined);
    const others = { ...state, members: state.members.filter(({ fingerprint }) => fingerprint !== entry.core.author) };
    assert.match(ineligible(ctx, others, entry) ?? '', /no member yet/);
  });
});
