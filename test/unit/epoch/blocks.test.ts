import assert from 'node:assert/strict';
import { checkBlock, draftFinal, missingOf } from '../../../src/epoch/blocks.ts';
import { ensureModel } from '../../../src/epoch/modelPull.ts';
import { judge } from '../../../src/epoch/verdict.ts';
import type { Candidate } from '../../../src/epoch/waitingBlocks.ts';
import { type Block, type BlockHeader, type StarlingError, VOTING } from '../../../src/spec/index.ts';
import { blockHash, cutHash, makeBlock, rosterHash } from '../../../src/wire/index.ts';
import { sorted, type TestNode, type TestSwarm } from '../../support/epochWorld.ts';
import { committee, draftOf, finalise, give, grow, judgeAll, voteOf, wave } from '../../support/finalSteps.ts';

const OTHER = 'ab'.repeat(32);

/** The block with other fields, its hash computed: what a proposer who lies would sign. */
const withHeader = (block: Block, change: Partial<BlockHeader>): Block => {
  const header = { ...block.header, ...change };
  return { ...block, header, hash: blockHash(header) };
};

/** The verdict of `node` on a block in this round: 'valid', 'incomplete', or the field that is wrong. */
async function checked(node: TestNode, block: Block, round = 0, wasValid = false): Promise<string> {
  const { ctx } = node;
  const before = [ctx.chain.head, ctx.chain.order.size, ctx.chain.order.root()];
  const check = await checkBlock(ctx, ctx.chain.finalized, block, round, wasValid);
  assert.deepEqual([ctx.chain.head, ctx.chain.order.size, ctx.chain.order.root()], before, 'a check changes nothing');
  return check.kind === 'invalid' ? `${check.error.code} ${check.error.facts.field}` : check.kind;
}

