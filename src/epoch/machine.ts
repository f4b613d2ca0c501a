/**
 * One epoch as a pure machine: (state, event) -> (state, effects). It knows when an epoch starts, freezes, is
 * decided and gives way to the next; what is in a roster, a sum or a block is not its business.
 *
 *   idle --seen|membership--> collecting --all held|deadline|attested--> negotiating --settled--> averaging
 *   averaging --averaged--> voting, or applying where the step is provisional;   voting --averaged--> applying (no quorum)
 *   any phase --begin--> idle (the block or decision was applied, or the base changed)
 */
import type { DecisionId, EntryId, Fingerprint } from '../spec/index.ts';

export interface EpochFacts {
  readonly epoch: number;
  readonly base: DecisionId;
  /** Members that contributed in one of the last two epochs. */
  readonly recent: ReadonlySet<Fingerprint>;
  /** Trainers announced for this epoch: attached (true) or expressly none (false). */
  readonly trainers: ReadonlyMap<Fingerprint, boolean>;
  /** Authors whose contribution is on the ledger, its values perhaps not here yet. */
  readonly seen: ReadonlySet<Fingerprint>;
  /** Authors whose contribution is held: decrypted and matching its root. */
  readonly held: ReadonlySet<Fingerprint>;
  /** From the first contribution to the freeze at the latest: adaptive deadline plus dissemination time. */
  readonly deadlineMs: number;
  /** The same while nothing is contributed yet and somebody is awaited: what the genesis allows at most. */
  readonly patienceMs: number;
  /** The same for an epoch that has nothing but membership entries and awaits nobody. */
  readonly membershipMs: number;
}

export type MachineState =
  | { readonly phase: 'idle'; readonly facts: EpochFacts }
  | {
      readonly phase: 'collecting';
      readonly facts: EpochFacts;
      readonly startedMs: number;
      readonly freezeAtMs: number;
      readonly training: boolean;
    }
  | { readonly phase: 'negotiating'; readonly facts: EpochFacts; readonly startedMs: number; readonly frozenMs: number }
  | { readonly phase: 'averaging'; readonly facts: EpochFacts; readonly startedMs: number; readonly roster: readonly EntryId[] }
  | { readonly phase: 'voting'; readonly facts: EpochFacts; readonly startedMs: number; readonly roster: readonly EntryId[] }
  | { readonly phase: 'applying'; readonly facts: EpochFacts; readonly startedMs: number };

export type MachineEvent =
  | { readonly type: 'begin'; readonly facts: EpochFacts }
  /** A contribution for this epoch is on the ledger; its values may come, if an author is named. */
  | { readonly type: 'seen'; readonly author: Fingerprint | undefined; readonly nowMs: number }
  /** A membership entry waits for a decision. */
  | { readonly type: 'membership'; readonly nowMs: number }
  | { readonly type: 'held'; readonly author: Fingerprint; readonly nowMs: number }
  | { readonly type: 'trainers'; readonly node: Fingerprint; readonly attached: boolean; readonly nowMs: number }
  /** So many of the seats have frozen. */
  | { readonly type: 'attested'; readonly attesters: number; readonly seats: number; readonly nowMs: number }
  | { readonly type: 'timer'; readonly nowMs: number }
  | { readonly type: 'settled'; readonly roster: readonly EntryId[] }
  /** The sum is there. Final: the committee votes on it; else this node has decided provisionally. */
  | { readonly type: 'averaged'; readonly final: boolean };

/** What leads to a roster: where nodes diffuse, none is made without a quorum. */
export const TOWARDS_ROSTER: readonly MachineEvent['type'][] = ['seen', 'membership', 'held', 'attested', 'timer', 'settled'];

export type MachineEffect =
  | { readonly type: 'wakeAt'; readonly atMs: number }
  | { readonly type: 'freeze' }
  | { readonly type: 'average'; readonly roster: readonly EntryId[] };

export interface Transition {
  readonly state: MachineState;
  readonly effects: readonly MachineEffect[];
}

const stay = (state: MachineState): Transition => ({ state, effects: [] });

