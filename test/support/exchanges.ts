/** Members of a schedule in one process: machines, accumulators and a network that delivers in any order. */
import {
  Accumulator,
  type EdgeAccusation,
  Exchange,
  type ExchangeCommand,
  type Plan,
  reduced,
  type Summands,
  type Transfer,
} from '../../src/aggregation/schedule/index.ts';
import type { IntRow } from '../../src/compute/api.ts';
import { createReference } from '../../src/compute/index.ts';

type Message =
  | { readonly kind: 'chunk'; readonly transfer: Transfer; readonly chunk: number; readonly bytes: Uint8Array }
  | { readonly kind: 'ack'; readonly from: number; readonly to: number; readonly step: number; readonly chunk: number }
  | { readonly kind: 'waiting'; readonly from: number; readonly to: number };

const toOf = (message: Message): number => (message.kind === 'chunk' ? message.transfer.to : message.to);
const fromOf = (message: Message): number => (message.kind === 'chunk' ? message.transfer.from : message.from);

export interface ExchangesOptions {
  readonly rows: readonly IntRow[];
  readonly weights: readonly number[];
  readonly qmax: number;
  readonly plan: (rank: number, summands: Summands) => Plan;
  readonly window?: number;
  readonly deadlineMs?: number;
}

/** Every member of one attempt. */
export class Exchanges {
  readonly plans: readonly Plan[];
  readonly machines: readonly Exchange[];
  readonly inFlight: Message[] = [];
  readonly accusations: (EdgeAccusation & { readonly by: number; readonly atMs: number })[] = [];
  /** Payload bytes each member has sent, and the chunks it holds that are on their way to it at most at once. */
  readonly sent: number[];
  readonly dead = new Set<number>();
  /** Pairs "from to" over which nothing comes. */
  readonly cut = new Set<string>();
  nowMs = 0;
  delivered = 0;
  readonly #accumulators: readonly Accumulator[];
  readonly #unit: number;

  constructor({ rows, weights, qmax, plan, window, deadlineMs = 1_000 }: ExchangesOptions) {
    const { weights: small, unit } = reduced(weights);
    const summands = { elements: rows[0]?.length ?? 0, weights: small, qmax };
    this.#unit = unit;
    this.plans = rows.map((_, rank) => plan(rank, summands));
    this.#accumulators = rows.map((row, rank) => new Accumulator(createReference(), row, small[rank] as number));
    const options = { deadlineMs: () => deadlineMs, ...(window === undefined ? {} : { window }) };
    this.machines = this.plans.map((one) => new Exchange(one, options));
    this.sent = rows.map(() => 0);
  }

  start(): void {
    this.machines.forEach((machine, rank) => {
      this.#obey(rank, machine.start(this.nowMs));
    });
  }

  /** Delivers all that is on its way, `pick` choosing among the messages under way, until nothing is or `until` says so. */
  run(pick: (count: number) => number, until: () => boolean = () => false): void {
    while (this.inFlight.length > 0 && !until()) {
      const at = pick(this.inFlight.length);
      const message = this.inFlight[at] as Message;
      this.inFlight[at] = this.inFlight.at(-1) as Message;
      this.inFlight.pop();
      this.#deliver(message);
    }
  }

  tick(ms: number): void {
    this.nowMs += ms;
    this.machines.forEach((machine, rank) => {
      if (!this.dead.has(rank)) this.#obey(rank, machine.tick(this.nowMs));
    });
  }

  sums(): Int32Array[] {
    return this.#accumulators.map((accumulator) => {
      accumulator.scale({ start: 0, end: accumulator.values.length }, this.#unit);
      return accumulator.values;
    });
  }

  get isDone(): boolean {
    return this.machines.every(({ isDone }) => isDone);
  }

  #deliver(message: Message): void {
    const [from, to] = [fromOf(message), toOf(message)];
    if (this.dead.has(from) || this.dead.has(to) || this.cut.has(`${from} ${to}`)) return;
    this.delivered++;
    const machine = this.machines[to] as Exchange;
    if (message.kind === 'waiting') machine.excused(from, this.nowMs);
    else if (message.kind === 'ack') this.#obey(to, machine.acked(from, message.step, message.chunk, this.nowMs));
    else this.#obey(to, machine.received(from, message.transfer.step, message.chunk, this.nowMs), message.bytes);
  }

  #obey(rank: number, commands: readonly ExchangeCommand[], bytes?: Uint8Array): void {
    const [machine, accumulator] = [this.machines[rank] as Exchange, this.#accumulators[rank] as Accumulator];
    for (const command of commands) {
      if (command.kind === 'send') {
        const packed = accumulator.read(command.transfer, command.chunk);
        this.sent[rank] = (this.sent[rank] as number) + packed.byteLength;
        this.inFlight.push({ kind: 'chunk', transfer: command.transfer, chunk: command.chunk, bytes: packed });
      } else if (command.kind === 'store') {
        accumulator.store(command.transfer, command.chunk, bytes as Uint8Array);
        this.#obey(rank, machine.stored(command.transfer, command.chunk, this.nowMs));
      } else if (command.kind === 'accuse') this.accusations.push({ ...command.accusation, by: rank, atMs: this.nowMs });
      else if (command.kind === 'ack') this.inFlight.push({ ...command, kind: 'ack', from: rank });
      else if (command.kind === 'waiting') this.inFlight.push({ kind: 'waiting', from: rank, to: command.to });
    }
  }
}

/** S = sum W_i q_i in integers without a bound. */
export function plainSum(rows: readonly IntRow[], weights: readonly number[]): number[] {
  return Array.from({ length: rows[0]?.length ?? 0 }, (_, k) =>
    Number(rows.reduce((sum, row, i) => sum + BigInt(weights[i] as number) * BigInt(row[k] as number), 0n)),
  );
}

/** A generator of its own for picking: mulberry32, uniform in [0, n). */
export function picker(seed: number): (n: number) => number {
  let state = seed | 0;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

/** Rows with the extremes of their type among them. */
export function randomRows(count: number, elements: number, qmax: number, pick: (n: number) => number): IntRow[] {
  return Array.from({ length: count }, () => {
    const row = qmax === 127 ? new Int8Array(elements) : new Int16Array(elements);
    return row.map(() => (pick(4) === 0 ? qmax * (2 * pick(2) - 1) : pick(2 * qmax + 1) - qmax));
  });
}
