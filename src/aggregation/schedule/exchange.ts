/**
 * One member's part of a schedule as a machine without data, clock or sockets: events in, commands out. Who drives it moves the bytes
 * between peers and an accumulator (accumulator.ts). A chunk is on its way as soon as what it sums up is there, so steps overlap;
 * what is in flight is bounded by the window, and a receiver answers for a chunk when it has taken it in.
 */
import { type ErrorCode, StarlingError } from '../../spec/index.ts';
import { chunkRange, type Plan, type Range, type Rank, type Transfer } from './plan.ts';
import { type Arrivals, arrivalsOf, type Departures, departuresOf, isIn, isOut, overlapping } from './progress.ts';

export interface Edge {
  readonly from: Rank;
  readonly to: Rank;
}

/** A failing link: names the edge and the first chunk that did not come over it, never a node alone (PROTOCOL section 6). */
export interface EdgeAccusation extends Edge {
  readonly step: number;
  readonly phase: Transfer['phase'];
  readonly chunk: number;
  /** silent: a chunk was not sent. unanswered: it was not taken in. Or the code of what was wrong with its bytes. */
  readonly reason: 'silent' | 'unanswered' | ErrorCode;
}

export type ExchangeCommand =
  /** Send chunk `chunk` of `transfer`, read from the accumulator now. */
  | { readonly kind: 'send'; readonly transfer: Transfer; readonly chunk: number }
  /** Take the bytes just received into the accumulator, then call `stored`. `neededMs`: how long it was awaited, for the deadline. */
  | { readonly kind: 'store'; readonly transfer: Transfer; readonly chunk: number; readonly neededMs: number | undefined }
  | { readonly kind: 'ack'; readonly to: Rank; readonly step: number; readonly chunk: number }
  /** Tell a peer that nothing comes because of another edge. */
  | { readonly kind: 'waiting'; readonly to: Rank; readonly on: Edge }
  | { readonly kind: 'accuse'; readonly accusation: EdgeAccusation }
  | { readonly kind: 'done' };

export interface ExchangeOptions {
  /** Chunks on the way to one peer. */
  readonly window?: number;
  /** Ms that a peer may stay silent while something is due from it; asked at every tick (deadline.ts). */
  readonly deadlineMs: () => number;
}

/**
 * Chunks on the way to all peers together, and bounds of the share of one: 2 MiB on the way to a peer are 100 Mbit/s over 160 ms, which
 * a busy machine takes to answer; 8 MiB to all are what their memory and one uplink are to bear.
 */
const WINDOWS = 32;
const WINDOW_MIN = 2;
const WINDOW_MAX = 8;

interface Link {
  /** Chunks on the way, oldest first. */
  readonly flying: { readonly step: number; readonly chunk: number }[];
  /** When it last sent, answered, or said why it does not. */
  heardMs: number;
  /** When it was last told anything. */
  toldMs: number;
  /** Notices from it since its last chunk or answer. */
  excuses: number;
}

export class Exchange {
  readonly #plan: Plan;
  readonly #window: number;
  readonly #deadlineMs: () => number;
  readonly #sends: readonly Departures[];
  readonly #receives: readonly Arrivals[];
  readonly #links = new Map<Rank, Link>();
  #dueStep = -1;
  #dueMs = 0;
  #done = false;

  constructor(plan: Plan, options: ExchangeOptions) {
    this.#plan = plan;
    const peers = new Set(plan.sends.map(({ to }) => to)).size;
    this.#window = options.window ?? Math.max(WINDOW_MIN, Math.min(WINDOW_MAX, Math.floor(WINDOWS / Math.max(1, peers))));
    this.#deadlineMs = options.deadlineMs;
    this.#receives = plan.receives.map(arrivalsOf);
    this.#sends = plan.sends.map((transfer) => departuresOf(transfer, this.#receives));
    for (const peer of [...plan.sends.map(({ to }) => to), ...plan.receives.map(({ from }) => from)])
      this.#links.set(peer, { flying: [], heardMs: 0, toldMs: 0, excuses: 0 });
  }

  /** Chunks on the way to one peer, at most. */
  get window(): number {
    return this.#window;
  }

  get isDone(): boolean {
    return this.#done;
  }

