import assert from 'node:assert/strict';
import { proposerOrder } from '../../../src/consensus/index.ts';
import { ownBeat } from '../../../src/epoch/beats.ts';
import { VotesInbox } from '../../../src/epoch/votesInbox.ts';
import { Voting } from '../../../src/epoch/voting.ts';
import {
  type Block,
  GOSSIP_MAX_BYTES,
  MAX_ROUNDS,
  type Proposal,
  type Verdict,
  type Vote,
  type VoteBody,
} from '../../../src/spec/index.ts';
import { votersOf } from '../../../src/state/index.ts';
import {
  decodeVotesBundle,
  encodeVotesBundle,
  encodeVotesMessage,
  signBeat,
  signProposal,
  signVote,
  type VotesMessage,
} from '../../../src/wire/index.ts';
import { identityOf, type TestNode, TestSwarm } from '../../support/epochWorld.ts';
import { certify, committee, draftOf, grow, voteOf } from '../../support/finalSteps.ts';

const said = (verdict: Verdict): string => (verdict.kind === 'accept' ? 'accept' : `${verdict.kind} ${verdict.code}`);
const OTHER = 'ab'.repeat(32);

/** Node 0 of four, over its first block, with a vote on epoch 2 that follows and signs nothing. */
async function setting() {
  const swarm = committee(4);
  await grow(swarm, 1);
  const node = swarm.node(0);
  const { ctx } = node;
  const ahead: string[] = [];
  const own: Vote[] = [];
  const decided: string[] = [];
  const voting = new Voting(ctx, ctx.chain.finalized, {
    decided: (_block, certificate) => decided.push(certificate.block ?? 'nil'),
    lacks: () => undefined,
    ownVote: (vote) => own.push(vote),
    failed: () => undefined,
  });
  const inbox = new VotesInbox(ctx, {
    voting: () => voting,
    ownBeat: () => ownBeat(ctx, 0),
    ahead: (one) => ahead.push(one),
    beatNews: () => undefined,
  });
  const from = swarm.node(1).peer;
  const tell = (message: VotesMessage): string => said(inbox.gossip(encodeVotesMessage(message), from));
  return { swarm, node, ctx, voting, inbox, tell, from, ahead, own, decided };
}

const place: Omit<VoteBody, 'voter'> = { epoch: 2, round: 0, step: 'prevote', block: OTHER };

/** The proposer of this round of epoch 2. */
function proposerOf(swarm: TestSwarm, round: number): TestNode {
  const { id, state } = swarm.node(0).ctx.chain.finalized;
  const order = proposerOrder(id, 2, votersOf(state));
  return swarm.nodes.find((n) => n.identity.fingerprint === order[round % order.length]) ?? assert.fail('a voter');
}

function proposalOf(swarm: TestSwarm, proposer: TestNode, block: Block, change: Partial<Proposal> = {}): Proposal {
  const body = { epoch: 2, round: 0, proposer: proposer.identity.fingerprint, block: block.hash, validRound: -1 };
  return signProposal(swarm.id, { ...body, content: block, prevotes: null, ...change }, proposer.identity);
}

