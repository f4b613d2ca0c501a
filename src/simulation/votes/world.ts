import { proposerOrder, quorumOf, type SavedVotes, Tendermint, type TendermintConfig, verifyQuorum } from '../../consensus/index.ts';
import { Random } from '../../learning/random.ts';
import type { BlockHash, Fingerprint, QuorumCertificate, VoteBody } from '../../spec/index.ts';
import { EventQueue } from './eventQueue.ts';
import { Liar } from './liars.ts';
import { type Fault, sidesOf, type VotesPlan } from './plan.ts';
import { blockOf, isNonEmpty, type Message } from './values.ts';
import { type Surroundings, VotingNode } from './votingNode.ts';

/** Virtual ms after the last fault, and after each height from then on, within which every honest node has the next block. */
export const FINISH_MS = 60_000;
/** Events: a run that needs more goes round in circles. */
const MAX_EVENTS = 20_000_000;
/** How much longer than meant the timers of a node run: cheap clocks drift far less, suspended and loaded machines more. */
const PACES = { least: 0.8, spread: 0.45 };

export type Machines = (config: TendermintConfig, saved?: SavedVotes) => Tendermint;

/** How one run ended. */
export interface VotesOutcome {
  /** Pairs of blocks decided at one height, and votes that an honest node signed against its own. Nothing but faulty code makes one. */
  readonly conflicts: readonly string[];
  /** Heights that not every honest node had in time; empty for a run that finished. */
  readonly unfinished: readonly number[];
  /** Heights entered after the last fault, and how many of them got a block that is not empty. */
  readonly healed: number;
  readonly nonEmpty: number;
  /** Longest that a height took after the last fault, virtual ms. */
  readonly slowestMs: number;
  readonly highestRound: number;
}

/** The votes-only world of one run: n nodes, virtual time, a network that loses, repeats and reorders, faults, liars. */
export class VotesWorld implements Surroundings {
  readonly voters: readonly Fingerprint[];
  readonly heights: number;
  readonly random: Random;
  readonly #plan: VotesPlan;
  readonly #machines: Machines;
  readonly #queue = new EventQueue();
  readonly #nodes = new Map<number, VotingNode>();
  readonly #liars: readonly Liar[];
  readonly #orders: (readonly Fingerprint[])[] = [];
  readonly #conflicts: string[] = [];
  readonly #decisions = new Map<number, BlockHash>();
  /** Every vote an honest node signed, by place. */
  readonly #signed = new Map<string, BlockHash | null>();
  readonly #rounds = new Map<number, number>();
  readonly #enteredMs: number[] = [];
  readonly #finishedMs: number[] = [];
  readonly #waiting: Set<Fault>;
  #sides: readonly number[] | undefined;
  #lossyUntilMs = 0;
  /** Nodes that stop at their next vote, and for how long. */
  readonly #armed = new Map<number, number>();
  #lastFaultMs = 0;
  #highestRound = 0;

  constructor(plan: VotesPlan, machines: Machines = (config, saved) => new Tendermint(config, saved)) {
    this.#plan = plan;
    this.#machines = machines;
    this.heights = plan.heights;
    this.random = Random.from('votes world', plan.seed);
    this.voters = Array.from({ length: plan.nodes }, (_, i) => i.toString(16).padStart(64, '0'));
    this.#waiting = new Set(plan.faults);
    const honest: number[] = [];
    for (let i = 0; i < plan.nodes; i++) if (!plan.liars.has(i)) honest.push(i);
    for (const i of honest) this.#nodes.set(i, new VotingNode(i, this, PACES.least + PACES.spread * this.random.uniform()));
    const conspiracy = {
      voters: this.voters,
      quorum: quorumOf(plan.nodes),
      liars: [...plan.liars.keys()],
      honest,
      random: this.random,
      proposersOf: (height: number) => this.proposersOf(height),
      tell: (from: number, to: number, message: Message, delayMs: number) =>
        this.#queue.after(delayMs, () => this.#nodes.get(to)?.receive(from, message)),
    };
    this.#liars = [...plan.liars].map(([index, kind]) => new Liar(kind, index, conspiracy));
  }

