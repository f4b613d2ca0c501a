/** The steps to a final block over the nodes of a TestSwarm, with the votes signed by hand. */
import { average } from '../../src/epoch/average.ts';
import { draftBlock } from '../../src/epoch/blocks.ts';
import { judge } from '../../src/epoch/verdict.ts';
import type { Candidate } from '../../src/epoch/waitingBlocks.ts';
import type { Block, EntryId, Genesis, QuorumCertificate, Vote, VoteBody } from '../../src/spec/index.ts';
import { quorumOf, votersOf } from '../../src/state/index.ts';
import { type BlockRecord, signVote } from '../../src/wire/index.ts';
import { sorted, type TestNode, TestSwarm } from './epochWorld.ts';

export const wave = (i: number): Float32Array => Float32Array.from({ length: 8 }, (_, k) => Math.sin(1 + i + k));

/** A swarm whose members all know each other and have a quorum in reach: its steps are final. */
export function committee(nodes: number, genesis: Partial<Genesis> = {}): TestSwarm {
  const swarm = new TestSwarm({ nodes, genesis }).joined();
  for (const { ctx } of swarm.nodes) ctx.quorate = true;
  return swarm;
}

export const voteOf = (node: TestNode, body: Omit<VoteBody, 'voter'>): Vote =>
  signVote(node.swarm.id, { ...body, voter: node.identity.fingerprint }, node.identity);

/** Precommits, unless it is said otherwise, of these nodes for a block. */
export function certify(block: Block, nodes: readonly TestNode[], place: Partial<VoteBody> = {}): QuorumCertificate {
  const body = { epoch: block.header.epoch, round: 0, step: 'precommit', block: block.hash, ...place } as const;
  const votes = nodes.map((node) => voteOf(node, body)).sort((a, b) => (a.voter < b.voter ? -1 : 1));
  return { ...body, votes: votes.map(({ voter, signature }) => ({ voter, signature })) };
}

/** Each of these nodes says what it thinks of the average of this roster; then everyone knows. */
export async function judgeAll(swarm: TestSwarm, roster: readonly EntryId[], judges: readonly TestNode[] = swarm.nodes): Promise<void> {
  for (const { ctx } of judges) await judge(ctx, ctx.chain.finalized, await average(ctx, ctx.chain.finalized.state, sorted(roster)));
  swarm.share();
}

/** What a node would propose over its newest block. */
export const draftOf = async ({ ctx }: TestNode, roster: readonly EntryId[] = []): Promise<Candidate> =>
  draftBlock(ctx, ctx.chain.finalized, await average(ctx, ctx.chain.finalized.state, sorted(roster)));

/** Hands a final block to a node as peers do, without what the node itself may have worked out. */
export async function give(node: TestNode, record: BlockRecord, header: Candidate['aggregate']['header'] = undefined): Promise<void> {
  node.ctx.finals.add({ record, header: header ?? null }, node.ctx.chain.finalized.state.epoch);
  await node.apply();
}

/** One epoch to its end: verdicts, the first node's block, votes of a bare quorum; these nodes take it. */
export async function finalise(
  swarm: TestSwarm,
  roster: readonly EntryId[],
  takers: readonly TestNode[] = swarm.nodes,
): Promise<BlockRecord> {
  await judgeAll(swarm, roster);
  const { block, aggregate } = await draftOf(swarm.node(0), roster);
  const voters = votersOf(swarm.node(0).ctx.chain.finalized.state);
  const signers = swarm.nodes.filter((n) => voters.includes(n.identity.fingerprint)).slice(0, quorumOf(voters.length));
  const record = { block, certificate: certify(block, signers) };
  for (const node of takers) await give(node, record, aggregate.header);
  return record;
}

/** `epochs` blocks in which everyone's contribution is averaged. */
export async function grow(swarm: TestSwarm, epochs: number): Promise<BlockRecord[]> {
  const records: BlockRecord[] = [];
  for (let e = 0; e < epochs; e++)
    records.push(
      await finalise(swarm, await swarm.contribute(swarm.nodes.map((_, i) => wave(swarm.node(0).ctx.chain.head.state.epoch + i)))),
    );
  return records;
}
