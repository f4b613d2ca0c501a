import { quorumOf, type SavedVotes, Tendermint, type TendermintConfig, type TendermintEffect } from '../../../src/consensus/index.ts';
import type { BlockHash, QuorumCertificate, Vote, VoteStep } from '../../../src/spec/index.ts';

/** One machine, voter 0 of n unless told otherwise (null: no voter), whose proposers are the voters in order; and the hands that feed it. */
export class VotingRig {
  readonly config: TendermintConfig;
  readonly machine: Tendermint;
  /** All effects, in order. */
  readonly log: TendermintEffect[] = [];

  constructor(n: number, self: number | null = 0, saved?: SavedVotes) {
    const voters = Array.from({ length: n }, (_, i) => `v${i}`);
    this.config = { epoch: 1, voters, proposers: voters, self: self === null ? undefined : `v${self}` };
    this.machine = new Tendermint(this.config, saved);
  }

  /** What the machine asks for, its own votes and proposals fed back as a node does; everything is kept in `log`. */
  run(effects: readonly TendermintEffect[]): TendermintEffect[] {
    const all: TendermintEffect[] = [];
    for (const effect of effects) {
      this.log.push(effect);
      all.push(effect);
      if (effect.type === 'vote') all.push(...this.run(this.machine.onVote({ ...effect.vote, signature: new Uint8Array(0) })));
      if (effect.type === 'propose') all.push(...this.run(this.machine.onProposal({ ...effect, proposer: this.config.self as string })));
    }
    return all;
  }

  start(): TendermintEffect[] {
    return this.run(this.machine.start());
  }

  offer(block: BlockHash): TendermintEffect[] {
    return this.run(this.machine.offer(block));
  }

  judged(block: BlockHash, round: number, valid = true): TendermintEffect[] {
    return this.run(this.machine.onJudged(block, round, valid));
  }

  timer(step: 'propose' | VoteStep, round: number): TendermintEffect[] {
    return this.run(this.machine.onTimer(step, round));
  }

  certificate(certificate: QuorumCertificate): TendermintEffect[] {
    return this.run(this.machine.onCertificate(certificate));
  }

  /** The proposal of `round`, by whose turn it is, found valid at once unless `judge` is false. */
  propose(round: number, block: BlockHash, prevotes: QuorumCertificate | null = null, judge = true): TendermintEffect[] {
    const proposer = `v${round % this.config.voters.length}`;
    const effects = this.run(this.machine.onProposal({ round, proposer, block, validRound: prevotes?.round ?? -1, prevotes }));
    return judge ? [...effects, ...this.judged(block, round)] : effects;
  }

  vote(from: number, round: number, step: VoteStep, block: BlockHash | null): TendermintEffect[] {
    return this.run(this.machine.onVote(voteOf(from, round, step, block)));
  }

  votes(from: readonly number[], round: number, step: VoteStep, block: BlockHash | null): TendermintEffect[] {
    return from.flatMap((voter) => this.vote(voter, round, step, block));
  }

  /** What this node voted in a round and step; undefined for nothing. */
  said(round: number, step: VoteStep): BlockHash | null | undefined {
    const found = this.log.findLast((effect) => effect.type === 'vote' && effect.vote.round === round && effect.vote.step === step);
    return found?.type === 'vote' ? found.vote.block : undefined;
  }
}

export const voteOf = (from: number, round: number, step: VoteStep, block: BlockHash | null): Vote => ({
  epoch: 1,
  round,
  step,
  block,
  voter: `v${from}`,
  signature: new Uint8Array(0),
});

export const certificateOf = (round: number, step: VoteStep, block: BlockHash | null, from: readonly number[]): QuorumCertificate => ({
  epoch: 1,
  round,
  step,
  block,
  votes: from.map((voter) => ({ voter: `v${voter}`, signature: new Uint8Array(0) })),
});

/** Every quorum's worth of the first voters. */
export const firstQuorum = (n: number): number[] => Array.from({ length: quorumOf(n) }, (_, i) => i);

export const of = <T extends TendermintEffect['type']>(
  effects: readonly TendermintEffect[],
  type: T,
): Extract<TendermintEffect, { type: T }>[] =>
  effects.filter((effect): effect is Extract<TendermintEffect, { type: T }> => effect.type === type);
