import { type BlockHash, type Fingerprint, MAX_ROUNDS, type Proposal } from '../spec/index.ts';

/** What the machine needs of a proposal. */
export type ProposalView = Pick<Proposal, 'round' | 'proposer' | 'block' | 'validRound' | 'prevotes'>;

/** Rounds before the current one whose proposals are kept: as long as their votes count (heightVotes.ts). */
const PAST_ROUNDS = 16;
/** Proposals kept of a round: an honest proposer makes one. Others are kept once f + 1 voters stand on them. */
const KEPT_A_ROUND = 2;

export interface HeldProposal extends ProposalView {
  /** This node found that its block is not acceptable in its round. */
  refused: boolean;
}

interface Question {
  readonly round: number;
  readonly validRound: number;
  refused: boolean;
}

/** The proposals of one height, and what is known of their blocks; in bounded memory whatever a proposer sends. */
export class HeldProposals {
  readonly #proposers: readonly Fingerprint[];
  readonly #byRound = new Map<number, HeldProposal[]>();
  readonly #valid = new Set<BlockHash>();
  /** What the caller was last asked about a block. */
  readonly #asked = new Map<BlockHash, Question>();

  constructor(proposers: readonly Fingerprint[]) {
    this.#proposers = proposers;
  }

  /**
   * Whether it is news: by the round's proposer, of a round near the current one, and, if it proposes again, with the
   * prevotes it rests on. `supported`: f + 1 voters stand on it.
   */
  add(proposal: ProposalView, current: number, supported: boolean): boolean {
    const { round, proposer, block, validRound, prevotes } = proposal;
    const n = this.#proposers.length;
    // Each voter proposes once in the n rounds ahead: a liar fills its own places only.
    if (!Number.isSafeInteger(round) || round < 0 || round >= MAX_ROUNDS || round < current - PAST_ROUNDS || round > current + n)
      return false;
    if (proposer !== this.#proposers[round % n] || !Number.isSafeInteger(validRound) || validRound < -1 || validRound >= round)
      return false;
    if (validRound >= 0 && !(prevotes?.step === 'prevote' && prevotes.round === validRound && prevotes.block === block)) return false;
    const held = this.#byRound.get(round) ?? [];
    if (held.some((other) => other.block === block && other.validRound === validRound)) return false;
    if (held.length >= KEPT_A_ROUND && !supported) return false;
    this.#byRound.set(round, [...held, { round, proposer, block, validRound, prevotes: validRound < 0 ? null : prevotes, refused: false }]);
    return true;
  }

  of(round: number): readonly HeldProposal[] {
    return this.#byRound.get(round) ?? [];
  }

  /** Whether this node found the block acceptable. */
  isValid(block: BlockHash): boolean {
    return this.#valid.has(block);
  }

  /**
   * Whether to ask the caller about a block: one that is held, not known to be valid, and not asked about already. It is asked
   * about again for a later round, and after a refusal once q voters stood on it since.
   */
  ask(block: BlockHash, round: number, validRound: number): boolean {
    if (this.#valid.has(block) || !this.#isHeld(block)) return false;
    const last = this.#asked.get(block);
    if (last !== undefined && round <= last.round && !(last.refused && validRound > last.validRound)) return false;
    this.#asked.set(block, { round, validRound, refused: false });
    return true;
  }

  judged(block: BlockHash, round: number, valid: boolean): void {
    const question = this.#asked.get(block);
    if (question === undefined || !this.#isHeld(block)) return;
    if (valid) this.#valid.add(block);
    else if (question.round === round) question.refused = true;
    if (!valid) for (const proposal of this.of(round)) if (proposal.block === block) proposal.refused = true;
  }

  /** Goes on to `round`: forgets what is far behind it, but for the blocks in `keep`. */
  advance(round: number, keep: readonly (BlockHash | undefined)[]): void {
    for (const old of this.#byRound.keys()) if (old < round - PAST_ROUNDS) this.#byRound.delete(old);
    for (const blocks of [this.#valid, this.#asked])
      for (const block of blocks.keys()) if (!keep.includes(block) && !this.#isHeld(block)) blocks.delete(block);
  }

  #isHeld(block: BlockHash): boolean {
    for (const held of this.#byRound.values()) if (held.some((proposal) => proposal.block === block)) return true;
    return false;
  }
}
