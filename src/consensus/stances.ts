import { type EntryId, type Fingerprint, type Hex, NEGOTIATION, StarlingError } from '../spec/index.ts';
import { checkIds, type Option, optionOf } from './options.ts';

/** Where a node stands: the roster it prefers now and how it divides its liking. Integers only. */
export interface StanceView {
  readonly node: Fingerprint;
  /** Grows with every change of mind of this node in this epoch. */
  readonly seq: number;
  /** Digest of `optionIds`. */
  readonly option: Hex;
  readonly optionIds: readonly EntryId[];
  /** At most 8 of (digest of an option, probability in units of 1/65535). */
  readonly prefs: readonly (readonly [Hex, number])[];
}

/** Probabilities travel in units of 1/PROBABILITY_ONE. */
export const PROBABILITY_ONE = 65_535;

/** A stance that counts, with its option resolved and its certainty filled in when first needed. */
export interface Voice {
  readonly option: Option;
  /** Positive weights over its options; not normalised. */
  readonly prefs: readonly number[];
  /** cert(prefs) in [0, 1], computed by the receiver: a claim of certainty is not taken from anyone. */
  certainty?: number;
}

interface Heard {
  readonly stance: StanceView;
  readonly voice: Voice;
}

/** The latest stance of each node, and the proof against nodes that showed two faces. */
export class Stances {
  readonly #latest = new Map<Fingerprint, Heard>();
  /** The last stance that came too late to count: whoever hears of two faces later than of a third still sees the proof. */
  readonly #outdated = new Map<Fingerprint, StanceView>();
  readonly #evidence = new Map<Fingerprint, readonly [StanceView, StanceView]>();

  /**
   * 'equivocation': this node stood on two options under one seq; from now on it weighs 0.
   * Throws TOO_LARGE, MALFORMED or HASH_MISMATCH.
   */
  add(stance: StanceView): 'new' | 'stale' | 'equivocation' {
    const { node, seq, option } = stance;
    if (this.#evidence.has(node)) return 'stale';
    const last = this.#latest.get(node)?.stance;
    const outdated = this.#outdated.get(node);
    if (repeats(stance, last) || repeats(stance, outdated)) return 'stale';
    const otherFace = [last, outdated].find((earlier) => earlier?.seq === seq && earlier.option !== option);
    if (otherFace !== undefined) {
      for (const face of [otherFace, stance]) this.#resolve(face);
      this.#latest.delete(node);
      this.#outdated.delete(node);
      this.#evidence.set(node, [otherFace, stance]);
      return 'equivocation';
    }
    if (last !== undefined && seq < last.seq) {
      this.#outdated.set(node, stance);
      return 'stale';
    }
    this.#latest.set(node, { stance, voice: this.#resolve(stance) });
    return 'new';
  }

  /** The voices of `voters` that have not equivocated. */
  voices(voters: ReadonlySet<Fingerprint>): readonly Voice[] {
    return [...this.#latest].filter(([node]) => voters.has(node)).map(([, { voice }]) => voice);
  }

  /** What to relay, as it was handed in: the latest stance of each node, both faces of an equivocator. */
  known(): readonly StanceView[] {
    return [...[...this.#latest.values()].map(({ stance }) => stance), ...[...this.#evidence.values()].flat()];
  }

  #resolve(stance: StanceView): Voice {
    const { node, option, optionIds, prefs } = stance;
    const malformed = (field: string, message: string) => new StarlingError('MALFORMED', message, { field, peer: node, phase: 'roster' });
    if (!Number.isSafeInteger(stance.seq) || stance.seq < 0) throw malformed('seq', 'the seq of a stance is not a whole number');
    if (prefs.length > NEGOTIATION.keep)
      throw malformed('prefs', `a stance names ${prefs.length} preferences, the bound is ${NEGOTIATION.keep}`);
    for (const [, probability] of prefs)
      if (!Number.isInteger(probability) || probability < 0 || probability > PROBABILITY_ONE)
        throw malformed('prefs', `a preference is ${probability}, not an integer from 0 to ${PROBABILITY_ONE}`);
    checkIds(optionIds, 'optionIds', node);
    return { option: this.#shared(stance) ?? checked(stance), prefs: prefs.map(([, probability]) => probability).filter((x) => x > 0) };

    function checked(s: StanceView): Option {
      const resolved = optionOf(s.optionIds);
      if (resolved.digest === s.option) return resolved;
      throw new StarlingError('HASH_MISMATCH', 'the entries of a stance do not hash to its digest', {
        field: 'option',
        peer: node,
        phase: 'roster',
        digest: option,
      });
    }
  }

  /** Most nodes soon stand on one option: the same list need not be hashed again for each of them. */
  #shared(stance: StanceView): Option | undefined {
    for (const { voice } of this.#latest.values()) {
      const { digest, ids } = voice.option;
      if (digest === stance.option && ids.length === stance.optionIds.length && ids.every((id, i) => id === stance.optionIds[i]))
        return voice.option;
    }
    return undefined;
  }
}

const repeats = (stance: StanceView, earlier: StanceView | undefined): boolean =>
  stance.seq === earlier?.seq && stance.option === earlier.option;
