import {
  type BlockHash,
  type Fingerprint,
  MAX_ROUNDS,
  type QuorumCertificate,
  VOTING,
  type Vote,
  type VoteBody,
  type VoteStep,
} from '../spec/index.ts';
import { HeightVotes } from './heightVotes.ts';
import { HeldProposals, type ProposalView } from './heldProposals.ts';
import { faultsOf, quorumOf } from './quorum.ts';
import { VoteSet, votesOf } from './voteSet.ts';

export interface TendermintConfig {
  readonly epoch: number;
  readonly voters: readonly Fingerprint[];
  /** Undefined, or no voter: follows, signs nothing. */
  readonly self: Fingerprint | undefined;
  /** The proposer of round r is the (r mod n)-th. */
  readonly proposers: readonly Fingerprint[];
}

/** What a node must not forget, or it might sign against its own past: plain data for the caller to keep. */
export interface SavedVotes {
  readonly epoch: number;
  readonly round: number;
  readonly locked: { readonly round: number; readonly block: BlockHash } | null;
  readonly valid: { readonly round: number; readonly block: BlockHash; readonly certificate: QuorumCertificate } | null;
  /** Its own proposal of this round. */
  readonly proposed: { readonly block: BlockHash; readonly validRound: number } | null;
  /** Its own votes of this round, at most one a step; no vote is ever signed for an earlier one. */
  readonly votes: readonly { readonly round: number; readonly step: VoteStep; readonly block: BlockHash | null }[];
  /** What let it enter this round: votes that bring any node of an earlier one here too. Empty for round 0. */
  readonly entry: readonly Vote[];
}

export type TendermintEffect =
  /** The caller saves, signs, feeds it back through onProposal, sends. */
  | {
      readonly type: 'propose';
      readonly round: number;
      readonly validRound: number;
      readonly block: BlockHash;
      readonly prevotes: QuorumCertificate | null;
    }
  /** The caller saves `saved()` durably, signs, feeds it back through onVote, sends; in this order. */
  | { readonly type: 'vote'; readonly vote: VoteBody }
  | { readonly type: 'timer'; readonly step: 'propose' | VoteStep; readonly round: number; readonly afterMs: number }
  /** The caller checks the block for this round and answers onJudged, maybe much later. `validRound` >= 0: q voters prevoted it then. */
  | { readonly type: 'judge'; readonly round: number; readonly block: BlockHash; readonly validRound: number }
  /** Precommits of q voters for a block. */
  | { readonly type: 'decided'; readonly certificate: QuorumCertificate }
  /** Two votes of one voter for one place; once a voter. */
  | { readonly type: 'evidence'; readonly first: Vote; readonly second: Vote };

const NONE: readonly TendermintEffect[] = [];

const isBlock = (value: BlockHash | null | undefined): value is BlockHash => value !== null && value !== undefined;

/**
 * The voting machine of one height (arXiv:1807.04938, algorithm 1; height = epoch). Pure: what happened goes in, what is to
 * be done comes out. Beyond the paper: a voter counts for every value it signed, a re-proposal carries the prevotes it
 * rests on, a commit certificate alone decides, and a node enters the highest round that f + 1 voters have reached.
 * Signatures are the caller's to verify, and the blocks of `saved().locked` and `.valid` the caller's to keep.
 */
export class Tendermint {
  readonly #config: TendermintConfig;
  readonly #quorum: number;
  readonly #isVoter: boolean;
  readonly #votes: HeightVotes;
  readonly #proposals: HeldProposals;
  #round: number;
  #step: 'new' | 'propose' | VoteStep | 'decided' = 'new';
  #locked: SavedVotes['locked'];
  #valid: SavedVotes['valid'];
  #proposed: SavedVotes['proposed'];
  #own: SavedVotes['votes'];
  #entry: readonly Vote[];
  #offer: BlockHash | undefined;
  /** Steps of this round whose timer runs. */
  #timed = new Set<VoteStep>();
  #effects: TendermintEffect[] = [];

