/** Valid values of everything that a committee says, signed by Alice. */
import type { Beat, Block, Checkpoint, Evidence, Invite, QuorumCertificate, Vote, VoteBody } from '../../../src/spec/index.ts';
import { type BlockRecord, makeBlock, makeInvite, signBeat, signProposal, signVote } from '../../../src/wire/index.ts';
import { alice, drop, id } from './samples.ts';

export const SWARM = id(0x10);
const node = alice.fingerprint;

export const invite: Invite = makeInvite(
  { swarm: SWARM, nodeClass: 'relay', vote: true, expiresMs: 1_800_000_000_000, uses: 3, nonce: '0f'.repeat(16) },
  alice,
);

export const vote = (change: Partial<VoteBody> = {}): Vote =>
  signVote(SWARM, { epoch: 7, round: 1, step: 'precommit', block: id(0x70), voter: node, ...change }, alice);

export const doubleVote: Evidence = { first: vote({ block: null }), second: vote() };
export const otherDoubleVote: Evidence = {
  first: vote({ round: 2, step: 'prevote', block: id(0x71) }),
  second: vote({ round: 2, step: 'prevote', block: id(0x72) }),
};

export const block: Block = makeBlock(
  {
    v: 1,
    swarm: SWARM,
    epoch: 7,
    prev: id(0x20),
    treeSize: 70_000,
    treeRoot: id(0x80),
    aggregateHash: id(0x50),
    modelRoot: id(0x82),
    stateRoot: id(0x83),
    votersHash: id(0x84),
    nextVotersHash: id(0x85),
    timeMs: 1_700_000_000_001,
  },
  {
    tips: [id(0x43), id(0x44)],
    roster: [id(0x41), id(0x42)],
    weights: [65_535, 1],
    evidence: [doubleVote, otherDoubleVote],
    dropped: [drop],
  },
);

/** Votes of `voters` for the block; only Alice's own would verify. */
export const quorum = (change: Partial<QuorumCertificate> = {}, voters = [id(0x01), id(0x02), node]): QuorumCertificate => ({
  epoch: 7,
  round: 1,
  step: 'precommit',
  block: block.hash,
  votes: voters.map((voter) => ({ voter, signature: vote({ block: block.hash, voter }).signature })),
  ...change,
});

export const record: BlockRecord = { block, certificate: quorum() };

const proposalBody = { epoch: 7, proposer: node, block: block.hash, content: block } as const;
export const proposal = signProposal(SWARM, { ...proposalBody, round: 0, validRound: -1, prevotes: null }, alice);
export const reproposal = signProposal(SWARM, { ...proposalBody, round: 3, validRound: 1, prevotes: quorum({ step: 'prevote' }) }, alice);

export const beat: Beat = signBeat(
  SWARM,
  { node, seq: 1_700_000_000_002, epoch: 7, block: block.hash, treeRoot: id(0x80), modelRoot: id(0x82) },
  alice,
);

export const checkpoint: Checkpoint = { swarm: SWARM, epoch: 7, treeSize: 70_000, treeRoot: id(0x80), modelRoot: id(0x82) };
