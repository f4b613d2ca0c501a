/** Step 9, finalise: this node's part in the votes on one block (PROTOCOL section 7), around the pure machine. */
import { proposerOrder, verifyQuorum } from '../consensus/committee.ts';
import { Tendermint, type TendermintEffect } from '../consensus/tendermint.ts';
import { toHex } from '../crypto/index.ts';
import {
  ACCEPT,
  asStarlingError,
  type Block,
  type BlockHash,
  type DecisionId,
  type EntryId,
  type Fingerprint,
  ignore,
  MAX_ROUNDS,
  type Proposal,
  type QuorumCertificate,
  reject,
  type Verdict,
  type Vote,
} from '../spec/index.ts';
import { votersOf } from '../state/index.ts';
import { encodeVotesMessage, signProposal, signVote, type VotesMessage, verifyProposal, verifyVote, votesTopic } from '../wire/index.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';
import { Judgements } from './judgements.ts';
import { KeptProposals } from './keptProposals.ts';
import { Offers } from './offers.ts';
import { Timers } from './timers.ts';
import { loadProposal, loadVotes, saveProposal, saveVotes } from './voteLog.ts';
import type { Candidate } from './waitingBlocks.ts';

export interface VotingListener {
  /** q voters precommitted a block. `candidate` where this node has worked it out. */
  decided(block: Block | undefined, certificate: QuorumCertificate, candidate: Candidate | undefined): void;
  /** These entries, which a proposal stands on, are not here. */
  lacks(ids: readonly EntryId[], proposer: Fingerprint): void;
  /** A vote of this node's that its log does not hold. */
  ownVote(vote: Vote): void;
  /** What it signed could not be kept, and it has stopped. */
  failed(): void;
}

/** Votes of a voter that are remembered: two a round for more rounds than an honest height takes. */
const HEARD_A_VOTER = 32;

export class Voting {
  readonly base: Applied;
  readonly voters: readonly Fingerprint[];
  readonly #ctx: EpochContext;
  readonly #listener: VotingListener;
  readonly #machine: Tendermint;
  readonly #proposers: readonly Fingerprint[];
  readonly #timers: Timers;
  readonly #keys: ReadonlyMap<Fingerprint, { readonly ed25519PublicKey: Uint8Array; readonly mldsaPublicKey: Uint8Array }>;
  readonly #proposals: KeptProposals;
  readonly #candidates = new Map<BlockHash, Candidate>();
  readonly #judgements: Judgements;
  /** The newest votes of each voter whose signature was found good. */
  readonly #heard = new Map<Fingerprint, Map<string, Vote>>();
  /** Own votes, those of an earlier life included. */
  readonly #signed = new Set<string>();
  /** The round that an earlier life had reached: of those before, its log is forgotten. */
  readonly #firstRound: number;
  readonly #offers: Offers;
  #savedProposal: BlockHash | undefined;
  #proposedMs: number | undefined;
  #stopped = false;

