import { type DecisionId, type EntryId, type Fingerprint, type Hex, NEGOTIATION, StarlingError } from '../spec/index.ts';
import { type Attestation, Attestations } from './attestations.ts';
import type { EntropyCompute } from './certainty.ts';
import { type Position, reconsider, resolute, stanceOf } from './deliberation.ts';
import { type Option, optionOf } from './options.ts';
import { Stances, type StanceView } from './stances.ts';

/** Ticks running on which the stop rule must hold (PROTOCOL section 5): what one more message can undo is not yet agreement. */
const STOP_TICKS = 2;

export interface NegotiationConfig {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly self: Fingerprint;
  /** Whose attestations and stances count, one seat each. A `self` that is not among them listens. */
  readonly seats: readonly Fingerprint[];
  /** Stances are numbered from here on. After a restart it MUST be above what was said before: one seq twice is evidence. */
  readonly firstSeq?: number;
}

export interface Stop {
  readonly option: readonly EntryId[];
  /** 'deadline': handed over without agreement. */
  readonly why: 'agreed' | 'deadline';
}

export interface TickOutcome {
  /** Where this node stands; its seq tells whether that is news. null: not frozen yet, or without a seat. */
  readonly stance: StanceView | null;
  /** Set from the tick on that ended the negotiation; never changes afterwards. */
  readonly stop: Stop | null;
  readonly state: 'waiting' | 'negotiating' | 'stopped';
}

/**
 * One node's side of the roster negotiation of one epoch (PROTOCOL section 5). Deterministic: time comes with the
 * calls, in ms of any monotonic clock. A tick is expected every 100-200 ms from the freeze on; what `known` returns is
 * relayed as often. Safety does not depend on anything in here: the decision or the vote that follows does that.
 */
export class Negotiation {
  readonly config: NegotiationConfig;
  readonly #seats: ReadonlySet<Fingerprint>;
  readonly #held = new Set<EntryId>();
  readonly #attestations = new Attestations();
  readonly #stances = new Stances();
  /** Whose voice counts: all seats, or where a third of them is silent those heard by T_f + READY. null until that is settled. */
  #voters: ReadonlySet<Fingerprint> | null = null;
  #frozen: { readonly atMs: number; readonly own: Option; readonly attestation: Attestation | null } | null = null;
  #position: Position = { choice: null, preferences: [], certainty: 1 };
  #stance: StanceView | null = null;
  #seq = 0;
  /** Ticks running on which the stop rule held, and for which option. */
  #streak: { readonly option: Hex; readonly ticks: number } | null = null;
  #stop: Stop | null = null;
  /** T_f + 4.5 s has passed. */
  #over = false;
  #ticking = false;

  constructor(config: NegotiationConfig) {
    this.config = config;
    this.#seats = new Set(config.seats);
    this.#seq = config.firstSeq ?? 0;
  }

  /** Whose voice counts, as far as that is settled: all seats before. */
  get voters(): readonly Fingerprint[] {
    return this.#voters === null ? this.config.seats : [...this.#voters];
  }

  /** A valid contribution or membership entry can be averaged here from now on. */
  hold(id: EntryId): void {
    this.#held.add(id);
  }