export function step(state: MachineState, event: MachineEvent): Transition {
  switch (event.type) {
    case 'begin':
      return stay({ phase: 'idle', facts: event.facts });
    case 'seen': {
      const { author } = event;
      const facts = author === undefined ? state.facts : { ...state.facts, seen: new Set(state.facts.seen).add(author) };
      return start({ ...state, facts }, event.nowMs, true);
    }
    case 'membership':
      return start(state, event.nowMs, false);
    case 'held': {
      const facts = { ...state.facts, held: new Set(state.facts.held).add(event.author) };
      return freezeIfComplete(start({ ...state, facts }, event.nowMs, true), event.nowMs);
    }
    case 'trainers': {
      const facts = { ...state.facts, trainers: new Map(state.facts.trainers).set(event.node, event.attached) };
      // An epoch that began for membership alone waits longer once somebody is known to be training.
      const next = { ...state, facts };
      const waits = event.attached && next.phase === 'collecting' && !next.training;
      return freezeIfComplete(waits ? collecting(facts, next.startedMs, next.startedMs, false) : stay(next), event.nowMs);
    }
    case 'attested':
      // More than a third holds an honest one: waiting longer than it did would only part this node from the others.
      if (3 * event.attesters <= event.seats || (state.phase !== 'idle' && state.phase !== 'collecting')) return stay(state);
      return freeze(state.phase === 'collecting' ? state : { ...state, startedMs: event.nowMs }, event.nowMs);
    case 'timer':
      return state.phase === 'collecting' && event.nowMs >= state.freezeAtMs ? freeze(state, event.nowMs) : stay(state);
    case 'settled':
      if (state.phase !== 'negotiating') return stay(state);
      return {
        state: { phase: 'averaging', facts: state.facts, startedMs: state.startedMs, roster: event.roster },
        effects: [{ type: 'average', roster: event.roster }],
      };
    case 'averaged':
      if (state.phase === 'averaging' && event.final) return stay({ ...state, phase: 'voting' });
      if (state.phase !== 'averaging' && state.phase !== 'voting') return stay(state);
      return event.final ? stay(state) : stay({ phase: 'applying', facts: state.facts, startedMs: state.startedMs });
  }
}

/** idle -> collecting; an epoch that began for membership alone gets a trainer's deadline once one contributes. */
function start(state: MachineState, nowMs: number, training: boolean): Transition {
  if (state.phase === 'collecting' && training && !state.training) return collecting(state.facts, nowMs, state.startedMs, true);
  if (state.phase !== 'idle') return stay(state);
  return collecting(state.facts, nowMs, nowMs, training);
}

function collecting(facts: EpochFacts, fromMs: number, startedMs: number, training: boolean): Transition {
  const waitMs = training ? facts.deadlineMs : awaited(facts).length > 0 ? facts.patienceMs : facts.membershipMs;
  const freezeAtMs = fromMs + waitMs;
  return { state: { phase: 'collecting', facts, startedMs, freezeAtMs, training }, effects: [{ type: 'wakeAt', atMs: freezeAtMs }] };
}

/**
 * Active members (PROTOCOL section 5): a recent contributor, unless it says it has no trainer; an announced one; and whoever has an entry
 * for this epoch already, whose values are on their way.
 */
export function awaited(facts: EpochFacts): Fingerprint[] {
  const announced = [...facts.trainers].flatMap(([node, attached]) => (attached ? [node] : []));
  const recent = [...facts.recent].filter((node) => facts.trainers.get(node) !== false);
  return [...new Set([...recent, ...announced, ...facts.seen])];
}

function freezeIfComplete(transition: Transition, nowMs: number): Transition {
  const { state, effects } = transition;
  if (state.phase !== 'collecting' || state.facts.held.size === 0) return transition;
  const waiting = awaited(state.facts).some((f) => !state.facts.held.has(f));
  if (waiting) return transition;
  const frozen = freeze(state, nowMs);
  return { state: frozen.state, effects: [...effects, ...frozen.effects] };
}

function freeze(state: { readonly facts: EpochFacts; readonly startedMs: number }, nowMs: number): Transition {
  return {
    state: { phase: 'negotiating', facts: state.facts, startedMs: state.startedMs, frozenMs: nowMs },
    effects: [{ type: 'freeze' }],
  };
}
