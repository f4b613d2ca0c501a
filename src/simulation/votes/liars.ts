import type { ProposalView } from '../../consensus/index.ts';
import type { Random } from '../../learning/random.ts';
import { type BlockHash, type Fingerprint, type QuorumCertificate, VOTING, type Vote, type VoteStep } from '../../spec/index.ts';
import type { LiarKind } from './plan.ts';
import { blockOf, emptyBlock, type Message, UNSIGNED } from './values.ts';

/** Ms within which a liar's message arrives: no slower than anyone's. */
const TELL_MS = 60;
/** Heights that a liar looks back on. */
const KEPT_HEIGHTS = 2;

/** What the liars of a run see, all of them the same: everything, at the moment it is said. */
export interface Conspiracy {
  readonly voters: readonly Fingerprint[];
  readonly quorum: number;
  readonly liars: readonly number[];
  readonly honest: readonly number[];
  readonly random: Random;
  proposersOf(height: number): readonly Fingerprint[];
  /** Reaches an honest node, partition or not. */
  tell(from: number, to: number, message: Message, delayMs: number): void;
}

/** One step of one round: who is known to stand on what. */
type Stands = Map<BlockHash | null, Map<Fingerprint, Vote>>;

/** A voter that breaks every rule but one: it cannot sign for another. */
export class Liar {
  readonly #kind: LiarKind;
  readonly #index: number;
  readonly #self: Fingerprint;
  readonly #world: Conspiracy;
  readonly #seen = new Map<string, Stands>();
  readonly #said = new Set<string>();
  /** stale: the oldest certificate of the height. */
  #oldest: QuorumCertificate | undefined;
  #height = 0;

  constructor(kind: LiarKind, index: number, world: Conspiracy) {
    this.#kind = kind;
    this.#index = index;
    this.#self = world.voters[index] as Fingerprint;
    this.#world = world;
  }