describe('a proposed block', () => {
  let swarm: TestSwarm;
  let ids: string[];
  let candidate: Candidate;
  before(async () => {
    swarm = committee(4);
    await grow(swarm, 1);
    ids = await swarm.contribute([wave(0), wave(1), wave(2), wave(3)]);
    await judgeAll(swarm, ids);
    candidate = await draftOf(swarm.node(0), ids);
  });

  it('that is as everyone computes it is valid for everyone, in any round', async () => {
    for (const node of swarm.nodes) for (const round of [0, 1, 7]) assert.equal(await checked(node, candidate.block, round), 'valid');
    const check = await checkBlock(swarm.node(2).ctx, swarm.node(2).ctx.chain.finalized, candidate.block, 0, false);
    assert.ok(check.kind === 'valid');
    assert.deepEqual(check.candidate, candidate, 'and it works out the same step');
  });

  // Every field that a validator recomputes; `v` has one value, and the body's hashes go with the body.
  const lies: Partial<BlockHeader>[] = [
    { swarm: OTHER },
    { prev: OTHER },
    { treeSize: 1 },
    { treeRoot: OTHER },
    { survivorsHash: OTHER },
    { modelRoot: OTHER },
    { stateRoot: OTHER },
    { votersHash: OTHER },
    { nextVotersHash: OTHER },
    { aggregateHash: OTHER },
    { cutHash: OTHER },
    { rosterHash: OTHER },
    { evidenceHash: OTHER },
    { timeMs: 0 },
  ];
  for (const lie of lies) {
    const [field] = Object.keys(lie);
    it(`with another ${field} is invalid, and says so`, async () => {
      // Over another aggregate there are no verdicts.
      assert.equal(
        await checked(swarm.node(1), withHeader(candidate.block, lie)),
        `BAD_BLOCK ${field === 'aggregateHash' ? 'tips' : field}`,
      );
    });
  }

  it('of another height, or no later than the one before, is invalid', async () => {
    const { block } = candidate;
    for (const epoch of [1, 3]) assert.equal(await checked(swarm.node(1), withHeader(block, { epoch })), 'BAD_BLOCK prev');
    const timeMs = swarm.node(1).ctx.chain.finalized.block?.header.timeMs ?? assert.fail('a block before');
    assert.equal(await checked(swarm.node(1), withHeader(block, { timeMs })), 'BAD_BLOCK timeMs');
  });

  it('over an aggregate that q voters judged, but that the rows do not give, is invalid', async () => {
    const made = committee(4);
    const roster = sorted(await made.contribute([wave(0), wave(1), wave(2), wave(3)]));
    for (const { ctx } of made.nodes) {
      const sum = new Int32Array(8).fill(1);
      await judge(ctx, ctx.chain.finalized, { hash: OTHER, header: { weightTotal: 1 } as never, sum });
    }
    await judgeAll(made, roster);
    const { block } = await draftOf(made.node(0), roster);
    assert.equal(await checked(made.node(1), withHeader(block, { aggregateHash: OTHER })), 'BAD_BLOCK aggregateHash');
  });

  it('waits for entries of its cut, naming them', async () => {
    const { block } = candidate;
    const tips = [...block.body.tips, OTHER].sort();
    const more = { ...withHeader(block, { cutHash: cutHash(tips, block.body.roster) }), body: { ...block.body, tips } };
    const { ctx } = swarm.node(1);
    assert.deepEqual(await checkBlock(ctx, ctx.chain.finalized, more, 0, false), { kind: 'incomplete', missing: [OTHER] });
    assert.deepEqual(missingOf(ctx, block), []);
  });

  it('waits for the values of what it averages, naming whose', async () => {
    const { ctx } = swarm.node(3);
    const [first] = ids as [string];
    const row = ctx.updates.row.bind(ctx.updates);
    ctx.updates.row = (id) => (id === first ? undefined : row(id));
    try {
      assert.deepEqual(await checkBlock(ctx, ctx.chain.finalized, candidate.block, 0, false), { kind: 'incomplete', missing: [first] });
    } finally {
      ctx.updates.row = row;
    }
  });

  it('with weights that samples and trust do not give is invalid', async () => {
    const { block } = candidate;
    const weights = block.body.weights.map((w, i) => (i === 0 ? w + 1 : w));
    const roster = rosterHash(block.body.roster, weights);
    const wrong = { ...withHeader(block, { rosterHash: roster, survivorsHash: roster }), body: { ...block.body, weights } };
    assert.equal(await checked(swarm.node(1), wrong), 'INCOMPATIBLE weights');
  });

  it('with a contribution of another epoch is invalid', async () => {
    const { block } = candidate;
    const old = swarm.node(1).ctx.chain.at(1)?.body?.roster[0] ?? assert.fail('a contribution of epoch 1');
    const roster = sorted([...block.body.roster.slice(1), old]);
    assert.equal(await checked(swarm.node(1), { ...block, body: { ...block.body, roster } }), 'INCOMPATIBLE roster');
  });

  it('needs the verdicts of q voters in its cut', async () => {
    const one = committee(4);
    const roster = await one.contribute([wave(0), wave(1), wave(2), wave(3)]);
    const strip = ({ block }: Candidate): Block => {
      const {
        v,
        swarm: id,
        epoch,
        prev,
        treeSize,
        treeRoot,
        survivorsHash,
        aggregateHash,
        modelRoot,
        stateRoot,
        votersHash,
        nextVotersHash,
        timeMs,
      } = block.header;
      const header = {
        v,
        swarm: id,
        epoch,
        prev,
        treeSize,
        treeRoot,
        survivorsHash,
        aggregateHash,
        modelRoot,
        stateRoot,
        votersHash,
        nextVotersHash,
        timeMs,
      };
      return makeBlock(header, { ...block.body, tips: [] });
    };
    assert.equal(await checked(one.node(1), (await draftOf(one.node(0), roster)).block), 'BAD_BLOCK tips');
    await judgeAll(one, roster, one.nodes.slice(0, 2));
    assert.equal(await checked(one.node(1), (await draftOf(one.node(0), roster)).block), 'BAD_BLOCK tips');
    await judgeAll(one, roster, one.nodes.slice(0, 3));
    const judged = await draftOf(one.node(0), roster);
    assert.equal(await checked(one.node(1), judged.block), 'valid');
    assert.equal(await checked(one.node(1), strip(judged)), 'BAD_BLOCK tips', 'they exist, and it does not hold them');
  });

  it('does not count the verdicts of one voter twice, nor one over another base', async () => {
    const one = committee(4);
    await grow(one, 1);
    const roster = await one.contribute([wave(0), wave(1), wave(2), wave(3)]);
    const { block } = await draftOf(one.node(0), roster);
    const body = { epoch: 2, base: one.node(0).ctx.chain.finalized.id, aggregateHash: block.header.aggregateHash, good: true, reason: '' };
    for (const i of [0, 0, 1, 1]) one.node(i).ctx.replica.append('verdict', body, body.base, 1, []);
    one.node(2).ctx.replica.append('verdict', { ...body, base: one.id }, body.base, 1, []);
    one.share();
    assert.equal(await checked(one.node(1), (await draftOf(one.node(0), roster)).block), 'BAD_BLOCK tips');
    one.node(2).ctx.replica.append('verdict', body, body.base, 1, []);
    one.share();
    assert.equal(await checked(one.node(1), (await draftOf(one.node(0), roster)).block), 'valid');
  });

  it('that is empty is valid when nothing is eligible, from round 2 on, or once q voters took it', async () => {
    const { block } = await draftOf(swarm.node(0));
    const node = swarm.node(1);
    assert.equal(VOTING.emptyFromRound, 2);
    assert.deepEqual(
      [await checked(node, block, 0), await checked(node, block, 1), await checked(node, block, 2), await checked(node, block, 0, true)],
      ['BAD_BLOCK roster', 'BAD_BLOCK roster', 'valid', 'valid'],
    );
    const idle = committee(4);
    assert.equal(await checked(idle.node(1), (await draftOf(idle.node(0))).block, 0), 'valid');
  });

  it('with evidence that proves nothing is invalid', async () => {
    const liar = swarm.node(3);
    const place = { epoch: 2, round: 0, step: 'prevote' } as const;
    const votes = [voteOf(liar, { ...place, block: OTHER }), voteOf(liar, { ...place, block: null })] as const;
    const { ctx } = swarm.node(0);
    ctx.evidence.add(votes[0], { ...votes[1], signature: new Uint8Array(64) });
    assert.equal(await checked(swarm.node(1), (await draftOf(swarm.node(0), ids)).block), 'BAD_EVIDENCE evidence');
    ctx.evidence.settle(liar.identity.fingerprint);
    ctx.evidence.add(...votes);
    assert.equal(await checked(swarm.node(1), (await draftOf(swarm.node(0), ids)).block), 'valid');
    ctx.evidence.settle(liar.identity.fingerprint);
  });

  it('waits for the model that it builds on', async () => {
    const late = committee(3);
    const record = await finalise(late, await late.contribute([wave(0), wave(1), wave(2)]), late.nodes.slice(0, 2));
    const node = late.node(2);
    const row = node.ctx.updates.row.bind(node.ctx.updates);
    node.ctx.updates.row = () => undefined;
    await give(node, record, late.node(0).ctx.chain.at(1)?.header);
    node.ctx.updates.row = row;
    const roster = await late.contribute([wave(3), wave(4)]);
    await judgeAll(late, roster, late.nodes.slice(0, 2));
    const { block } = await draftOf(late.node(0), roster);
    const { ctx } = node;
    assert.deepEqual(await checkBlock(ctx, ctx.chain.finalized, block, 0, false), { kind: 'incomplete', missing: [] });
    await ensureModel(ctx);
    assert.equal(await checked(node, block), 'valid');
  });

  it('fails the node, not the block, where its own store fails', async () => {
    const { ctx } = swarm.node(1);
    const draft = ctx.chain.draft.bind(ctx.chain);
    ctx.chain.draft = () => Promise.reject(new Error('the disk is gone'));
    try {
      await assert.rejects(checkBlock(ctx, ctx.chain.finalized, candidate.block, 0, false), /the disk is gone/);
    } finally {
      ctx.chain.draft = draft;
    }
  });
});

