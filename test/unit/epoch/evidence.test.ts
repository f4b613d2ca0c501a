import assert from 'node:assert/strict';
import { ZERO_HASH } from '../../../src/crypto/index.ts';
import { average } from '../../../src/epoch/average.ts';
import { checkBlock, draftFinal } from '../../../src/epoch/blocks.ts';
import { checkEvidence, pendingEvidence } from '../../../src/epoch/evidence.ts';
import { EvidencePool } from '../../../src/epoch/evidencePool.ts';
import { judge } from '../../../src/epoch/verdict.ts';
import type { AnyEntryCore, Evidence, MemberState, SignedEntry, Vote, VoteBody } from '../../../src/spec/index.ts';
import { MAX_EVIDENCE, VOTING } from '../../../src/spec/index.ts';
import { signed, sorted, type TestNode, type TestSwarm } from '../../support/epochWorld.ts';
import { certify, committee, draftOf, finalise, give, voteOf, wave } from '../../support/finalSteps.ts';
import { hashOf } from '../ledger/entries.ts';

const place: Omit<VoteBody, 'voter'> = { epoch: 1, round: 0, step: 'prevote', block: hashOf('one') };
const double = (node: TestNode): [Vote, Vote] => [voteOf(node, place), voteOf(node, { ...place, block: hashOf('two') })];

/** Another entry at the place of this author's last one, handed to everyone else. Returns both, the lower id first. */
function fork(swarm: TestSwarm, node: TestNode, change = 1): [string, string] {
  const { graph } = node.ctx.replica;
  const last = graph.get(graph.heads(node.identity.fingerprint)[0] as string) as SignedEntry;
  const other = signed(node.identity, { ...last.core, epochSeen: last.core.epochSeen + change } as AnyEntryCore);
  for (const one of swarm.nodes) if (one !== node) one.take([other]);
  return [last.id, other.id].sort() as [string, string];
}

const statusOf = ({ ctx }: TestNode, author: TestNode): string | undefined =>
  ctx.chain.finalized.state.members.find((m) => m.fingerprint === author.identity.fingerprint)?.status;

describe('the pool of double votes', () => {
  it('keeps the first of each voter until a block holds it', () => {
    const { nodes } = committee(3);
    const [a, b] = nodes as [TestNode, TestNode];
    const pool = new EvidencePool();
    const [first, second] = double(a);
    assert.equal(pool.add(second, first), true);
    assert.equal(pool.add(first, second), false);
    assert.equal(pool.add(...double(b)), true);
    assert.equal([...pool.votes()].length, 2);
    pool.settle(a.identity.fingerprint);
    assert.deepEqual(
      [...pool.votes()].map((e) => e.first.voter),
      [b.identity.fingerprint],
    );
  });

  it('puts the two in one order, whoever came first: nil before a block, then the lower hash', () => {
    const { nodes } = committee(3);
    const [a] = nodes as [TestNode];
    const [nil, some] = [voteOf(a, { ...place, block: null }), voteOf(a, place)];
    for (const pair of [
      [nil, some],
      [some, nil],
    ] as const) {
      const pool = new EvidencePool();
      pool.add(...pair);
      assert.deepEqual([...pool.votes()], [{ first: nil, second: some }]);
    }
  });

  it('is bounded', () => {
    const [vote] = double(committee(1).node(0));
    const pool = new EvidencePool();
    for (let i = 0; i < 1_000; i++) pool.add({ ...vote, voter: `voter ${i}` }, { ...vote, voter: `voter ${i}`, block: null });
    assert.equal([...pool.votes()].length, 300);
  });
});

describe('evidence that a block could take', () => {
  it('is of members that it changes something for, and no more than a block holds', () => {
    const swarm = committee(4);
    const { ctx } = swarm.node(0);
    const base = ctx.chain.finalized;
    ctx.evidence.add(...double(swarm.node(1)));
    const [vote] = double(swarm.node(2));
    ctx.evidence.add({ ...vote, voter: 'ab'.repeat(32) }, { ...vote, voter: 'ab'.repeat(32), block: null });
    assert.deepEqual(
      pendingEvidence(ctx, base).map(({ first }) => first.voter),
      [swarm.node(1).identity.fingerprint],
    );
    const members = base.state.members.map((m) => ({ ...m, status: 'expelled' as const }));
    assert.deepEqual(pendingEvidence(ctx, { ...base, state: { ...base.state, members } }), []);
    const [member] = base.state.members;
    const crowd = Array.from({ length: 2 * MAX_EVIDENCE }, (_, i) => ({ ...(member as MemberState), fingerprint: `${i}` }));
    for (const { fingerprint: voter } of crowd) ctx.evidence.add({ ...vote, voter }, { ...vote, voter, block: null });
    assert.equal(pendingEvidence(ctx, { ...base, state: { ...base.state, members: crowd } }).length, MAX_EVIDENCE);
  });
});