describe('what comes for a vote', () => {
  it('is a vote of a voter, signed by it', async () => {
    const { swarm, tell, voting } = await setting();
    assert.equal(tell({ kind: 'vote', vote: voteOf(swarm.node(1), place) }), 'accept');
    const stranger = identityOf(77);
    assert.equal(tell({ kind: 'vote', vote: signVote(swarm.id, { ...place, voter: stranger.fingerprint }, stranger) }), 'reject NOT_VOTER');
    const vote = voteOf(swarm.node(2), place);
    for (const forged of [
      { ...vote, signature: new Uint8Array(64) },
      { ...vote, block: null },
      { ...vote, step: 'precommit' as const },
      { ...vote, round: 1 },
      { ...vote, voter: swarm.node(3).identity.fingerprint },
    ])
      assert.equal(tell({ kind: 'vote', vote: forged }), 'reject BAD_SIGNATURE');
    const elsewhere = signVote(OTHER, { ...place, voter: swarm.node(2).identity.fingerprint }, swarm.node(2).identity);
    assert.equal(tell({ kind: 'vote', vote: elsewhere }), 'reject BAD_SIGNATURE', 'of another swarm');
    voting.stop();
  });

  it('is passed on only where something can follow from it, and looked at no closer otherwise', async () => {
    const { swarm, tell, voting } = await setting();
    const by = (i: number, change: Partial<VoteBody>) => voteOf(swarm.node(i), { ...place, ...change });
    const forged = (vote: Vote) => ({ ...vote, signature: new Uint8Array(64) });
    assert.equal(tell({ kind: 'vote', vote: by(1, { round: MAX_ROUNDS }) }), 'reject BOUNDS_EXCEEDED');
    // Two values in one place count, and convict their voter; a third brings nothing.
    for (const [block, answer] of [
      [OTHER, 'accept'],
      ['cd'.repeat(32), 'accept'],
      ['ef'.repeat(32), 'ignore BOUNDS_EXCEEDED'],
    ] as const)
      assert.equal(tell({ kind: 'vote', vote: by(1, { block }) }), answer);
    assert.equal(tell({ kind: 'vote', vote: forged(by(1, { block: 'ef'.repeat(32) })) }), 'ignore BOUNDS_EXCEEDED', 'before its signature');
    // Of rounds to come the highest eight of a voter count.
    for (let round = 10; round < 18; round++) assert.equal(tell({ kind: 'vote', vote: by(2, { round }) }), 'accept');
    assert.equal(tell({ kind: 'vote', vote: by(2, { round: 9 }) }), 'ignore BOUNDS_EXCEEDED');
    assert.equal(tell({ kind: 'vote', vote: by(2, { round: 17 }) }), 'ignore DUPLICATE');
    assert.equal(tell({ kind: 'vote', vote: by(2, { round: 18 }) }), 'accept');
    // f + 1 voters are far ahead: this node goes there, and what they left behind is over.
    voting.begin(voting.base.id, []);
    for (const i of [2, 3]) assert.equal(tell({ kind: 'vote', vote: by(i, { round: 40 }) }), 'accept');
    assert.equal(voting.round, 40);
    assert.equal(tell({ kind: 'vote', vote: by(3, { round: 20 }) }), 'ignore BOUNDS_EXCEEDED');
    assert.equal(tell({ kind: 'vote', vote: by(3, { round: 24 }) }), 'accept');
    voting.stop();
  });

  it('is nothing new once the height is decided', async () => {
    const { swarm, tell, voting } = await setting();
    const { block } = await draftOf(swarm.node(0));
    const commit: VotesMessage = { kind: 'commit', certificate: certify(block, swarm.nodes.slice(1)) };
    voting.begin(voting.base.id, []);
    assert.equal(tell(commit), 'accept');
    assert.equal(tell(commit), 'ignore DUPLICATE');
    assert.equal(tell({ kind: 'proposal', proposal: proposalOf(swarm, proposerOf(swarm, 0), block) }), 'ignore EPOCH_PAST');
    voting.stop();
  });

  it('is no vote of a member that has none', async () => {
    const swarm = new TestSwarm({ nodes: 4, classes: ['core', 'core', 'core', 'edge'] }).joined();
    const { ctx } = swarm.node(0);
    const listener = { decided: () => undefined, lacks: () => undefined, ownVote: () => undefined, failed: () => undefined };
    const voting = new Voting(ctx, ctx.chain.finalized, listener);
    assert.equal(voting.voters.length, 3);
    const vote = (i: number) => said(voting.take({ kind: 'vote', vote: voteOf(swarm.node(i), { ...place, epoch: 1 }) }));
    assert.deepEqual([vote(1), vote(3)], ['accept', 'reject NOT_VOTER']);
    voting.stop();
  });

  it('of the past is nobody’s fault; of the future says who is ahead', async () => {
    const { swarm, tell, ahead } = await setting();
    assert.equal(tell({ kind: 'vote', vote: voteOf(swarm.node(1), { ...place, epoch: 1 }) }), 'ignore EPOCH_PAST');
    assert.deepEqual(ahead, []);
    assert.equal(tell({ kind: 'vote', vote: voteOf(swarm.node(1), { ...place, epoch: 3 }) }), 'ignore EPOCH_FAR');
    assert.deepEqual(ahead, [swarm.node(1).identity.fingerprint]);
  });

  it('is a proposal of the round’s proposer, once', async () => {
    const { swarm, tell, voting } = await setting();
    const { block } = await draftOf(swarm.node(0));
    const proposer = proposerOf(swarm, 0);
    const other = swarm.nodes.find((n) => n !== proposer) as TestNode;
    assert.equal(tell({ kind: 'proposal', proposal: proposalOf(swarm, other, block) }), 'reject BAD_PROPOSAL');
    const good = proposalOf(swarm, proposer, block);
    const { signature } = proposalOf(swarm, other, block);
    assert.equal(tell({ kind: 'proposal', proposal: { ...good, signature } }), 'reject BAD_SIGNATURE');
    assert.equal(tell({ kind: 'proposal', proposal: good }), 'accept');
    assert.equal(tell({ kind: 'proposal', proposal: good }), 'ignore DUPLICATE');
    assert.deepEqual(voting.blockOf(block.hash), block);
    voting.stop();
  });

  it('is a re-proposal with the prevotes of q voters, and with none other', async () => {
    const { swarm, tell, voting } = await setting();
    const { block } = await draftOf(swarm.node(0));
    const proposer = proposerOf(swarm, 1);
    const again = (change: Partial<Proposal>) =>
      tell({ kind: 'proposal', proposal: proposalOf(swarm, proposer, block, { round: 1, validRound: 0, ...change }) });
    const prevotes = certify(block, swarm.nodes.slice(0, 3), { step: 'prevote' });
    assert.equal(again({}), 'reject BAD_PROPOSAL', 'without its certificate');
    assert.equal(again({ prevotes: certify(block, swarm.nodes.slice(0, 3)) }), 'reject BAD_PROPOSAL', 'precommits');
    assert.equal(again({ prevotes: certify(block, swarm.nodes.slice(0, 3), { step: 'prevote', block: OTHER }) }), 'reject BAD_PROPOSAL');
    assert.equal(again({ prevotes: certify(block, swarm.nodes.slice(0, 2), { step: 'prevote' }) }), 'reject BAD_QUORUM', 'of two of four');
    const [first, ...rest] = prevotes.votes;
    const damaged = { ...prevotes, votes: [{ ...(first as (typeof prevotes.votes)[0]), signature: new Uint8Array(64) }, ...rest] };
    assert.equal(again({ prevotes: damaged }), 'reject BAD_QUORUM');
    assert.equal(again({ validRound: 1, prevotes }), 'reject BAD_PROPOSAL');
    assert.equal(again({ prevotes }), 'accept');
    voting.stop();
  });

  it('is a certificate that makes a block final, of q voters and of precommits', async () => {
    const { swarm, tell, decided } = await setting();
    const { block } = await draftOf(swarm.node(0));
    const commit = (nodes: readonly TestNode[], change: Partial<VoteBody> = {}) =>
      tell({ kind: 'commit', certificate: certify(block, nodes, change) });
    assert.equal(commit(swarm.nodes.slice(0, 2)), 'reject BAD_QUORUM');
    assert.equal(commit(swarm.nodes, { epoch: 1 }), 'ignore EPOCH_PAST');
    assert.equal(commit(swarm.nodes, { step: 'prevote' }), 'reject MALFORMED');
    assert.equal(commit(swarm.nodes, { block: null }), 'reject MALFORMED');
    assert.deepEqual(decided, []);
    assert.equal(commit(swarm.nodes.slice(1)), 'accept');
    assert.deepEqual(decided, [block.hash]);
  });

  it('is refused when it cannot be read or is too large, and nothing falls over', async () => {
    const { swarm, inbox, from } = await setting();
    for (const junk of [new Uint8Array(), Uint8Array.of(0xff), new Uint8Array(1_000).fill(0x9f)])
      assert.match(said(inbox.gossip(junk, from)), /^reject (MALFORMED|NON_CANONICAL)$/);
    assert.equal(said(inbox.gossip(new Uint8Array(GOSSIP_MAX_BYTES + 1), from)), 'reject TOO_LARGE');
    const far = encodeVotesMessage({ kind: 'vote', vote: voteOf(swarm.node(1), { ...place, round: MAX_ROUNDS + 1 }) });
    assert.equal(said(inbox.gossip(far, from)), 'reject MALFORMED');
    assert.throws(() => inbox.bundle(new Uint8Array(300 * 1024), from), { code: 'TOO_LARGE' });
    const bits = encodeVotesMessage({ kind: 'vote', vote: voteOf(swarm.node(1), place) });
    for (let bit = 0; bit < 8 * bits.length; bit++) {
      const flipped = Uint8Array.from(bits);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.notEqual(said(inbox.gossip(flipped, from)), 'accept', `bit ${bit}`);
    }
  });

  it('takes the good of a bundle beside the bad, and says what was bad', async () => {
    const { swarm, ctx, inbox, from, voting } = await setting();
    const lines: unknown[] = [];
    ctx.ports.journal.log = (_level, _room, _message, facts) => void lines.push(facts?.code);
    const good = voteOf(swarm.node(1), place);
    const bad = { ...voteOf(swarm.node(2), place), signature: new Uint8Array(64) };
    inbox.bundle(encodeVotesBundle([bad, good].map((vote) => ({ kind: 'vote', vote }))), from);
    assert.deepEqual(lines, ['BAD_SIGNATURE']);
    voting.begin(voting.base.id, []);
    const votes = voting.known().flatMap((m) => (m.kind === 'vote' ? [m.vote.voter] : []));
    assert.deepEqual(votes, [swarm.node(1).identity.fingerprint]);
    voting.stop();
  });

  it('knows an own vote that its log does not hold', async () => {
    const { swarm, tell, own, voting } = await setting();
    const vote = voteOf(swarm.node(0), place);
    assert.equal(tell({ kind: 'vote', vote }), 'accept');
    assert.deepEqual(
      own.map((v) => v.block),
      [OTHER],
    );
    voting.stop();
  });

  it('is a heartbeat: it counts for reach, and says who is ahead', async () => {
    const { swarm, ctx, tell, ahead } = await setting();
    const other = swarm.node(1);
    const { signature: _, ...body } = ownBeat(other.ctx, 0);
    const sign = (change: Partial<typeof body>) => signBeat(swarm.id, { ...body, ...change }, other.identity);
    assert.equal(ctx.reach.isHere(ctx.self), false);
    assert.equal(tell({ kind: 'beat', beat: sign({}) }), 'accept');
    assert.deepEqual([ctx.reach.isHere(other.identity.fingerprint), ahead], [true, []]);
    assert.equal(tell({ kind: 'beat', beat: sign({}) }), 'ignore DUPLICATE');
    assert.equal(tell({ kind: 'beat', beat: { ...sign({ seq: body.seq + 1 }), epoch: 9 } }), 'reject BAD_SIGNATURE');
    assert.equal(tell({ kind: 'beat', beat: sign({ seq: body.seq + 1, epoch: 9 }) }), 'accept');
    assert.deepEqual(ahead, [other.identity.fingerprint]);
  });

  it('is told to who asks: beats and the votes of the height, within what a bundle holds', async () => {
    const { swarm, inbox, from, voting, ctx } = await setting();
    for (const other of swarm.nodes.slice(1)) {
      ctx.reach.hear(ownBeat(other.ctx, 0));
      inbox.bundle(encodeVotesBundle([{ kind: 'vote', vote: voteOf(other, place) }]), from);
    }
    voting.begin(voting.base.id, []);
    const known = inbox.known();
    assert.deepEqual(known.map((m) => m.kind).sort(), ['beat', 'beat', 'beat', 'vote', 'vote', 'vote']);
    assert.equal(decodeVotesBundle(encodeVotesBundle(known)).length, 6);
    voting.stop();
  });
});