  /** Whether the result is here, although others may not have taken in yet what they are owed. */
  get isComplete(): boolean {
    return this.#receives.every(({ left }) => left === 0);
  }

  /** Edges over which nothing came for more than so many ms. */
  overdue(nowMs: number, afterMs: number): EdgeAccusation[] {
    return this.#late().flatMap(({ accusation, sinceMs }) => (nowMs - sinceMs > afterMs ? [accusation] : []));
  }

  /** Once, before any event. */
  start(nowMs: number): ExchangeCommand[] {
    for (const link of this.#links.values()) Object.assign(link, { heardMs: nowMs, toldMs: nowMs });
    return this.#proceed(nowMs);
  }

  /**
   * Chunk `chunk` of step `step` came from `from`. Throws PROTOCOL_VIOLATION for what the plan does not have or the order of things
   * rules out, MALFORMED for a chunk that is not there, DUPLICATE for one taken in before.
   */
  received(from: Rank, step: number, chunk: number, nowMs: number): ExchangeCommand[] {
    const arrivals = this.#receives.find(({ transfer }) => transfer.from === from && transfer.step === step);
    if (arrivals === undefined) throw violation(`nothing is due from rank ${from} in step ${step}`, from, step);
    const { transfer } = arrivals;
    const range = chunkRange(transfer, chunk);
    if (arrivals.state[chunk] !== 0)
      throw new StarlingError('DUPLICATE', `chunk ${chunk} came twice`, { field: 'chunk', phase: transfer.phase, step, rank: from });
    // The sum of everyone's cannot be back before the own part of it was sent.
    if (transfer.mode === 'set' && !this.#isSpent(transfer, range)) throw violation(`a sum without this member's part`, from, step);
    arrivals.state[chunk] = 1;
    const link = this.#link(from);
    const neededMs = step === this.#dueStep ? nowMs - Math.max(link.heardMs, this.#dueMs) : undefined;
    this.#heard(link, nowMs);
    return [{ kind: 'store', transfer, chunk, neededMs }];
  }

  /** The chunk is in the accumulator. */
  stored({ from, step }: Transfer, chunk: number, nowMs: number): ExchangeCommand[] {
    const arrivals = this.#receives.find(({ transfer }) => transfer.from === from && transfer.step === step) as Arrivals;
    this.#settle(arrivals, chunk);
    return [this.#answer(arrivals, chunk, nowMs), ...this.#proceed(nowMs)];
  }

  /** `to` has taken a chunk in. Throws PROTOCOL_VIOLATION for one that was not on its way. */
  acked(to: Rank, step: number, chunk: number, nowMs: number): ExchangeCommand[] {
    const link = this.#links.get(to);
    const at = link?.flying.findIndex((sent) => sent.step === step && sent.chunk === chunk) ?? -1;
    if (link === undefined || at < 0) throw violation(`an answer for chunk ${chunk}, which is not on its way`, to, step);
    link.flying.splice(at, 1);
    this.#heard(link, nowMs);
    return this.#proceed(nowMs);
  }

  /** `from` says that it waits for another edge. Believed for as long as every step of the schedule may take, not longer. */
  excused(from: Rank, nowMs: number): void {
    const link = this.#links.get(from);
    if (link === undefined || link.excuses >= 2 * (this.#plan.steps + 1)) return;
    link.excuses++;
    link.heardMs = nowMs;
  }

  /** What came was not what it must be: `code` says why. Signed, it is evidence against its sender. */
  refused({ from, to, step, phase }: Transfer, chunk: number, code: ErrorCode): ExchangeCommand[] {
    return [{ kind: 'accuse', accusation: { from, to, step, phase, chunk, reason: code } }];
  }

  /** Call a few times a deadline. Accuses edges over which nothing came for a deadline, and tells peers what this member waits for. */
  tick(nowMs: number): ExchangeCommand[] {
    if (this.#done) return [];
    const deadlineMs = this.#deadlineMs();
    const accused = this.overdue(nowMs, deadlineMs).map((accusation): ExchangeCommand => ({ kind: 'accuse', accusation }));
    return [...accused, ...this.#excuses(this.#late()[0]?.accusation, nowMs, deadlineMs)];
  }

  /** The edges that this member waits for, and since when. */
  #late(): { readonly accusation: EdgeAccusation; readonly sinceMs: number }[] {
    const silent = this.#receives
      .filter((arrivals) => arrivals.left > 0 && arrivals.transfer.step === this.#dueStep && arrivals.state.includes(0))
      .map(({ transfer: { from, to, step, phase }, state }) => {
        const sinceMs = Math.max(this.#dueMs, this.#link(from).heardMs);
        return { accusation: { from, to, step, phase, chunk: state.indexOf(0), reason: 'silent' as const }, sinceMs };
      });
    const unanswered = this.#plan.sends.flatMap(({ from, to, step, phase }) => {
      const { flying, heardMs } = this.#link(to);
      const [oldest] = flying;
      if (oldest?.step !== step) return [];
      return [{ accusation: { from, to, step, phase, chunk: oldest.chunk, reason: 'unanswered' as const }, sinceMs: heardMs }];
    });
    return [...silent, ...unanswered];
  }

  /** To whom this member was silent for half a deadline although it owes something, because of `on`. */
  #excuses(on: Edge | undefined, nowMs: number, deadlineMs: number): ExchangeCommand[] {
    if (on === undefined) return [];
    return [...this.#links].flatMap(([to, link]): ExchangeCommand[] => {
      const isCause = to === on.from || to === on.to;
      const owes = this.#sends.some((sends) => sends.transfer.to === to && sends.next < sends.chunks);
      if (isCause || !owes || 2 * (nowMs - link.toldMs) < deadlineMs) return [];
      link.toldMs = nowMs;
      return [{ kind: 'waiting', to, on: { from: on.from, to: on.to } }];
    });
  }

  /** Everything that can be sent now, the earliest steps first. */
  #proceed(nowMs: number): ExchangeCommand[] {
    const commands: ExchangeCommand[] = [];
    for (const departures of this.#sends) {
      const { transfer } = departures;
      const link = this.#link(transfer.to);
      while (departures.next < departures.chunks && link.flying.length < this.#window) {
        const range = chunkRange(transfer, departures.next);
        if (!departures.needs.every((arrivals) => isIn(arrivals, range))) break;
        // The wait for an answer begins now, not when the link last had something to say.
        if (link.flying.length === 0) link.heardMs = Math.max(link.heardMs, nowMs);
        link.flying.push({ step: transfer.step, chunk: departures.next });
        link.toldMs = nowMs;
        commands.push({ kind: 'send', transfer, chunk: departures.next++ });
      }
    }
    const dueStep = this.#receives.find(({ left }) => left > 0)?.transfer.step ?? this.#plan.steps;
    if (dueStep !== this.#dueStep) [this.#dueStep, this.#dueMs] = [dueStep, nowMs];
    if (!this.#done && this.#isFinished()) {
      this.#done = true;
      commands.push({ kind: 'done' });
    }
    return commands;
  }

  #isFinished(): boolean {
    const quiet = [...this.#links.values()].every(({ flying }) => flying.length === 0);
    return quiet && this.#receives.every(({ left }) => left === 0) && this.#sends.every((s) => s.next === s.chunks);
  }

  #isSpent(transfer: Transfer, range: Range): boolean {
    const before = ({ transfer: other }: { readonly transfer: Transfer }): boolean =>
      other.step < transfer.step && overlapping(other, range);
    return (
      this.#sends.filter(before).every((sends) => isOut(sends, range)) && this.#receives.filter(before).every((got) => isIn(got, range))
    );
  }

  #settle(arrivals: Arrivals, chunk: number): void {
    arrivals.state[chunk] = 2;
    arrivals.left--;
  }

  #answer({ transfer }: Arrivals, chunk: number, nowMs: number): ExchangeCommand {
    this.#link(transfer.from).toldMs = nowMs;
    return { kind: 'ack', to: transfer.from, step: transfer.step, chunk };
  }

  #heard(link: Link, nowMs: number): void {
    link.heardMs = nowMs;
    link.excuses = 0;
  }

  #link(peer: Rank): Link {
    return this.#links.get(peer) as Link;
  }
}

const violation = (problem: string, rank: Rank, step: number): StarlingError =>
  new StarlingError('PROTOCOL_VIOLATION', problem, { field: 'chunk', phase: 'average', rank, step });