describe('evidence in a block', () => {
  function setting(genesis = {}) {
    const swarm = committee(4, genesis);
    const { ctx } = swarm.node(0);
    const [first, second] = double(swarm.node(1));
    const votes: Evidence = { first, second };
    const check = (evidence: Evidence) => checkEvidence(ctx, ctx.chain.finalized, evidence);
    const refused = (evidence: Evidence, why: RegExp) =>
      assert.throws(
        () => check(evidence),
        (e: { code?: string; message?: string; facts?: { phase?: string; field?: string } }) => {
          assert.deepEqual([e.code, e.facts?.phase, e.facts?.field], ['BAD_EVIDENCE', 'audit', 'evidence']);
          assert.match(e.message ?? '', why);
          return true;
        },
      );
    return { swarm, ctx, votes, check, refused };
  }

  it('is two votes of a member for two values in one place', () => {
    const { swarm, ctx, votes, check, refused } = setting();
    const [author, other] = [swarm.node(1), swarm.node(2)];
    check(votes);
    check({ ...votes, second: voteOf(author, { ...place, block: null }) });
    refused({ ...votes, second: votes.first }, /same block/);
    refused({ ...votes, second: voteOf(other, { ...place, block: hashOf('two') }) }, /different places/);
    for (const change of [{ epoch: 2 }, { round: 1 }, { step: 'precommit' as const }])
      refused({ ...votes, second: voteOf(author, { ...place, block: hashOf('two'), ...change }) }, /different places/);
    for (const side of ['first', 'second'] as const)
      refused({ ...votes, [side]: { ...votes[side], signature: new Uint8Array(64) } }, /not signed/);
    const stranger = 'ab'.repeat(32);
    refused({ first: { ...votes.first, voter: stranger }, second: { ...votes.second, voter: stranger } }, /no member/);
    const base = ctx.chain.finalized;
    const members = base.state.members.map((m) => ({ ...m, status: 'expelled' as const }));
    assert.throws(() => checkEvidence(ctx, { ...base, state: { ...base.state, members } }, votes), /no member/);
  });

  it('is of the last `retainEpochs` epochs: what is older is neither taken nor kept', async () => {
    const { swarm, ctx, votes, check, refused } = setting({ retainEpochs: 2, snapshotEpochs: 1_000 });
    ctx.evidence.add(votes.first, votes.second);
    // Nobody carries it into a block: it waits.
    for (const node of swarm.nodes.slice(1)) node.ctx.evidence.settle(votes.first.voter);
    const other = swarm.node(1);
    for (const last of [1, 2]) {
      const { block } = await draftOf(other);
      const record = { block, certificate: certify(block, swarm.nodes.slice(0, 3)) };
      for (const node of swarm.nodes) await give(node, record);
      assert.equal(ctx.chain.finalized.state.epoch, last);
      // Of epoch 1 in a block of epoch 3: two epochs, and no more.
      assert.equal(pendingEvidence(ctx, ctx.chain.finalized).length, 1);
      check(votes);
    }
    const { block } = await draftOf(other);
    for (const node of swarm.nodes) await give(node, { block, certificate: certify(block, swarm.nodes.slice(0, 3)) });
    refused(votes, /of epoch 1/);
    assert.deepEqual([[...ctx.evidence.votes()], pendingEvidence(ctx, ctx.chain.finalized)], [[], []]);
    check({ first: voteOf(other, { ...place, epoch: 2 }), second: voteOf(other, { ...place, epoch: 2, block: hashOf('two') }) });
  });
});

describe('what evidence does', () => {
  it('expels a double voter with the block that holds it, once', async () => {
    const swarm = committee(4);
    const author = swarm.node(3);
    for (const { ctx } of swarm.nodes) ctx.evidence.add(...double(author));
    const record = await finalise(swarm, await swarm.contribute([wave(0), wave(1), wave(2), wave(3)]));
    assert.equal(record.block.body.evidence.length, 1);
    for (const { ctx } of swarm.nodes) {
      const member = ctx.chain.finalized.state.members.find((m) => m.fingerprint === author.identity.fingerprint);
      assert.deepEqual([ctx.chain.finalized.state.epoch, member?.status, member?.vote], [1, 'expelled', 'none']);
      assert.deepEqual([[...ctx.evidence.votes()], pendingEvidence(ctx, ctx.chain.finalized)], [[], []]);
    }
  });
});

