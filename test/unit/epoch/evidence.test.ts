import assert from 'node:assert/strict';
import { checkBlock } from '../../../src/epoch/blocks.ts';
import { checkEvidence, pendingEvidence } from '../../../src/epoch/evidence.ts';
import { EvidencePool } from '../../../src/epoch/evidencePool.ts';
import type { AnyEntryCore, BlockBody, Evidence, MemberState, SignedEntry, Vote, VoteBody } from '../../../src/spec/index.ts';
import { MAX_EVIDENCE } from '../../../src/spec/index.ts';
import { signed, type TestNode, type TestSwarm } from '../../support/epochWorld.ts';
import { certify, committee, draftOf, finalise, give, judgeAll, voteOf, wave } from '../../support/finalSteps.ts';
import { hashOf } from '../ledger/entries.ts';

type OfVotes = Extract<Evidence, { kind: 'vote' }>;
type OfEntries = Extract<Evidence, { kind: 'entry' }>;

const place: Omit<VoteBody, 'voter'> = { epoch: 1, round: 0, step: 'prevote', block: hashOf('one') };
const double = (node: TestNode): [Vote, Vote] => [voteOf(node, place), voteOf(node, { ...place, block: hashOf('two') })];

/** A second entry at the place of this author's last one, handed to everyone. */
function fork(swarm: TestSwarm, node: TestNode): { readonly entry: SignedEntry; readonly evidence: OfEntries } {
  const { graph } = node.ctx.replica;
  const last = graph.get(graph.heads(node.identity.fingerprint)[0] as string) as SignedEntry;
  const other = signed(node.identity, { ...last.core, epochSeen: last.core.epochSeen + 1 } as AnyEntryCore);
  for (const one of swarm.nodes) if (one !== node) one.take([other]);
  const [first, second] = [last.id, other.id].sort() as [string, string];
  return { entry: other, evidence: { kind: 'entry', author: node.identity.fingerprint, seq: last.core.seq, first, second } };
}

const bodyWith = (tips: readonly string[]): BlockBody => ({ tips, roster: [], weights: [], evidence: [] });

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
      assert.deepEqual([...pool.votes()], [{ kind: 'vote', first: nil, second: some }]);
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
    const forked = fork(swarm, swarm.node(3));
    assert.deepEqual(
      pendingEvidence(ctx, base).map((e) => (e.kind === 'vote' ? e.first.voter : e)),
      [swarm.node(1).identity.fingerprint, forked.evidence],
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
  function setting() {
    const swarm = committee(4);
    const { ctx } = swarm.node(0);
    const [first, second] = double(swarm.node(1));
    const votes: OfVotes = { kind: 'vote', first, second };
    const check = (evidence: Evidence, tips: readonly string[] = []) => checkEvidence(ctx, ctx.chain.finalized, evidence, bodyWith(tips));
    const refused = (evidence: Evidence, why: RegExp, tips: readonly string[] = []) =>
      assert.throws(
        () => check(evidence, tips),
        (e: { code?: string; message?: string; facts?: { phase?: string; field?: string } }) => {
          assert.deepEqual([e.code, e.facts?.phase, e.facts?.field], ['BAD_EVIDENCE', 'audit', 'evidence']);
          assert.match(e.message ?? '', why);
          return true;
        },
      );
    return { swarm, ctx, votes, check, refused };
  }

  it('is two votes of a member for two values in one place', () => {
    const { swarm, votes, check, refused } = setting();
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
    refused({ ...votes, first: { ...votes.first, voter: stranger }, second: { ...votes.second, voter: stranger } }, /no member/);
  });

  it('is two entries of a member in one place, both in the cut', () => {
    const { swarm, ctx, check, refused } = setting();
    const { entry, evidence } = fork(swarm, swarm.node(3));
    const both = [evidence.first, evidence.second];
    check(evidence, both);
    refused(evidence, /in no cut/);
    refused(evidence, /in no cut/, [entry.id]);
    refused({ ...evidence, first: evidence.second, second: evidence.first }, /no fork/, both);
    refused({ ...evidence, second: evidence.first }, /no fork/, both);
    refused({ ...evidence, seq: 1 }, /no fork/, both);
    refused({ ...evidence, author: swarm.node(2).identity.fingerprint }, /no fork/, both);
    refused({ ...evidence, author: 'ab'.repeat(32) }, /no fork/, both);
    refused({ ...evidence, second: 'f'.repeat(64) }, /no fork/, both);
    const { state } = ctx.chain.finalized;
    const members = state.members.map((m) => ({ ...m, status: 'expelled' as const }));
    assert.throws(
      () => checkEvidence(ctx, { ...ctx.chain.finalized, state: { ...state, members } }, evidence, bodyWith(both)),
      /no member/,
    );
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

  it('suspends who forked its chain, also where one side is in the roster, and is not said twice', async () => {
    const swarm = committee(4);
    const author = swarm.node(3);
    const ids = await swarm.contribute([wave(0), wave(1), wave(2), wave(3)]);
    await judgeAll(swarm, ids, swarm.nodes.slice(0, 3));
    const { evidence } = fork(swarm, author);
    const { block, aggregate } = await draftOf(swarm.node(0), ids);
    assert.deepEqual(block.body.evidence, [evidence]);
    assert.ok(
      block.body.roster.some((id) => id === evidence.first || id === evidence.second),
      'one side is rostered',
    );
    for (const { ctx } of swarm.nodes.slice(0, 3)) {
      const check = await checkBlock(ctx, ctx.chain.finalized, block, 0, false);
      assert.equal(check.kind, 'valid', check.kind === 'invalid' ? check.error.message : check.kind);
    }
    const record = { block, certificate: certify(block, swarm.nodes.slice(0, 3)) };
    for (const node of swarm.nodes.slice(0, 3)) await give(node, record, aggregate.header);
    const { ctx } = swarm.node(0);
    const member = ctx.chain.finalized.state.members.find((m) => m.fingerprint === author.identity.fingerprint);
    assert.deepEqual([ctx.chain.finalized.state.epoch, member?.status], [1, 'suspended']);
    assert.deepEqual(pendingEvidence(ctx, ctx.chain.finalized), []);
  });
});
