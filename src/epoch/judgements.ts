/** What this node holds against the blocks that others propose, checked once what they stand on is here. */
import { ZERO_HASH } from '../crypto/index.ts';
import { asStarlingError, type BlockHash, type EntryId, type Fingerprint } from '../spec/index.ts';
import { keepAggregate } from './aggregates.ts';
import { checkBlock, missingOf } from './blocks.ts';
import type { Applied } from './chain.ts';
import type { EpochContext } from './context.ts';
import type { KeptProposals } from './keptProposals.ts';
import type { Candidate } from './waitingBlocks.ts';

export interface JudgementListener {
  judged(block: BlockHash, round: number, valid: boolean): void;
  /** These entries, which a proposal stands on, are not here. */
  lacks(ids: readonly EntryId[], proposer: Fingerprint): void;
}

/** A block whose check is asked for, and may wait for what has not arrived. */
interface Judgement {
  readonly round: number;
  readonly validRound: number;
  busy: boolean;
  again: boolean;
}

export class Judgements {
  readonly #ctx: EpochContext;
  readonly #base: Applied;
  readonly #proposals: KeptProposals;
  readonly #candidates: Map<BlockHash, Candidate>;
  readonly #listener: JudgementListener;
  readonly #open = new Map<BlockHash, Judgement>();
  #stopped = false;

  /** `candidates`: blocks that this node has worked out; those that hold are added. */
  constructor(
    ctx: EpochContext,
    base: Applied,
    proposals: KeptProposals,
    candidates: Map<BlockHash, Candidate>,
    listener: JudgementListener,
  ) {
    this.#ctx = ctx;
    this.#base = base;
    this.#proposals = proposals;
    this.#candidates = candidates;
    this.#listener = listener;
  }

  want(block: BlockHash, round: number, validRound: number): void {
    const judgement = { round, validRound, busy: false, again: false };
    this.#open.set(block, judgement);
    this.#judge(block, judgement);
  }

  /** Entries or values have come. */
  news(): void {
    for (const [block, judgement] of this.#open) this.#judge(block, judgement);
  }

  stop(): void {
    this.#stopped = true;
    this.#open.clear();
  }

  #judge(block: BlockHash, judgement: Judgement): void {
    if (judgement.busy) {
      judgement.again = true;
      return;
    }
    judgement.busy = true;
    judgement.again = false;
    void this.#judgeOnce(block, judgement)
      .catch((error: unknown) =>
        this.#ctx.ports.journal.log('error', 'epoch', 'a block could not be checked', { block, ...asStarlingError(error).toJSON() }),
      )
      .finally(() => {
        judgement.busy = false;
        if (judgement.again && this.#open.get(block) === judgement) this.#judge(block, judgement);
      });
  }

  async #judgeOnce(hash: BlockHash, judgement: Judgement): Promise<void> {
    const { round, validRound } = judgement;
    const proposal = this.#proposals.find(hash);
    if (proposal === undefined || this.#stopped) return;
    const known = this.#candidates.get(hash);
    const check =
      known !== undefined
        ? ({ kind: 'valid', candidate: known } as const)
        : await checkBlock(this.#ctx, this.#base, proposal.content, round, validRound >= 0);
    if (this.#stopped || this.#open.get(hash) !== judgement) return;
    if (check.kind === 'incomplete') {
      const missing = missingOf(this.#ctx, proposal.content);
      if (missing.length > 0) this.#listener.lacks(missing, proposal.proposer);
      return;
    }
    this.#open.delete(hash);
    if (check.kind === 'invalid')
      this.#ctx.ports.journal.log('warn', 'epoch', 'a proposed block breaks a rule', {
        block: hash,
        proposer: proposal.proposer,
        ...check.error.toJSON(),
      });
    else {
      this.#candidates.set(hash, check.candidate);
      // Who votes for a block can be asked for its sum, also after a crash.
      const { aggregateHash } = proposal.content.header;
      if (aggregateHash !== ZERO_HASH) await keepAggregate(this.#ctx, { hash: aggregateHash, ...check.candidate.aggregate });
    }
    if (!this.#stopped) this.#listener.judged(hash, round, check.kind === 'valid');
  }
}
