/** Final blocks between their arrival and their turn. */
import { ZERO_HASH } from '../crypto/index.ts';
import type { AggregateHeader, Block } from '../spec/index.ts';
import type { BlockRecord } from '../wire/index.ts';
import type { Draft, HeldAggregate } from './chain.ts';

/** A block with the step it stands for. */
export interface Candidate {
  readonly block: Block;
  readonly draft: Draft;
  readonly aggregate: HeldAggregate;
}

/** Blocks that wait for the one before or for entries: a peer that sends more ahead is asked again. */
const MAX_WAITING = 1_024;

export interface Waiting {
  readonly record: BlockRecord;
  /** Of the block's aggregate, as the peer gave it; null where nothing was averaged. */
  readonly header: AggregateHeader | null;
  /** Worked out by this node when it checked the proposal. */
  readonly candidate?: Candidate | undefined;
}

/** Final blocks that are not applied yet, by epoch. */
export class FinalBlocks {
  readonly #waiting = new Map<number, Waiting>();

  add(waiting: Waiting, finalEpoch: number): void {
    const { epoch } = waiting.record.block.header;
    if (epoch <= finalEpoch || epoch > finalEpoch + MAX_WAITING) return;
    const before = this.#waiting.get(epoch);
    if (before?.candidate === undefined) this.#waiting.set(epoch, waiting);
  }

  get(epoch: number): Waiting | undefined {
    return this.#waiting.get(epoch);
  }

  /** Whether a block is here with all that it takes to apply it, but for entries. */
  has(epoch: number): boolean {
    const waiting = this.#waiting.get(epoch);
    if (waiting === undefined) return false;
    return waiting.candidate !== undefined || waiting.header !== null || waiting.record.block.header.aggregateHash === ZERO_HASH;
  }

  /** The last of those that follow the newest block without a gap. */
  newest(finalEpoch: number): number {
    let epoch = finalEpoch;
    while (this.#waiting.has(epoch + 1)) epoch++;
    return epoch;
  }

  drop(epoch: number): void {
    this.#waiting.delete(epoch);
  }

  /** What is archived now waits for nothing. */
  dropUpTo(epoch: number): void {
    for (const waiting of this.#waiting.keys()) if (waiting <= epoch) this.#waiting.delete(waiting);
  }
}
