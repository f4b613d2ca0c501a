import type { Block, BlockHash, Proposal } from '../spec/index.ts';

/** Rounds behind the present one whose proposals are kept, as the voting machine counts them. */
const PAST_ROUNDS = 16;
/** Proposals kept of a round: an honest proposer makes one; the machine may come to need a liar's others for a block that many back. */
const KEPT_A_ROUND = 3;

/**
 * The proposals of one height with their blocks, each under its round, block and valid round. Bounded by rounds near the
 * present one and a few of each: every round is one voter's, so a liar fills its own places and nobody else's.
 */
export class KeptProposals {
  readonly #byPlace = new Map<string, Proposal>();
  readonly #voters: number;

  constructor(voters: number) {
    this.#voters = voters;
  }

  has(proposal: Proposal): boolean {
    return this.#byPlace.has(placeOf(proposal));
  }

  /** Whether its round is one that can matter while the machine is in `round`. */
  isNear(proposal: Proposal, round: number): boolean {
    return proposal.round >= round - PAST_ROUNDS && proposal.round <= round + this.#voters;
  }

  /** `bound`: the block that this node may have to propose again; its proposals stay. False where its round is full. */
  add(proposal: Proposal, round: number, bound: BlockHash | undefined): boolean {
    for (const [place, old] of this.#byPlace) if (!this.isNear(old, round) && old.block !== bound) this.#byPlace.delete(place);
    if (this.of(proposal.round).length >= KEPT_A_ROUND) return false;
    this.#byPlace.set(placeOf(proposal), proposal);
    return true;
  }

  of(round: number): Proposal[] {
    return [...this.#byPlace.values()].filter((proposal) => proposal.round === round);
  }

  /** A proposal of this block, of its newest round. */
  find(block: BlockHash): Proposal | undefined {
    let found: Proposal | undefined;
    for (const proposal of this.#byPlace.values()) if (proposal.block === block && proposal.round >= (found?.round ?? 0)) found = proposal;
    return found;
  }

  blockOf(hash: BlockHash): Block | undefined {
    return this.find(hash)?.content;
  }
}

const placeOf = ({ round, block, validRound }: Proposal): string => `${round}/${block}/${validRound}`;