  constructor(config: TendermintConfig, saved?: SavedVotes) {
    this.#config = config;
    this.#quorum = quorumOf(config.voters.length);
    this.#isVoter = config.self !== undefined && config.voters.includes(config.self);
    this.#votes = new HeightVotes(config.epoch, config.voters, () => this.newVoteSet(config.voters.length));
    this.#proposals = new HeldProposals(config.proposers);
    this.#round = saved?.round ?? 0;
    this.#locked = saved?.locked ?? null;
    this.#valid = saved?.valid ?? null;
    this.#proposed = saved?.proposed ?? null;
    this.#own = saved?.votes ?? [];
    this.#entry = saved?.entry ?? [];
    this.#votes.advance(this.#round);
    for (const vote of this.#entry) this.#votes.add(vote);
  }

  get round(): number {
    return this.#round;
  }

  get step(): 'new' | 'propose' | VoteStep | 'decided' {
    return this.#step;
  }

  /**
   * Enters round 0, or the one it was in before a crash: then it repeats what it said in it. Before, it does so by itself once a block
   * of that round is found acceptable here, f + 1 voters stand on one, or as many are in later rounds. No other proposal begins the
   * height: a liar's would let its rounds pass while honest nodes have nothing to propose yet.
   */
  start(): readonly TendermintEffect[] {
    if (this.#step !== 'new') return NONE;
    this.#begin();
    return this.#settle();
  }

  /** What this node proposes when it is its turn and no earlier block must be proposed again. A later offer replaces it. */
  offer(block: BlockHash): readonly TendermintEffect[] {
    this.#offer = block;
    return this.#settle();
  }

  /** Its signature, and that of every vote in `prevotes`, is verified. */
  onProposal(proposal: ProposalView): readonly TendermintEffect[] {
    const { round, block } = proposal;
    if (this.#step === 'decided' || !this.#proposals.add(proposal, this.#round, this.#supporters(round, block))) return NONE;
    if (this.#step === 'new' && proposal.prevotes !== null) this.#countCertificate(proposal.prevotes);
    if (round === this.#round) this.#takeProposals();
    return this.#settle();
  }

  /** The caller's answer to `judge`. A block that was acceptable once stays so. */
  onJudged(block: BlockHash, round: number, valid: boolean): readonly TendermintEffect[] {
    this.#proposals.judged(block, round, valid);
    return this.#settle();
  }

  /** Whether `onVote` could make anything of it: what brings nothing is not worth a look at its signature. */
  isNews(vote: VoteBody): boolean {
    return this.#votes.isNews(vote);
  }

  /** Its signature is verified. */
  onVote(vote: Vote): readonly TendermintEffect[] {
    return this.#votes.add(vote) ? this.#settle() : this.#takeEffects();
  }

  /** Verified by `verifyQuorum`. Precommits for a block decide at any time; prevotes count as its votes do. */
  onCertificate(certificate: QuorumCertificate): readonly TendermintEffect[] {
    const { epoch, round, step, block } = certificate;
    if (epoch !== this.#config.epoch || round >= MAX_ROUNDS || this.#step === 'decided') return NONE;
    if (step === 'precommit' && block !== null) this.#decide(certificate);
    else this.#countCertificate(certificate);
    return this.#settle();
  }

  onTimer(step: 'propose' | VoteStep, round: number): readonly TendermintEffect[] {
    if (round !== this.#round || this.#step === 'new' || this.#step === 'decided') return NONE;
    if (step === 'precommit') this.#enter(round + 1, this.#votes.at(round).precommit.votes());
    else if (step === this.#step) this.#vote(step === 'propose' ? 'prevote' : 'precommit', null);
    return this.#settle();
  }

  /** To be durable before anything that this node signs leaves it. */
  saved(): SavedVotes {
    return {
      epoch: this.#config.epoch,
      round: this.#round,
      locked: this.#locked,
      valid: this.#valid,
      proposed: this.#proposed,
      votes: this.#own,
      entry: this.#entry,
    };
  }

  /**
   * What a peer needs to catch up with this node: the votes of its round, those that let it in, and those that its valid block
   * rests on. Beside these, the caller retells the proposals of the height.
   */
  votes(): readonly Vote[] {
    const { prevote, precommit } = this.#votes.at(this.#round);
    const valid = this.#valid === null || this.#valid.round === this.#round ? [] : votesOf(this.#valid.certificate);
    return [...valid, ...this.#entry.filter((vote) => vote.round !== this.#round), ...prevote.votes(), ...precommit.votes()];
  }

  /** Whether the lock lets this node prevote a block that q voters prevoted in `validRound`, -1 for never. */
  protected lockAllows(locked: SavedVotes['locked'], block: BlockHash, validRound: number): boolean {
    return locked === null || locked.block === block || locked.round <= validRound;
  }

  /** What a re-proposal of the valid block carries. */
  protected proofOf(valid: NonNullable<SavedVotes['valid']>): QuorumCertificate | null {
    return valid.certificate;
  }

  /** The tally of one step of one round. */
  protected newVoteSet(voters: number): VoteSet {
    return new VoteSet(voters);
  }

  // --- the rules, line numbers of algorithm 1 -----------------------------------------------------------------

  /** Applies every rule until none has anything to say. */
  #settle(): readonly TendermintEffect[] {
    this.#learn();
    if (this.#step === 'new' && this.#isUnderWay()) this.#begin();
    while (this.#step !== 'new' && this.#step !== 'decided') {
      const [round, step] = [this.#round, this.#step];
      const skip = this.#votes.skip();
      if (skip !== undefined) this.#enter(skip.round, skip.votes);
      this.#propose();
      if (this.#step === 'propose') this.#prevote();
      if (this.#step === 'prevote') this.#precommit();
      this.#startTimers();
      if (round === this.#round && step === this.#step) break;
      this.#learn();
    }
    return this.#takeEffects();
  }

  /** What the votes of every round known say. */
  #learn(): void {
    for (const round of this.#votes.rounds()) {
      if (this.#step === 'decided') return;
      const { prevote, precommit } = this.#votes.at(round);
      if (isBlock(precommit.reached)) this.#decide(precommit.certificate(precommit.reached));
      if (isBlock(prevote.reached) && round > (this.#valid?.round ?? -1)) this.#learnValid(round, prevote.reached, prevote);
    }
  }

  /** 36, for a round that may be past: the newest block that q voters prevoted is the one to propose. */
  #learnValid(round: number, block: BlockHash, prevotes: VoteSet): void {
    const certificate = prevotes.certificate(block);
    if (certificate !== undefined && this.#proposals.isValid(block)) this.#valid = { round, block, certificate };
    // Its quorum answers what this node may have held against the block in its round.
    else if (this.#step !== 'new' && this.#proposals.ask(block, round, round))
      this.#effects.push({ type: 'judge', round, block, validRound: round });
  }

  /** Whether an honest voter must have begun: one found a block acceptable, or has come to a later round, to which q voters went. */
  #isUnderWay(): boolean {
    const isValid = this.#proposals.of(this.#round).some(({ block }) => this.#proposals.isValid(block));
    return isValid || this.#votes.hasSupport() || this.#votes.skip() !== undefined;
  }

  #begin(): void {
    this.#step = 'propose';
    for (const { round, step, block } of this.#own) {
      this.#step = step;
      this.#emitVote(round, step, block);
    }
    if (this.#step === 'propose') this.#setTimer('propose');
    this.#repropose();
    this.#takeProposals();
  }

  /** 11 and 55. */
  #enter(round: number, entry: readonly Vote[]): void {
    if (round >= MAX_ROUNDS) return;
    this.#round = round;
    this.#step = 'propose';
    this.#entry = entry;
    this.#own = [];
    this.#proposed = null;
    this.#timed = new Set();
    this.#proposals.advance(round, [this.#locked?.block, this.#valid?.block]);
    this.#votes.advance(round);
    this.#setTimer('propose');
    this.#takeProposals();
  }

  /** 14. */
  #propose(): void {
    if (!this.#isVoter || this.#step !== 'propose' || this.#proposed !== null || this.#proposer() !== this.#config.self) return;
    const block = this.#valid?.block ?? this.#offer;
    if (block === undefined) return;
    this.#proposed = { block, validRound: this.#valid?.round ?? -1 };
    this.#repropose();
  }

  /** Says what this node has decided to propose in this round. */
  #repropose(): void {
    if (this.#proposed === null) return;
    const { block, validRound } = this.#proposed;
    // A newer quorum has come since: the certificate of the older one is gone, and so is this turn.
    if (validRound >= 0 && this.#valid?.round !== validRound) return;
    const prevotes = this.#valid !== null && validRound >= 0 ? this.proofOf(this.#valid) : null;
    this.#effects.push({ type: 'propose', round: this.#round, validRound, block, prevotes });
  }

  /** 22 and 28. */
  #prevote(): void {
    const choice = this.#choice();
    if (choice !== undefined) this.#vote('prevote', choice);
  }

  /** What to prevote by the first proposal of this round that there is something to say about; undefined while there is none. */
  #choice(): BlockHash | null | undefined {
    for (const { block, validRound, refused } of this.#proposals.of(this.#round)) {
      if (validRound >= 0 && !this.#votes.at(validRound).prevote.isQuorum(block)) continue;
      const allowed = this.lockAllows(this.#locked, block, validRound);
      if (allowed && this.#proposals.isValid(block)) return block;
      if (!allowed || refused) return null;
    }
    return undefined;
  }

  /** 36 and 44. */
  #precommit(): void {
    const block = this.#votes.at(this.#round).prevote.reached;
    if (block === null) this.#vote('precommit', null);
    if (!isBlock(block) || !this.#proposals.isValid(block)) return;
    this.#locked = { round: this.#round, block };
    this.#vote('precommit', block);
  }

  /** 34 and 47: q voters have spoken, whatever they said. */
  #startTimers(): void {
    const { prevote, precommit } = this.#votes.at(this.#round);
    if (this.#step === 'prevote' && prevote.voters >= this.#quorum) this.#setTimer('prevote');
    if (precommit.voters >= this.#quorum) this.#setTimer('precommit');
  }

  /** 49, of whatever round: the proposal need not be here. */
  #decide(certificate: QuorumCertificate | undefined): void {
    if (certificate === undefined) return;
    this.#step = 'decided';
    this.#effects.push({ type: 'decided', certificate });
  }

  // --- helpers ------------------------------------------------------------------------------------------------

  #vote(step: VoteStep, block: BlockHash | null): void {
    this.#step = step;
    this.#own = [...this.#own, { round: this.#round, step, block }];
    this.#emitVote(this.#round, step, block);
  }

  #emitVote(round: number, step: VoteStep, block: BlockHash | null): void {
    const { epoch, self } = this.#config;
    if (this.#isVoter && self !== undefined) this.#effects.push({ type: 'vote', vote: { epoch, round, step, block, voter: self } });
  }

  #setTimer(step: 'propose' | VoteStep): void {
    if (step !== 'propose') {
      if (this.#timed.has(step)) return;
      this.#timed.add(step);
    }
    const first = { propose: VOTING.proposeMs, prevote: VOTING.prevoteMs, precommit: VOTING.precommitMs }[step];
    const afterMs = Math.min(VOTING.maxMs, first + VOTING.stepMs * this.#round);
    this.#effects.push({ type: 'timer', step, round: this.#round, afterMs });
  }

  /** Proposals of the round now current: their certificates count, and their blocks are to be judged. */
  #takeProposals(): void {
    for (const { round, block, validRound, prevotes } of this.#proposals.of(this.#round)) {
      if (prevotes !== null) this.#countCertificate(prevotes);
      if (this.#proposals.ask(block, round, validRound)) this.#effects.push({ type: 'judge', round, block, validRound });
    }
  }

  /** Votes of q voters for a later round bring this node there, as those of f + 1 do. */
  #countCertificate(certificate: QuorumCertificate): void {
    const votes = votesOf(certificate);
    if (certificate.round > this.#round && this.#step !== 'new') this.#enter(certificate.round, votes);
    for (const vote of votes) this.#votes.add(vote, true);
  }

  #proposer(): Fingerprint | undefined {
    return this.#config.proposers[this.#round % this.#config.proposers.length];
  }

  /** Whether an honest voter stands on the block in this round. */
  #supporters(round: number, block: BlockHash): boolean {
    return this.#votes.at(round).prevote.count(block) > faultsOf(this.#config.voters.length);
  }

  #takeEffects(): readonly TendermintEffect[] {
    for (const { first, second } of this.#votes.takeConflicts()) this.#effects.push({ type: 'evidence', first, second });
    if (this.#effects.length === 0) return NONE;
    const taken = this.#effects;
    this.#effects = [];
    return taken;
  }
}