  /** T_f is reached: what is held now is this node's own roster. Returns what to publish, null without a seat. Idempotent. */
  freeze(nowMs: number): Attestation | null {
    if (this.#frozen === null) {
      const own = optionOf(this.#held);
      const attestation = this.#seats.has(this.config.self) ? { node: this.config.self, ids: own.ids } : null;
      this.#frozen = { atMs: nowMs, own, attestation };
      if (attestation !== null) this.onAttest(attestation);
    }
    return this.#frozen.attestation;
  }

  /**
   * 'conflict': the node had attested otherwise before; the union counts. Without a seat: 'known', nothing is kept.
   * Throws TOO_LARGE or MALFORMED. The caller has checked signature and epoch.
   */
  onAttest(attestation: Attestation): 'new' | 'known' | 'conflict' {
    return this.#seats.has(attestation.node) ? this.#attestations.add(attestation, this.#held) : 'known';
  }

  /**
   * 'equivocation': two options under one seq; the node weighs 0 from now on and both stances are relayed as evidence.
   * Without a seat: 'stale', nothing is kept. Throws TOO_LARGE, MALFORMED or HASH_MISMATCH.
   */
  onStance(stance: StanceView): 'new' | 'stale' | 'equivocation' {
    if (stance.node === this.config.self) {
      // Said before a restart: go on above it, or everyone takes the next stance for a stale or a second one.
      if (Number.isSafeInteger(stance.seq)) this.#seq = Math.max(this.#seq, stance.seq);
      return 'stale';
    }
    return this.#seats.has(stance.node) ? this.#stances.add(stance) : 'stale';
  }

  /** Everything to relay: the very objects handed in, so that a signature kept beside them finds its way. */
  known(): { readonly attests: readonly Attestation[]; readonly stances: readonly StanceView[] } {
    const own = this.#stance === null ? [] : [this.#stance];
    return { attests: this.#attestations.versions(), stances: [...own, ...this.#stances.known()] };
  }

  /**
   * One tick; changes nothing before the freeze and once T_f + 4.5 s has passed. After a stop it goes on taking positions for
   * those who have not stopped. Throws INTERNAL when the last one still runs.
   */
  async tick(nowMs: number, compute: EntropyCompute): Promise<TickOutcome> {
    if (this.#ticking)
      throw new StarlingError('INTERNAL', 'a negotiation tick began before the last one ended', { phase: 'roster', fix: 'await it' });
    if (this.#frozen === null || this.#over) return this.#outcome();
    const { atMs, own } = this.#frozen;
    this.#ticking = true;
    try {
      this.#voters ??= this.#settleVoters(nowMs - atMs);
      if (this.#voters === null) this.#take(resolute(own));
      // A listener that hears nobody has nobody to follow.
      else if (this.#voters.size > 0) await this.#negotiate(this.#voters, compute);
      this.#over = nowMs - atMs >= NEGOTIATION.handOverMs;
      if (this.#over && this.#stop === null) {
        // Nothing that is held was valid to the end: this node can only stand for what it held itself.
        const option = this.#position.preferences.length > 0 ? this.#position.choice : null;
        this.#stop = { option: (option ?? own).ids, why: 'deadline' };
      }
    } finally {
      this.#ticking = false;
    }
    return this.#outcome();
  }

  /** null: wait for more attestations. */
  #settleVoters(sinceMs: number): ReadonlySet<Fingerprint> | null {
    const attesters = this.#attestations.count();
    if (3 * attesters > 2 * this.#seats.size) return this.#seats;
    // More than two thirds of those who speak must agree. With the silent ones among them, a swarm that lost a third could not.
    return sinceMs <= NEGOTIATION.readyMs ? null : this.#attestations.nodes();
  }

  async #negotiate(voters: ReadonlySet<Fingerprint>, compute: EntropyCompute): Promise<void> {
    const tally = this.#attestations.tally(voters);
    const heard = this.#stances.voices(voters);
    const votes = voters.has(this.config.self);
    const { position, agreed } = await reconsider(this.#position, { tally, seats: voters.size, votes, heard, held: this.#held }, compute);
    this.#take(position);
    this.#considerStop(position.choice, agreed);
  }

  /** Takes a position, under a new seq where it differs from the last one published. */
  #take(position: Position): void {
    this.#position = position;
    const { choice, preferences } = position;
    if (choice === null || !this.#seats.has(this.config.self)) return;
    const stance = stanceOf(this.config.self, this.#seq, choice, preferences);
    const last = this.#stance;
    if (last?.seq === stance.seq && last.option === stance.option && `${last.prefs}` === `${stance.prefs}`) return;
    this.#seq += 1;
    this.#stance = { ...stance, seq: this.#seq };
  }

  #considerStop(choice: Option | null, agreed: boolean): void {
    if (choice === null || !agreed) {
      this.#streak = null;
      return;
    }
    const ticks = this.#streak?.option === choice.digest ? this.#streak.ticks + 1 : 1;
    this.#streak = { option: choice.digest, ticks };
    if (ticks >= STOP_TICKS) this.#stop ??= { option: choice.ids, why: 'agreed' };
  }

  #outcome(): TickOutcome {
    const waiting = this.#frozen === null || this.#voters === null;
    return {
      stance: this.#stance,
      stop: this.#stop,
      state: this.#stop !== null ? 'stopped' : waiting ? 'waiting' : 'negotiating',
    };
  }
}
