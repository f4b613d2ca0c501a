import { type DecisionId, type EntryId, type Fingerprint, type Hex, NEGOTIATION, StarlingError } from '../spec/index.ts';
import { type Attestation, Attestations, type Tally } from './attestations.ts';
import { concentration, gate, headcount } from './camps.ts';
import { certainty, type EntropyCompute } from './certainty.ts';
import { type Option, optionOf } from './options.ts';
import { favourite, mix, type Preference, tidy } from './preferences.ts';
import { PROBABILITY_ONE, type StanceView, Stances, type Voice } from './stances.ts';

/** Certainty a node must have reached to stop (PROTOCOL section 5), ... */
const STOP_CERTAINTY = 0.5;
/** ... on this many ticks running: what one message more could undo is not yet agreement. */
const STOP_TICKS = 2;

export interface NegotiationConfig {
  readonly epoch: number;
  readonly base: DecisionId;
  readonly self: Fingerprint;
  /** Whose attestations and stances count, one seat each. A `self` that is not among them listens. */
  readonly seats: readonly Fingerprint[];
  /** Seats; with fewer of them attesting the step is provisional. */
  readonly quorum: number;
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
  readonly provisional: boolean;
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
  /** Whose voice counts: all seats, or in a provisional step those heard by T_f + READY. null until that is settled. */
  #voters: ReadonlySet<Fingerprint> | null = null;
  #frozen: { readonly atMs: number; readonly own: Option } | null = null;
  #preferences: readonly Preference[] = [];
  #certainty = 1;
  /** The option this node stands on (`ex`). Always held. */
  #choice: Option | null = null;
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
  }

  /** A valid contribution or membership entry can be averaged here from now on. */
  hold(id: EntryId): void {
    this.#held.add(id);
  }

  /** T_f is reached: what is held now is this node's own roster. Returns what to publish, null without a seat. Idempotent. */
  freeze(nowMs: number): Attestation | null {
    this.#frozen ??= { atMs: nowMs, own: optionOf(this.#held) };
    if (!this.#seats.has(this.config.self)) return null;
    const attestation = { node: this.config.self, ids: this.#frozen.own.ids };
    this.onAttest(attestation);
    return attestation;
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

  /** One tick. Before the freeze and after the stop it changes nothing. Throws INTERNAL when the last one still runs. */
  async tick(nowMs: number, compute: EntropyCompute): Promise<TickOutcome> {
    if (this.#ticking) throw new StarlingError('INTERNAL', 'a negotiation tick began before the last one ended', { phase: 'roster', fix: 'await it' });
    if (this.#frozen === null || this.#over) return this.#outcome();
    const { atMs, own } = this.#frozen;
    this.#ticking = true;
    try {
      this.#voters ??= this.#settleVoters(nowMs - atMs);
      if (this.#voters === null) this.#prefer(own, [{ option: own, share: 1 }], 1);
      // A listener that hears nobody has nobody to follow.
      else if (this.#voters.size > 0) await this.#negotiate(this.#voters, compute);
      this.#over = nowMs - atMs >= NEGOTIATION.handOverMs;
      if (this.#over && this.#stop === null) {
        // Nothing that is held was valid to the end: this node can only stand for what it held itself.
        const option = this.#preferences.length > 0 ? this.#choice : null;
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
    if (sinceMs <= NEGOTIATION.readyMs) return null;
    return attesters < this.config.quorum ? this.#attestations.nodes() : this.#seats;
  }

  async #negotiate(voters: ReadonlySet<Fingerprint>, compute: EntropyCompute): Promise<void> {
    const tally = this.#attestations.tally(voters);
    const votes = voters.has(this.config.self);
    const heard = this.#stances.voices(voters);
    // Judged once for all, before anything is awaited: messages that come in meanwhile wait for the next tick.
    const sound = this.#sound(tally, heard);
    const candidate = [tally.derived, this.#choice].find((option) => option !== null && sound.has(option.digest)) ?? null;
    const others = heard.filter(({ option }) => sound.has(option.digest));
    const own = votes && this.#choice !== null && sound.has(this.#choice.digest) ? [this.#voice(this.#choice)] : [];

    const camps = await gate([...own, ...others], voters.size, compute);
    const c = await concentration(camps, voters.size, compute);
    const mixed = await mix(this.#preferences, camps, c, candidate, candidate ?? this.#choice, compute);
    const kept = tidy(mixed.filter(({ option }) => sound.has(option.digest)));
    const preferences = kept.length === 0 && candidate !== null ? [{ option: candidate, share: 1 }] : kept;
    const certain = await certainty(shares(preferences), compute);
    const choice = favourite(preferences) ?? this.#choice;
    if (choice === null) return;
    this.#prefer(choice, preferences, certain);

    const agreeing = (headcount(others).get(choice.digest) ?? 0) + (votes ? 1 : 0);
    this.#considerStop(choice, sound.has(choice.digest) && 3 * agreeing > 2 * voters.size && certain >= STOP_CERTAINTY);
  }

  /** The options in play that are valid and that this node holds completely. */
  #sound(tally: Tally, heard: readonly Voice[]): ReadonlySet<Hex> {
    const inPlay = [...heard, ...this.#preferences].map(({ option }) => option).concat(tally.derived, this.#choice ?? []);
    const sound = new Set<Hex>();
    for (const [digest, option] of new Map(inPlay.map((option) => [option.digest, option])))
      if (option.ids.every((id) => this.#held.has(id)) && tally.valid(option)) sound.add(digest);
    return sound;
  }

  #voice(option: Option): Voice {
    return { option, prefs: shares(this.#preferences), certainty: this.#certainty };
  }

  /** Takes a position, and a new seq where it differs from the last one published. */
  #prefer(choice: Option, preferences: readonly Preference[], certain: number): void {
    this.#choice = choice;
    this.#preferences = preferences;
    this.#certainty = certain;
    if (!this.#seats.has(this.config.self)) return;
    const prefs = preferences.map(({ option, share }) => [option.digest, Math.round(share * PROBABILITY_ONE)] as const);
    const last = this.#stance;
    const repeats = (i: number): boolean => last?.prefs[i]?.[0] === prefs[i]?.[0] && last?.prefs[i]?.[1] === prefs[i]?.[1];
    const same = last?.option === choice.digest && last.prefs.length === prefs.length && prefs.every((_, i) => repeats(i));
    if (same && last.seq === this.#seq) return;
    this.#seq += 1;
    this.#stance = { node: this.config.self, seq: this.#seq, option: choice.digest, optionIds: choice.ids, prefs };
  }

  #considerStop(choice: Option, holds: boolean): void {
    const ticks = this.#streak?.option === choice.digest ? this.#streak.ticks : 0;
    this.#streak = holds ? { option: choice.digest, ticks: ticks + 1 } : null;
    if (holds && ticks + 1 >= STOP_TICKS) this.#stop ??= { option: choice.ids, why: 'agreed' };
  }

  #outcome(): TickOutcome {
    const waiting = this.#frozen === null || this.#voters === null;
    const provisional = this.#voters !== null && this.#voters !== this.#seats;
    return { stance: this.#stance, stop: this.#stop, state: this.#stop !== null ? 'stopped' : waiting ? 'waiting' : 'negotiating', provisional };
  }
}

const shares = (p: readonly Preference[]): number[] => p.map(({ share }) => share);