  constructor(ctx: EpochContext, base: Applied, listener: VotingListener) {
    this.#ctx = ctx;
    this.base = base;
    this.#listener = listener;
    this.voters = votersOf(base.state);
    this.#keys = new Map(base.state.members.map((m) => [m.fingerprint, m]));
    this.#proposers = proposerOrder(base.id, this.epoch, this.voters);
    this.#timers = new Timers(ctx.ports.clock);
    const saved = loadVotes(ctx.ports.store, this.epoch);
    for (const vote of saved?.votes ?? []) this.#signed.add(placeOf(vote));
    this.#firstRound = saved?.round ?? 0;
    const kept = loadProposal(ctx.ports.store, this.epoch);
    this.#proposals = new KeptProposals(this.voters.length);
    if (kept !== undefined) this.#proposals.add(kept, kept.round, kept.block);
    this.#judgements = new Judgements(ctx, base, this.#proposals, this.#candidates, {
      judged: (block, round, valid) => this.#run(this.#machine.onJudged(block, round, valid)),
      lacks: (ids, proposer) => listener.lacks(ids, proposer),
    });
    this.#offers = new Offers(ctx, base, {
      due: () => (this.#isProposing ? this.round : undefined),
      isIn: (round) => !this.#stopped && this.round === round,
      offered: (candidate) => {
        this.#candidates.set(candidate.block.hash, candidate);
        this.#run(this.#machine.offer(candidate.block.hash));
      },
    });
    const self = ctx.mayVote && ctx.abstainEpoch !== this.epoch ? ctx.self : undefined;
    this.#machine = new Tendermint({ epoch: this.epoch, voters: this.voters, self, proposers: this.#proposers }, saved);
  }

  get epoch(): number {
    return this.base.state.epoch + 1;
  }

  get isVoter(): boolean {
    return this.voters.includes(this.#ctx.self);
  }

  get round(): number {
    return this.#machine.round;
  }

  /** Monotonic ms at which the first proposal of this height was held here. */
  get proposedMs(): number | undefined {
    return this.#proposedMs;
  }

  get isRunning(): boolean {
    return !this.#stopped && this.#machine.step !== 'new' && this.#machine.step !== 'decided';
  }

  stop(): void {
    this.#stopped = true;
    this.#timers.stop();
    this.#judgements.stop();
  }

  /**
   * This node's own roster over `base` is settled: it votes from now on, and offers this when it is its turn. One over another base is of
   * another height: what moves this one on and what settles rosters do not move at once.
   */
  begin(base: DecisionId, roster: readonly EntryId[]): void {
    if (base !== this.base.id) return;
    this.#offers.settle(roster);
    if (this.#machine.step === 'new' && !this.#stopped) this.#run(this.#machine.start());
    this.#offers.consider();
  }

  /** Entries or values have come: what waited for them may go on. */
  news(): void {
    if (this.#stopped) return;
    this.#judgements.news();
    this.#offers.consider();
  }

  /** Takes a verified-on-arrival message of this height. */
  take(message: VotesMessage): Verdict {
    if (message.kind === 'vote') return this.#takeVote(message.vote);
    if (message.kind === 'proposal') return this.#takeProposal(message.proposal);
    if (message.kind === 'commit') return this.#takeCertificate(message.certificate);
    return ignore('INTERNAL', 'a beat is not of a height');
  }

  /** All that is known of this height, for a peer that may have missed it. */
  known(): VotesMessage[] {
    if (!this.isRunning) return [];
    const bound = this.#machine.saved().valid?.block;
    const proposals = [...this.#proposals.of(this.round), ...(bound === undefined ? [] : [this.#proposals.find(bound)])];
    const newest = new Set(proposals.filter((proposal) => proposal !== undefined));
    return [
      ...[...newest].map((proposal): VotesMessage => ({ kind: 'proposal', proposal })),
      ...this.#machine.votes().map((vote): VotesMessage => ({ kind: 'vote', vote })),
    ];
  }

  /** What a voter said in this height, as far as heard: what it asks for when it starts. */
  votesOf(voter: Fingerprint): Vote[] {
    return [...(this.#heard.get(voter)?.values() ?? [])];
  }

  blockOf(hash: BlockHash): Block | undefined {
    return this.#proposals.blockOf(hash) ?? this.#candidates.get(hash)?.block;
  }

  get #isProposing(): boolean {
    const { round, step } = this.#machine;
    return !this.#stopped && step === 'propose' && this.#proposers[round % this.#proposers.length] === this.#ctx.self;
  }

  #takeVote(vote: Vote): Verdict {
    const keys = this.#keys.get(vote.voter);
    // [REJECT] only voters vote
    if (keys === undefined || !this.voters.includes(vote.voter))
      return reject('NOT_VOTER', `${vote.voter} is no voter of epoch ${this.epoch}`);
    const heard = this.#heard.get(vote.voter) ?? new Map<string, Vote>();
    const told = `${placeOf(vote)}/${toHex(vote.signature)}`;
    // [IGNORE] told before: retelling costs a look, not a signature check
    if (heard.has(told)) return ignore('DUPLICATE', 'the vote is known');
    // [REJECT] no honest vote gets that far
    if (vote.round >= MAX_ROUNDS) return reject('BOUNDS_EXCEEDED', `a vote of round ${vote.round}`);
    // [IGNORE] of a round that is long over, or more of a voter than counts; of an own one its log has to know
    if (vote.voter !== this.#ctx.self && !this.#machine.isNews(vote))
      return ignore('BOUNDS_EXCEEDED', `nothing follows from a vote of round ${vote.round}, the vote is in round ${this.round}`);
    // [REJECT] not signed by its voter
    if (!verifyVote(this.#ctx.swarm, vote, keys.ed25519PublicKey))
      return reject('BAD_SIGNATURE', `a vote of ${vote.voter} is not signed by it`);
    for (const oldest of heard.keys()) if (heard.size >= HEARD_A_VOTER) heard.delete(oldest);
    this.#heard.set(vote.voter, heard.set(told, vote));
    if (vote.voter === this.#ctx.self && vote.round >= this.#firstRound && !this.#signed.has(placeOf(vote))) this.#listener.ownVote(vote);
    this.#run(this.#machine.onVote(vote));
    return ACCEPT;
  }

  #takeProposal(proposal: Proposal): Verdict {
    const keys = this.#keys.get(proposal.proposer);
    // [REJECT] the round is another voter's
    if (keys === undefined || this.#proposers[proposal.round % this.#proposers.length] !== proposal.proposer)
      return reject('BAD_PROPOSAL', `round ${proposal.round} of epoch ${this.epoch} is not ${proposal.proposer}'s to propose`);
    // [IGNORE] the height is decided
    if (this.#machine.step === 'decided') return ignore('EPOCH_PAST', `epoch ${this.epoch} is decided`);
    // [IGNORE] of a round that is over, or that this node is far from: f + 1 votes bring it there first
    if (!this.#proposals.isNear(proposal, this.round))
      return ignore('BAD_PROPOSAL', `round ${proposal.round}, the vote is in round ${this.round}`);
    // [IGNORE] held already
    if (this.#proposals.has(proposal)) return ignore('DUPLICATE', 'the proposal is held');
    // [REJECT] not signed by both keys of its proposer
    if (!verifyProposal(this.#ctx.swarm, proposal, keys))
      return reject('BAD_SIGNATURE', `a proposal of ${proposal.proposer} is not signed by it`);
    // [REJECT] a block of another height
    if (proposal.content.header.epoch !== this.epoch) return reject('BAD_PROPOSAL', `a block of epoch ${proposal.content.header.epoch}`);
    if (proposal.prevotes !== null) {
      const problem = this.#problemOf(proposal.prevotes);
      // [REJECT] its certificate certifies nothing
      if (problem !== undefined || proposal.prevotes.block !== proposal.block || proposal.prevotes.round !== proposal.validRound)
        return reject('BAD_QUORUM', problem ?? 'the prevotes are of another block or round');
    }
    // [IGNORE] its proposer has made enough others for this round
    if (!this.#keep(proposal)) return ignore('BOUNDS_EXCEEDED', `round ${proposal.round} has too many proposals`);
    this.#run(this.#machine.onProposal(proposal));
    return ACCEPT;
  }

  #takeCertificate(certificate: QuorumCertificate): Verdict {
    // [IGNORE] the height is decided
    if (this.#machine.step === 'decided') return ignore('DUPLICATE', `epoch ${this.epoch} is decided`);
    const problem = this.#problemOf(certificate);
    // [REJECT] it certifies nothing
    if (problem !== undefined) return reject('BAD_QUORUM', problem);
    this.#run(this.#machine.onCertificate(certificate));
    return ACCEPT;
  }

  #problemOf(certificate: QuorumCertificate): string | undefined {
    if (certificate.epoch !== this.epoch) return `a certificate of epoch ${certificate.epoch}`;
    try {
      verifyQuorum(certificate, this.voters, (vote) =>
        verifyVote(this.#ctx.swarm, vote, this.#keys.get(vote.voter)?.ed25519PublicKey ?? new Uint8Array(32)),
      );
      return undefined;
    } catch (error) {
      return asStarlingError(error).message;
    }
  }

  #keep(proposal: Proposal): boolean {
    this.#proposedMs ??= this.#ctx.ports.clock.nowMs();
    return this.#proposals.add(proposal, this.round, this.#machine.saved().valid?.block);
  }

  /** A vote that cannot be kept is not sent: the disk may be full. The height is opened again from what the disk holds. */
  #run(effects: readonly TendermintEffect[]): void {
    try {
      this.#carryOut(effects);
    } catch (error) {
      this.stop();
      this.#ctx.ports.journal.log('error', 'epoch', 'this node cannot keep its votes; it tries again', {
        ...asStarlingError(error, { phase: 'finalise', fix: 'look at the disk of the data folder' }).toJSON(),
        epoch: this.epoch,
      });
      this.#listener.failed();
    }
  }

  #carryOut(effects: readonly TendermintEffect[]): void {
    for (const effect of effects) {
      if (this.#stopped) return;
      if (effect.type === 'timer') this.#setTimer(effect.step, effect.round, effect.afterMs);
      else if (effect.type === 'vote') this.#vote(effect);
      else if (effect.type === 'propose') this.#propose(effect);
      else if (effect.type === 'judge') this.#judgements.want(effect.block, effect.round, effect.validRound);
      else if (effect.type === 'evidence') this.#accuse(effect.first, effect.second);
      else this.#decided(effect.certificate);
    }
    this.#offers.consider();
  }

  #setTimer(step: string, round: number, afterMs: number): void {
    this.#timers.once(step, afterMs, () => this.#run(this.#machine.onTimer(step as Vote['step'], round)));
  }

  /** On disk before it is signed: after a crash this node never votes against itself. */
  #vote({ vote: body }: Extract<TendermintEffect, { type: 'vote' }>): void {
    this.#save();
    const vote = signVote(this.#ctx.swarm, body, this.#ctx.identity);
    this.#signed.add(placeOf(vote));
    this.#run(this.#machine.onVote(vote));
    this.#publish({ kind: 'vote', vote });
  }

  /** With the block that this node is bound to: whoever is locked on it may be the only one that still has it. */
  #save(): void {
    const { store } = this.#ctx.ports;
    const saved = this.#machine.saved();
    const proposal = saved.valid === null ? undefined : this.#proposals.find(saved.valid.block);
    if (proposal !== undefined && this.#savedProposal !== proposal.block) {
      saveProposal(store, proposal);
      this.#savedProposal = proposal.block;
    }
    saveVotes(store, saved);
  }

  #propose(effect: Extract<TendermintEffect, { type: 'propose' }>): void {
    const content = this.blockOf(effect.block);
    if (content === undefined) return;
    this.#save();
    const { round, block, validRound } = effect;
    const body = { epoch: this.epoch, round, proposer: this.#ctx.self, block, validRound };
    const proposal = signProposal(this.#ctx.swarm, { ...body, content, prevotes: effect.prevotes }, this.#ctx.identity);
    this.#keep(proposal);
    this.#publish({ kind: 'proposal', proposal });
    this.#run(this.#machine.onProposal(proposal));
  }

  #decided(certificate: QuorumCertificate): void {
    this.#timers.stop();
    const block = certificate.block === null ? undefined : this.blockOf(certificate.block);
    // One of them is enough to tell those who missed a vote; everyone else made it from the votes.
    if (this.#proposers[certificate.round % this.#proposers.length] === this.#ctx.self) this.#publish({ kind: 'commit', certificate });
    this.#listener.decided(block, certificate, this.#candidates.get(certificate.block ?? ''));
  }

  #accuse(first: Vote, second: Vote): void {
    if (!this.#ctx.evidence.add(first, second)) return;
    this.#ctx.ports.journal.log('warn', 'epoch', 'a voter signed two votes for one place', {
      code: 'EQUIVOCATION',
      voter: first.voter,
      epoch: first.epoch,
      round: first.round,
      step: first.step,
    });
  }

  #publish(message: VotesMessage): void {
    const { gossip, journal } = this.#ctx.ports;
    gossip.publish(votesTopic(this.#ctx.swarm), encodeVotesMessage(message)).catch((error: unknown) => {
      // A proposal that is too large for gossip goes out with the next telling.
      journal.log('debug', 'epoch', 'a vote message was not gossiped', asStarlingError(error).toJSON());
    });
  }
}

const placeOf = ({ round, step, block }: Pick<Vote, 'round' | 'step' | 'block'>): string => `${round}/${step}/${block}`;
