/** Step 6, roster, driven: the talk of the present epoch, what this node says in it, and the ticks by which it comes to a roster. */
import { type DecisionId, type EntryId, type Fingerprint, NEGOTIATION } from '../spec/index.ts';
import type { EpochContext } from './context.ts';
import { pendingJoins } from './join.ts';
import type { MachineState } from './machine.ts';
import { openTalk, type RosterTalk } from './roster.ts';
import { Ticker } from './ticker.ts';
import type { Timers } from './timers.ts';

/** Ms between roster ticks while nothing is collected: announcements are repeated, no more. */
const IDLE_TICK_MS = 1_000;

export interface RoundsListener {
  readonly state: MachineState;
  /** With every tick: what is missing is asked for. */
  fetchMissing(): void;
  /** A node has voted for this epoch's block: it needs nothing more of its roster. */
  hasVoted(node: Fingerprint): boolean;
  /** The negotiation has come to an end. */
  settled(roster: readonly EntryId[]): void;
  failed(error: unknown): void;
}

export class Rounds {
  talk: RosterTalk;
  readonly #ctx: EpochContext;
  readonly #listener: RoundsListener;
  readonly #ticker: Ticker;
  #trainers = 0;
  /** What an update is prepared over, or was, with or without a trainer that is attached. */
  #preparing: DecisionId | undefined;

  constructor(ctx: EpochContext, timers: Timers, listener: RoundsListener) {
    this.#ctx = ctx;
    this.#listener = listener;
    this.talk = openTalk(ctx);
    this.#ticker = new Ticker(
      timers,
      () => this.#tick(),
      (error) => listener.failed(error),
    );
  }

  /** A new epoch over the head, or the same one with other seats. */
  renew(): void {
    this.talk = openTalk(this.#ctx, this.talk);
  }

  /** Ticks now. */
  hasten(): void {
    this.#ticker.next(0);
  }

  /** What a tick waits for may be here; the tick that confirms keeps its time unless all are of one mind. */
  news(): void {
    if (this.#isReady()) this.hasten();
  }

  setTrainers(count: number): void {
    this.#trainers = count;
  }

  /**
   * An update for this epoch is being prepared, and stays announced until the epoch is over; false: nothing comes of it. Whether that is
   * to be announced: a trainer that is attached has been.
   */
  setPreparing(is: boolean): boolean {
    this.#preparing = is ? this.talk.base : undefined;
    return this.#trainers === 0;
  }

  /**
   * Says how many trainers are attached here: none while a rollback holds this node. Whoever hands in one update is a trainer for as long:
   * preparing a large one takes seconds, in which the others would otherwise settle without it. Whether there are some.
   */
  announce(): boolean {
    const working = Math.max(this.#trainers, this.#preparing === this.talk.base ? 1 : 0);
    const trainers = this.#ctx.pinned === undefined ? working : 0;
    this.talk.announce(trainers);
    return trainers > 0;
  }

  /** Signs what is held now, and negotiates from here on. */
  freeze(): void {
    const { negotiation } = this.talk;
    for (const id of pendingJoins(this.#ctx)) negotiation.hold(id);
    const attestation = negotiation.freeze(this.#ctx.ports.clock.nowMs());
    if (attestation !== null) this.talk.attest(attestation);
    this.#ctx.timeline.mark(this.talk.epoch, 'roster');
    this.hasten();
  }

  /** Tells the neighbours what they are not known to hold. */
  tell(): void {
    this.talk.tell((node) => this.#listener.hasVoted(node));
  }

  /** One tick: tell the neighbours, fetch what is missing, and negotiate once frozen. Ms until the next. */
  async #tick(): Promise<number> {
    const { talk } = this;
    const { clock, compute, entropy } = this.#ctx.ports;
    this.#listener.fetchMissing();
    // Goes on after this node's own stop: those that have not stopped yet need its voice until the epoch is over.
    const { phase } = this.#listener.state;
    if (phase !== 'idle' && phase !== 'collecting') {
      const outcome = await talk.negotiation.tick(clock.nowMs(), compute);
      if (talk !== this.talk) return 0;
      if (outcome.stance !== null) talk.stand(outcome.stance);
      if (outcome.stop !== null) this.#listener.settled(outcome.stop.option);
    }
    this.tell();
    if (talk !== this.talk || this.#isReady()) return 0;
    const { tickMinMs, tickMaxMs } = NEGOTIATION;
    return this.#listener.state.phase === 'idle' ? IDLE_TICK_MS : tickMinMs + entropy.uniform() * (tickMaxMs - tickMinMs);
  }

  #isReady(): boolean {
    return this.#listener.state.phase === 'negotiating' && this.talk.isReadyForTick();
  }
}
