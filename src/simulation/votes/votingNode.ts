import type { ProposalView, SavedVotes, Tendermint, TendermintConfig, TendermintEffect } from '../../consensus/index.ts';
import type { Random } from '../../learning/random.ts';
import { type BlockHash, type Fingerprint, type QuorumCertificate, VOTING, type VoteBody } from '../../spec/index.ts';
import { emptyBlock, isAcceptable, type Message, UNSIGNED } from './values.ts';

/** Messages of the next height that wait for this node to get there. */
const EARLY_MESSAGES = 256;
/** Proposals that a node retells, and heights it sends to one that is behind. */
const RETOLD_PROPOSALS = 2;
const SENT_HEIGHTS = 8;
/** Ms between a decision and the votes on the next block: least, and at most so much more. */
const PAUSE_MS = 60;
const PAUSE_SPREAD_MS = 60;

/** What a node can do and what it is asked, in the simulated world. */
export interface Surroundings {
  readonly voters: readonly Fingerprint[];
  readonly heights: number;
  readonly random: Random;
  after(delayMs: number, run: () => void): void;
  proposersOf(height: number): readonly Fingerprint[];
  /** What this node wants in its block, and how many ms after entering the height it has it. */
  offerOf(node: number, height: number): { readonly block: BlockHash; readonly afterMs: number };
  /** How long a node takes to check a block. */
  judgeMs(): number;
  newMachine(config: TendermintConfig, saved: SavedVotes | undefined): Tendermint;
  send(from: number, to: number, message: Message): void;
  broadcast(from: number, message: Message): void;
  /** Called before the world goes on: it may crash the node. */
  saved(node: VotingNode, vote: VoteBody): void;
  entered(node: VotingNode, round: number): void;
  decided(node: VotingNode, certificate: QuorumCertificate): void;
}

/** An honest node: the machine of its height, a disk, timers of its own pace, retelling. */
export class VotingNode {
  readonly index: number;
  /** On disk: one certificate a height. */
  readonly chain: QuorumCertificate[] = [];
  readonly #world: Surroundings;
  readonly #pace: number;
  readonly #self: Fingerprint;
  /** On disk. */
  #saved: SavedVotes | undefined;
  #machine: Tendermint | undefined;
  #offer: BlockHash | undefined;
  #proposals: ProposalView[] = [];
  #early: Message[] = [];
  #round = -1;
  /** Of its process; timers of an earlier one are void. */
  #life = 0;
  #isUp = false;

  /** `pace`: how much longer than meant its timers run. */
  constructor(index: number, world: Surroundings, pace: number) {
    this.index = index;
    this.#world = world;
    this.#pace = pace;
    this.#self = world.voters[index] as Fingerprint;
  }