describe('the step of a final block', () => {
  it('stands on the certified model root where the sum is not at hand', async () => {
    const swarm = committee(3);
    const ids = await swarm.contribute([wave(0), wave(1), wave(2)]);
    await judgeAll(swarm, ids);
    const { block, draft, aggregate } = await draftOf(swarm.node(0), ids);
    const { ctx } = swarm.node(1);
    const without = await draftFinal(ctx, ctx.chain.finalized, block, { header: aggregate.header, sum: undefined });
    assert.deepEqual([without.stateRoot, without.state, without.model], [draft.stateRoot, draft.state, undefined]);
    const full = await draftFinal(ctx, ctx.chain.finalized, block, aggregate);
    assert.deepEqual([full.stateRoot, full.model], [draft.stateRoot, draft.model]);
  });

  it('is refused with the name of what this ledger has otherwise', async () => {
    const swarm = committee(3);
    const { block } = await finalise(swarm, [], []);
    const { ctx } = swarm.node(1);
    for (const field of ['treeRoot', 'stateRoot', 'nextVotersHash'] as const)
      await assert.rejects(
        draftFinal(ctx, ctx.chain.finalized, withHeader(block, { [field]: OTHER }), { header: undefined, sum: undefined }),
        (e: StarlingError) => e.code === 'DIVERGED' && e.facts.field === field && e.facts.epoch === 1 && e.facts.fix !== undefined,
      );
  });
});