describe('a forked chain', () => {
  /** What the first node proposes once the fourth has forked: valid for all, final, and what it makes of the fourth. */
  async function decided(swarm: TestSwarm, roster: readonly string[] = []): Promise<readonly string[]> {
    const honest = swarm.nodes.slice(0, 3);
    for (const { ctx } of roster.length === 0 ? [] : honest)
      await judge(ctx, ctx.chain.finalized, await average(ctx, ctx.chain.finalized.state, sorted(roster)));
    // The author's own daemon would stop.
    for (const node of honest) node.take(honest.flatMap(({ ctx }) => [...ctx.replica.graph.entries()]));
    const { block, aggregate } = await draftOf(swarm.node(0), roster);
    for (const { ctx } of honest) {
      const check = await checkBlock(ctx, ctx.chain.finalized, block, VOTING.emptyFromRound, false);
      assert.equal(check.kind, 'valid', check.kind === 'invalid' ? check.error.message : check.kind);
    }
    const record = { block, certificate: certify(block, honest) };
    for (const node of honest) await give(node, record, aggregate.header);
    return block.body.tips;
  }

  it('suspends its author with the block that takes in both sides, also where one is in the roster', async () => {
    const swarm = committee(4);
    const author = swarm.node(3);
    const ids = await swarm.contribute([wave(0), wave(1), wave(2), wave(3)]);
    const sides = fork(swarm, author);
    const tips = await decided(swarm, ids);
    assert.ok(sides.some((id) => tips.includes(id)) && sides.some((id) => ids.includes(id)), 'one is rostered, the other a tip');
    for (const node of swarm.nodes.slice(0, 3)) assert.equal(statusOf(node, author), 'suspended');
  });

  it('suspends where the proposer names neither side: entries of others bring them in', async () => {
    const swarm = committee(4);
    const [first, second, third, author] = swarm.nodes as [TestNode, TestNode, TestNode, TestNode];
    await decided(swarm);
    author.ctx.replica.append('membership', { action: 'away' }, author.ctx.chain.head.id, 0);
    swarm.share();
    const sides = fork(swarm, author);
    // Two who say something that depends on one side each; the proposer would hide the fork, and names the two.
    const said = [first, second].map((node, i) =>
      node.ctx.replica.append('membership', { action: 'away' }, node.ctx.chain.head.id, 1, [sides[i] as string]),
    );
    for (const node of [first, second, third]) node.take(said);
    const base = first.ctx.chain.finalized;
    const body = { epoch: 2, prev: base.id, roster: [], weights: [], aggregateHash: ZERO_HASH, dropped: [] };
    const parts = { tips: said.map(({ id }) => id).sort(), evidence: [], timeMs: 2 };
    const draft = await first.ctx.chain.draft(base, body, { header: undefined, sum: undefined }, parts);
    const status = draft.state.members.find((m) => m.fingerprint === author.identity.fingerprint)?.status;
    assert.equal(status, 'suspended');
  });

  it('is taken in side by side, and suspends once: what follows on either branch says nothing new', async () => {
    const swarm = committee(4);
    const [first, , , author] = swarm.nodes as [TestNode, TestNode, TestNode, TestNode];
    const sides = fork(swarm, author);
    const tips = await decided(swarm);
    assert.deepEqual(
      sides.filter((id) => tips.includes(id)),
      sides,
    );
    assert.equal(statusOf(first, author), 'suspended');
    const winner = sides.find((id) => first.ctx.chain.find(id)?.void === false) ?? assert.fail('one side counts');
    const loser = sides.find((id) => id !== winner) as string;
    const on = (id: string, action: 'resume' | 'away'): SignedEntry => {
      const { core } = first.ctx.replica.graph.get(id) as SignedEntry;
      const { author: of, seq, lam, swarm: swarmId, anchorBlock } = core;
      const next = { v: 1, swarm: swarmId, author: of, seq: seq + 1, prev: id, lam: lam + 1, epochSeen: 1, anchorBlock, deps: [] } as const;
      return signed(author.identity, { ...next, kind: 'membership', body: { action } });
    };
    const [resumes, other] = [on(winner, 'resume'), on(loser, 'away')];
    for (const node of swarm.nodes.slice(0, 3)) node.take([resumes]);
    await decided(swarm);
    assert.equal(statusOf(first, author), 'active');
    for (const node of swarm.nodes.slice(0, 3)) node.take([other]);
    await decided(swarm);
    assert.deepEqual([first.ctx.chain.find(other.id)?.void, statusOf(first, author)], [true, 'active']);
  });

  it('of any number of branches costs a block two tips, and any number of authors are suspended at once', async () => {
    const forkers = MAX_EVIDENCE + 4;
    const swarm = committee(3 + forkers);
    const honest = swarm.nodes.slice(0, 3);
    for (const author of swarm.nodes.slice(3)) for (const change of [1, 2, 3]) fork(swarm, author, change);
    const { block, draft } = await draftOf(swarm.node(0));
    assert.equal(block.body.tips.length, honest.length + 2 * forkers);
    const { ctx } = swarm.node(1);
    assert.equal((await draftFinal(ctx, ctx.chain.finalized, block, { header: undefined, sum: undefined })).stateRoot, draft.stateRoot);
    assert.equal(draft.state.members.filter((m) => m.status === 'suspended').length, forkers);
  });
});