  get height(): number {
    return this.chain.length + 1;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  start(): void {
    this.#isUp = true;
    const life = ++this.#life;
    const retell = (): void => {
      if (life !== this.#life) return;
      this.#retell();
      this.#world.after(VOTING.retellMs * this.#pace, retell);
    };
    this.#world.after(this.#world.random.uniform() * VOTING.retellMs, retell);
    this.#enter();
  }

  /** What is not on disk is gone. */
  crash(): void {
    this.#isUp = false;
    this.#life++;
    this.#machine = undefined;
    this.#early = [];
  }

  receive(from: number, message: Message): void {
    if (!this.#isUp) return;
    const { height } = message;
    if (height < this.height) {
      if (message.kind === 'retell')
        for (const certificate of this.chain.slice(height - 1, height - 1 + SENT_HEIGHTS))
          this.#world.send(this.index, from, { kind: 'commit', height: certificate.epoch, certificate });
      return;
    }
    if (height > this.height || this.#machine === undefined) {
      if (message.kind === 'commit' && height === this.height) this.#decided(message.certificate);
      else if (height <= this.height + 1 && this.#early.length < EARLY_MESSAGES) this.#early.push(message);
      return;
    }
    this.#take(this.#machine, message);
  }

  #take(machine: Tendermint, message: Message): void {
    if (message.kind === 'vote') this.#run(machine, machine.onVote(message.vote));
    else if (message.kind === 'proposal') this.#takeProposal(machine, message.proposal);
    else if (message.kind === 'commit') this.#run(machine, machine.onCertificate(message.certificate));
    else {
      for (const proposal of message.proposals) this.#takeProposal(machine, proposal);
      for (const vote of message.votes) if (machine === this.#machine) this.#run(machine, machine.onVote(vote));
    }
  }

  #takeProposal(machine: Tendermint, proposal: ProposalView): void {
    if (machine !== this.#machine) return;
    const isHeld = this.#proposals.some(
      (held) =>
        held === proposal || (held.round === proposal.round && held.block === proposal.block && held.validRound === proposal.validRound),
    );
    if (!isHeld) this.#proposals = [...this.#proposals, proposal].sort((a, b) => a.round - b.round).slice(-2 * RETOLD_PROPOSALS);
    this.#run(machine, machine.onProposal(proposal));
  }

  #retell(): void {
    const machine = this.#machine;
    if (machine === undefined || machine.step === 'new') return;
    const to = (this.index + 1 + this.#world.random.below(this.#world.voters.length)) % this.#world.voters.length;
    const proposals = this.#proposals.slice(-RETOLD_PROPOSALS);
    if (to !== this.index) this.#world.send(this.index, to, { kind: 'retell', height: this.height, proposals, votes: machine.votes() });
  }

  #enter(): void {
    const { height } = this;
    if (height > this.#world.heights) return;
    const world = this.#world;
    const config = { epoch: height, voters: world.voters, self: this.#self, proposers: world.proposersOf(height) };
    const machine = world.newMachine(config, this.#saved?.epoch === height ? this.#saved : undefined);
    this.#machine = machine;
    this.#offer = undefined;
    this.#proposals = [];
    this.#round = -1;
    this.#run(machine, machine.start());
    const { block, afterMs } = world.offerOf(this.index, height);
    this.#later(machine, afterMs, () => {
      this.#offer = block;
      return machine.offer(block);
    });
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.receive(this.index, message);
  }

  #later(machine: Tendermint, delayMs: number, act: () => readonly TendermintEffect[]): void {
    this.#world.after(delayMs, () => {
      if (machine === this.#machine) this.#run(machine, act());
    });
  }

  #run(machine: Tendermint, effects: readonly TendermintEffect[]): void {
    if (machine.round !== this.#round && machine === this.#machine) {
      this.#round = machine.round;
      this.#world.entered(this, machine.round);
    }
    for (const effect of effects) {
      if (machine !== this.#machine) return;
      if (effect.type === 'vote') this.#vote(machine, effect.vote);
      else if (effect.type === 'propose') this.#propose(machine, effect);
      else if (effect.type === 'timer') this.#later(machine, effect.afterMs * this.#pace, () => machine.onTimer(effect.step, effect.round));
      else if (effect.type === 'judge') this.#judge(machine, effect.block, effect.round, effect.validRound);
      else if (effect.type === 'decided') this.#decided(effect.certificate);
    }
    this.#offerEmpty(machine);
  }

  /** Nothing is ready and it is this node's turn: an empty block lets the others go on. */
  #offerEmpty(machine: Tendermint): void {
    if (this.#offer !== undefined || machine !== this.#machine || machine.step !== 'propose' || machine.round < VOTING.emptyFromRound)
      return;
    if (this.#world.proposersOf(this.height)[machine.round % this.#world.voters.length] !== this.#self) return;
    this.#offer = emptyBlock(this.height, this.index);
    this.#run(machine, machine.offer(this.#offer));
  }

  #vote(machine: Tendermint, body: VoteBody): void {
    this.#saved = machine.saved();
    this.#world.saved(this, body);
    if (machine !== this.#machine) return;
    const vote = { ...body, signature: UNSIGNED };
    this.#world.broadcast(this.index, { kind: 'vote', height: body.epoch, vote });
    this.#run(machine, machine.onVote(vote));
  }

  #propose(machine: Tendermint, effect: Extract<TendermintEffect, { type: 'propose' }>): void {
    const { round, block, validRound, prevotes } = effect;
    this.#saved = machine.saved();
    const proposal = { round, proposer: this.#self, block, validRound, prevotes };
    this.#world.broadcast(this.index, { kind: 'proposal', height: this.height, proposal });
    this.#takeProposal(machine, proposal);
  }

  #judge(machine: Tendermint, block: BlockHash, round: number, validRound: number): void {
    const { height } = this;
    this.#later(machine, this.#world.judgeMs(), () => machine.onJudged(block, round, isAcceptable(block, height, round, validRound)));
  }

  #decided(certificate: QuorumCertificate): void {
    this.#machine = undefined;
    this.#world.decided(this, certificate);
    this.chain.push(certificate);
    const next = this.#world.proposersOf(certificate.epoch)[certificate.round % this.#world.voters.length];
    if (next === this.#self) this.#world.broadcast(this.index, { kind: 'commit', height: certificate.epoch, certificate });
    const life = this.#life;
    const { height } = this;
    this.#world.after(PAUSE_MS + this.#world.random.uniform() * PAUSE_SPREAD_MS, () => {
      if (life === this.#life && height === this.height && this.#machine === undefined) this.#enter();
    });
  }
}
