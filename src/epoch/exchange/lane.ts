/** One of the sums that are made side by side: rho's digits, and the values of the model. */
import { Accumulator, type Adder, type EdgeAccusation, Exchange, type Plan, type Transfer } from '../../aggregation/schedule/index.ts';
import type { IntRow } from '../../compute/api.ts';
import { type Fingerprint, type Hex, StarlingError } from '../../spec/index.ts';
import type { Clock } from '../ports.ts';
import { TURN_ELEMENTS } from '../turns.ts';
import { PIECE, turn } from './world.ts';

/** What a chunk that was received is known by: enough to say later who sent what. */
export interface Receipt {
  readonly hash: Hex;
  readonly signature: Uint8Array;
}

/** Hash, then signature. */
export const encodeReceipt = ({ hash, signature }: { readonly hash: string; readonly signature: Uint8Array }): Uint8Array =>
  new Uint8Array(Buffer.concat([Buffer.from(hash, 'hex'), signature]));

export interface LaneInput {
  readonly compute: Adder;
  readonly plan: Plan;
  /** Members by rank. */
  readonly order: readonly Fingerprint[];
  readonly row: IntRow;
  /** Own weight and what brings the sum back (plan.ts `reduced`). */
  readonly weight: number;
  readonly unit: number;
  readonly deadlineMs: () => number;
}

export class Lane {
  readonly plan: Plan;
  readonly machine: Exchange;
  #accumulator: Accumulator | undefined;
  readonly #order: readonly Fingerprint[];
  readonly #unit: number;
  readonly #length: number;
  readonly #receipts = new Map<string, Receipt>();

  constructor({ compute, plan, order, row, weight, unit, deadlineMs }: LaneInput) {
    this.plan = plan;
    this.#order = order;
    this.#unit = unit;
    this.#length = row.length;
    this.machine = new Exchange(plan, { deadlineMs });
    this.#accumulator = new Accumulator(compute, row, weight);
  }

  /** Not to be asked for once it is let go. */
  get accumulator(): Accumulator {
    if (this.#accumulator === undefined) throw new StarlingError('INTERNAL', 'the attempt is over', { phase: 'average' });
    return this.#accumulator;
  }

  /** The attempt is over: what it summed, as large as a model, goes; what its members had sent can be shown as before. */
  letGo(): void {
    this.#accumulator = undefined;
  }

  /** Once, when the machine is complete and nothing is read from the accumulator any more. Nothing comes of what was let go. */
  async finish(clock: Clock): Promise<Int32Array> {
    const accumulator = this.#accumulator;
    if (accumulator === undefined) return new Int32Array();
    for (const range of pieces(this.#length, TURN_ELEMENTS)) {
      accumulator.scale(range, this.#unit);
      await turn(clock);
    }
    return accumulator.values;
  }

  rankOf(node: Fingerprint): number {
    return this.#order.indexOf(node);
  }

  nodeOf(rank: number): Fingerprint {
    return this.#order[rank] as Fingerprint;
  }

  /** What is due from a member in a step. Throws PROTOCOL_VIOLATION. */
  due(from: Fingerprint, step: number): Transfer {
    const rank = this.rankOf(from);
    const transfer = this.plan.receives.find((one) => one.from === rank && one.step === step);
    if (transfer !== undefined) return transfer;
    throw new StarlingError('PROTOCOL_VIOLATION', `nothing is due from it in step ${step}`, { node: from, phase: 'average', step });
  }

  receipt({ step, from }: Pick<Transfer, 'step' | 'from'>, chunk: number): Receipt | undefined {
    return this.#receipts.get(`${step} ${from} ${chunk}`);
  }

  keep({ step, from }: Pick<Transfer, 'step' | 'from'>, chunk: number, receipt: Receipt): void {
    this.#receipts.set(`${step} ${from} ${chunk}`, receipt);
  }

  /** An accusation with the names of the edge's ends. */
  named({ from, to, phase, chunk, reason }: EdgeAccusation) {
    return { phase, from: this.nodeOf(from), to: this.nodeOf(to), chunk, reason };
  }
}

/** [0, length) in pieces that one turn handles. */
export function* pieces(length: number, size = PIECE): Iterable<{ readonly start: number; readonly end: number }> {
  for (let start = 0; start < length; start += size) yield { start, end: Math.min(length, start + size) };
}