  run(): VotesOutcome {
    for (const node of this.#nodes.values()) this.#queue.after(this.random.uniform() * 50, () => node.start());
    for (let events = 0; events < MAX_EVENTS && this.#finishedMs.length < this.heights && !this.#isLate(); events++)
      if (!this.#queue.step()) break;
    const done = this.#finishedMs.length;
    const late = Array.from({ length: this.heights - done }, (_, i) => done + 1 + i);
    const healed = this.#enteredMs.flatMap((ms, i) => (ms >= this.#lastFaultMs && i < done ? [i + 1] : []));
    return {
      conflicts: this.#conflicts,
      unfinished: late,
      healed: healed.length,
      nonEmpty: healed.filter((height) => isNonEmpty(this.#decisions.get(height) ?? '')).length,
      slowestMs: Math.max(0, ...this.#finishedMs.map((ms, i) => ms - Math.max(this.#lastFaultMs, this.#finishedMs[i - 1] ?? 0))),
      highestRound: this.#highestRound,
    };
  }

  #isLate(): boolean {
    const since = Math.max(this.#lastFaultMs, this.#finishedMs.at(-1) ?? 0);
    return this.#queue.nowMs > since + FINISH_MS;
  }

  // --- what nodes ask ---------------------------------------------------------------------------------------------

  after(delayMs: number, run: () => void): void {
    this.#queue.after(delayMs, run);
  }

  proposersOf(height: number): readonly Fingerprint[] {
    this.#orders[height] ??= proposerOrder(this.#plan.seed.toString(16).padStart(64, '0'), height, this.voters);
    return this.#orders[height];
  }

  offerOf(node: number, height: number): { block: BlockHash; afterMs: number } {
    const isDiscord = this.random.uniform() < this.#plan.discord;
    const afterMs = this.random.uniform() < (this.#isFaulty() ? 0.1 : 0.01) ? this.random.uniform() * 5_000 : this.random.uniform() * 20;
    return { block: blockOf(height, isDiscord ? `of${node}` : 'common'), afterMs };
  }

  judgeMs(): number {
    return this.#isFaulty() && this.random.uniform() < 0.1 ? this.random.uniform() * 3_000 : this.random.uniform() * 10;
  }

  newMachine(config: TendermintConfig, saved: SavedVotes | undefined): Tendermint {
    return this.#machines(config, saved);
  }

  // --- network ----------------------------------------------------------------------------------------------------

  broadcast(from: number, message: Message): void {
    for (const liar of this.#liars) liar.onSaid(message);
    for (const to of this.#nodes.keys()) if (to !== from) this.send(from, to, message);
  }

  send(from: number, to: number, message: Message): void {
    const node = this.#nodes.get(to);
    if (node === undefined) return;
    const { loss, duplicates, delayMs } = this.#plan;
    const lost = this.#queue.nowMs < this.#lossyUntilMs ? 0.5 : this.#isFaulty() ? loss : loss / 4;
    if (this.random.uniform() < lost) return;
    for (let copies = this.random.uniform() < duplicates ? 2 : 1; copies > 0; copies--) {
      const slow = this.random.uniform() < 0.02 ? 10 : 1;
      this.#queue.after(1 - delayMs * slow * Math.log(1 - this.random.uniform()), () => {
        if (this.#sides === undefined || this.#sides[from] === this.#sides[to]) node.receive(from, message);
      });
    }
  }

  // --- what happens -----------------------------------------------------------------------------------------------

  entered(node: VotingNode, round: number): void {
    const { height } = node;
    this.#highestRound = Math.max(this.#highestRound, round);
    if ((this.#rounds.get(height) ?? -1) >= round) return;
    this.#rounds.set(height, round);
    this.#enteredMs[height - 1] ??= this.#queue.nowMs;
    for (const liar of this.#liars) liar.onRound(height, round);
    this.#trigger('entered', node);
  }

  saved(node: VotingNode, { epoch, round, step, block }: VoteBody): void {
    const place = `${node.index}/${epoch}/${round}/${step}`;
    const earlier = this.#signed.get(place);
    if (earlier !== undefined && earlier !== block) this.#conflicts.push(`node ${node.index} signed ${earlier} and ${block} at ${place}`);
    this.#signed.set(place, block);
    const downMs = this.#armed.get(node.index);
    if (downMs !== undefined) {
      this.#armed.delete(node.index);
      this.#crash(node, downMs);
    } else if (step === 'precommit' && block !== null) this.#trigger('locked', node);
  }

  decided(node: VotingNode, certificate: QuorumCertificate): void {
    const { epoch, block, step } = certificate;
    verifyQuorum(certificate, this.voters, () => true);
    if (epoch !== node.height || step !== 'precommit' || block === null)
      this.#conflicts.push(`node ${node.index} took ${epoch} for ${node.height}`);
    const first = this.#decisions.get(epoch) ?? block;
    if (first !== block) this.#conflicts.push(`${first} and ${block} are decided at height ${epoch}`);
    if (first !== null) this.#decisions.set(epoch, first);
    this.#trigger('decided', node);
    let least = epoch;
    for (const other of this.#nodes.values()) if (other !== node) least = Math.min(least, other.chain.length);
    while (this.#finishedMs.length < least) this.#finishedMs.push(this.#queue.nowMs);
  }

  // --- faults -----------------------------------------------------------------------------------------------------

  #isFaulty(): boolean {
    return this.#waiting.size > 0 || this.#queue.nowMs < this.#lastFaultMs;
  }

  #trigger(when: Fault['when'], node: VotingNode): void {
    if (this.#waiting.size === 0) return;
    for (const fault of this.#waiting) {
      // A height that was passed without what the fault waited for is past.
      if (fault.height > node.height || (fault.height === node.height && fault.when !== when)) continue;
      this.#waiting.delete(fault);
      this.#lastFaultMs = Math.max(this.#lastFaultMs, this.#queue.nowMs + fault.afterMs + fault.lengthMs);
      this.#queue.after(fault.afterMs, () => this.#strike(fault, node));
    }
  }

  #strike(fault: Fault, node: VotingNode): void {
    const { kind, lengthMs } = fault;
    if (kind === 'crash') this.#crash(node, lengthMs);
    else if (kind === 'crashUnsent') this.#armed.set(node.index, lengthMs);
    else if (kind === 'crashAll') for (const each of this.#nodes.values()) this.#crash(each, lengthMs * this.random.uniform());
    else if (kind === 'lossy') this.#lossyUntilMs = this.#queue.nowMs + lengthMs;
    else {
      const sides = sidesOf(fault, node.index, this.#plan.nodes, this.random);
      this.#sides = sides;
      this.#queue.after(lengthMs, () => {
        if (this.#sides === sides) this.#sides = undefined;
      });
    }
  }

  #crash(node: VotingNode, downMs: number): void {
    if (!node.isUp) return;
    this.#lastFaultMs = Math.max(this.#lastFaultMs, this.#queue.nowMs + downMs);
    node.crash();
    this.#queue.after(downMs, () => {
      if (!node.isUp) node.start();
    });
  }
}
