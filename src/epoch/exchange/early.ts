/** The commitment that a sum is held against, made while the sum comes in: while links are waited for, processors are free. */
import type { Range, Transfer } from '../../aggregation/schedule/index.ts';
import { sis } from '../../crypto/index.ts';
import type { Clock } from '../ports.ts';
import { PIECE, turn } from './world.ts';

export interface EarlyInput {
  readonly clock: Pick<Clock, 'after'>;
  /** Seed of the commitments' A. */
  readonly seed: Uint8Array;
  /** Integers of the sum. */
  readonly length: number;
  /** All that this member takes in. */
  readonly receives: readonly Transfer[];
  /** A part that nothing is added to any more. */
  part(range: Range): Int32Array;
  /** Nobody needs it any more. */
  readonly signal: AbortSignal;
}

export class EarlyCommitment {
  readonly #input: EarlyInput;
  readonly #committer: sis.Committer;
  /** Integers that each block of the sum still receives, those of one place counted once a transfer. */
  readonly #due: Uint32Array;
  /** Blocks that receive nothing more, and are not committed to yet. */
  #ready: number[] = [];
  #working: Promise<void> = Promise.resolve();
  #isWorking = false;

  constructor(input: EarlyInput) {
    this.#input = input;
    this.#committer = new sis.Committer(input.seed);
    this.#due = new Uint32Array(Math.ceil(input.length / sis.DEGREE));
    for (const transfer of input.receives)
      for (const { block, shared } of blocksIn(transfer)) this.#due[block] = (this.#due[block] as number) + shared;
    for (const [block, due] of this.#due.entries()) if (due === 0) this.#ready.push(block);
  }

  /** This part of a transfer has been taken in. Each part once. */
  stored(range: Range): void {
    for (const { block, shared } of blocksIn(range)) {
      const due = (this.#due[block] as number) - shared;
      this.#due[block] = due;
      if (due === 0) this.#ready.push(block);
    }
    // What goes wrong is thrown by `finish`.
    if (!this.#isWorking && this.#ready.length * sis.DEGREE >= PIECE) this.#work().catch(() => undefined);
  }

  /**
   * C = A*(S, 0) times `unit`, once all has been taken in and before it is scaled: what the integers alone have in the commitment.
   * Undefined where the signal came first.
   */
  async finish(unit: number): Promise<sis.Commitment | undefined> {
    await this.#working;
    await this.#work();
    return this.#input.signal.aborted ? undefined : sis.combineCommitments([this.#committer.finish()], [unit]);
  }

  #work(): Promise<void> {
    this.#isWorking = true;
    this.#working = this.#commitToReady().finally(() => {
      this.#isWorking = false;
    });
    return this.#working;
  }

  async #commitToReady(): Promise<void> {
    const { clock, length, signal } = this.#input;
    while (this.#ready.length > 0 && !signal.aborted) {
      const blocks = this.#ready.splice(0, PIECE / sis.DEGREE);
      for (const block of blocks) {
        const start = block * sis.DEGREE;
        this.#committer.at(sis.RHO_BLOCKS + block).update(this.#input.part({ start, end: Math.min(length, start + sis.DEGREE) }));
      }
      await turn(clock);
    }
  }
}

/** Blocks that a range touches, and how many integers of each. */
function* blocksIn({ start, end }: Range): Iterable<{ readonly block: number; readonly shared: number }> {
  for (let at = start; at < end; ) {
    const block = Math.floor(at / sis.DEGREE);
    const next = Math.min(end, (block + 1) * sis.DEGREE);
    yield { block, shared: next - at };
    at = next;
  }
}