  /** The first honest node has got this far. */
  onRound(height: number, round: number): void {
    if (height > this.#height) {
      this.#height = height;
      this.#oldest = undefined;
      for (const key of this.#seen.keys()) if (Number.parseInt(key, 10) < height - KEPT_HEIGHTS) this.#seen.delete(key);
      for (const key of this.#said) if (Number.parseInt(key, 10) < height - KEPT_HEIGHTS) this.#said.delete(key);
    }
    const order = this.#world.proposersOf(height);
    if (this.#kind !== 'silent' && order[round % order.length] === this.#self) this.#propose(height, round);
  }

  /** An honest node says this for the first time. */
  onSaid(message: Message): void {
    if (this.#kind === 'silent') return;
    if (message.kind === 'proposal') this.#standFor(message.height, message.proposal.round, 'prevote', message.proposal.block);
    if (message.kind === 'vote') {
      this.#note(message.height, message.vote);
      this.#standFor(message.height, message.vote.round, message.vote.step, message.vote.block);
    }
  }

  // --- proposals ------------------------------------------------------------------------------------------------

  #propose(height: number, round: number): void {
    const { random, honest } = this.#world;
    const common = blockOf(height, 'common');
    const mine = blockOf(height, `of${this.#index}`);
    if (this.#kind === 'equivocator') {
      const [one, other] = random.uniform() < 0.5 ? [common, mine] : [mine, emptyBlock(height, this.#index)];
      for (const to of honest) this.#sendProposal(to, height, round, random.uniform() < 0.5 ? one : other, random.uniform() * TELL_MS);
    } else if (this.#kind === 'amplifier') {
      const block = blockOf(height, `bad${this.#index}`);
      for (const to of honest) this.#sendProposal(to, height, round, block, TELL_MS);
    } else if (this.#kind === 'stale' && this.#oldest !== undefined && this.#oldest.round < round) {
      for (const to of honest) this.#sendProposal(to, height, round, this.#oldest.block as BlockHash, TELL_MS, this.#oldest);
    } else {
      // As few as a quorum needs, and so late that the others have given up when they hear of it.
      const late = this.#kind === 'splitter' ? (VOTING.proposeMs + VOTING.stepMs * round) * (0.7 + 0.3 * random.uniform()) : TELL_MS;
      for (const to of this.#some(this.#needed())) this.#sendProposal(to, height, round, this.#kind === 'splitter' ? mine : common, late);
    }
  }

  #sendProposal(
    to: number,
    height: number,
    round: number,
    block: BlockHash,
    delayMs: number,
    prevotes: QuorumCertificate | null = null,
  ): void {
    const proposal: ProposalView = { round, proposer: this.#self, block, validRound: prevotes?.round ?? -1, prevotes };
    this.#world.tell(this.#index, to, { kind: 'proposal', height, proposal }, delayMs);
  }

  // --- votes ----------------------------------------------------------------------------------------------------

  /** An honest node stands on `block`. */
  #standFor(height: number, round: number, step: VoteStep, block: BlockHash | null): void {
    const { random, honest } = this.#world;
    const place = `${height}/${round}/${step}`;
    if (this.#kind === 'splitter') this.#split(place, height, round, step);
    else if (!this.#isFirst(`${place}/${block}`)) return;
    else if (this.#kind === 'equivocator') {
      for (const to of honest) this.#vote(to, height, round, step, random.uniform() < 0.5 ? block : null, random.uniform() * TELL_MS * 4);
    } else if (this.#kind === 'withholder') {
      if (this.#isFirst(place))
        for (const to of this.#some(1 + random.below(honest.length))) this.#vote(to, height, round, step, block, TELL_MS);
    } else if (this.#kind === 'amplifier') {
      for (const to of honest) {
        this.#vote(to, height, round, step, block, random.uniform() * TELL_MS);
        if (block !== null) this.#vote(to, height, round, 'precommit', block, random.uniform() * TELL_MS);
      }
    } else for (const to of this.#some(1 + random.below(honest.length))) this.#vote(to, height, round, step, block, TELL_MS);
  }

  /** Nobody to everyone, but where the liars' votes make a quorum: that block to one node alone. */
  #split(place: string, height: number, round: number, step: VoteStep): void {
    const favourite = this.#world.honest[(height + round) % this.#world.honest.length] as number;
    if (this.#isFirst(place)) for (const to of this.#world.honest) if (to !== favourite) this.#vote(to, height, round, step, null, 1);
    for (const [block, stand] of this.#seen.get(place) ?? [])
      if (block !== null && stand.size >= this.#needed() && this.#isFirst(`${place}/${block}`))
        this.#vote(favourite, height, round, step, block, 1);
  }

  #vote(to: number, height: number, round: number, step: VoteStep, block: BlockHash | null, delayMs: number): void {
    const vote: Vote = { epoch: height, round, step, block, voter: this.#self, signature: UNSIGNED };
    this.#world.tell(this.#index, to, { kind: 'vote', height, vote }, delayMs);
  }

  /** With the liars' own votes, which they would give it, q stand on a block: a certificate that nobody else need know of. */
  #note(height: number, vote: Vote): void {
    const place = `${height}/${vote.round}/${vote.step}`;
    const stands: Stands = this.#seen.get(place) ?? new Map();
    this.#seen.set(place, stands);
    const stand = stands.get(vote.block) ?? new Map<Fingerprint, Vote>();
    stands.set(vote.block, stand.set(vote.voter, vote));
    if (
      this.#kind !== 'stale' ||
      this.#oldest !== undefined ||
      vote.step !== 'prevote' ||
      vote.block === null ||
      stand.size < this.#needed()
    )
      return;
    const voters = [...stand.keys(), ...this.#world.liars.map((index) => this.#world.voters[index] as Fingerprint)].sort();
    const votes = voters.map((voter) => ({ voter, signature: UNSIGNED }));
    this.#oldest = { epoch: height, round: vote.round, step: 'prevote', block: vote.block, votes };
  }

  /** Honest voters that make a quorum with all liars. */
  #needed(): number {
    return this.#world.quorum - this.#world.liars.length;
  }

  #some(count: number): number[] {
    return this.#world.random.shuffle([...this.#world.honest]).slice(0, count);
  }

  #isFirst(key: string): boolean {
    if (this.#said.has(key)) return false;
    this.#said.add(key);
    return true;
  }
}
