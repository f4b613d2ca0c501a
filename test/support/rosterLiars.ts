import type { Attestation, Option, StanceView } from '../../src/consensus/index.ts';
import { optionOf } from '../../src/consensus/index.ts';

/**
 * private    all stand, certain, on one roster of their own that leaves honest contributions out
 * equivocate two faces under one seq, two attestations, to even and odd listeners
 * evade      the same two faces under alternate seqs, so that nothing proves it
 * drip       attest late, at first to every other listener only, and follow the second-best option
 * second     always on the second-best option of the honest nodes
 * withhold   'drip', and show their own contributions to some, just before the freeze
 */
export const ATTACKS = ['private', 'equivocate', 'evade', 'drip', 'second', 'withhold'] as const;
export type Attack = (typeof ATTACKS)[number] | 'none' | 'silent';

interface Said {
  readonly attests: readonly Attestation[];
  readonly stances: readonly StanceView[];
}

/** The liars of one run, in collusion: they share what they hold and know where every honest node stands. */
export class Liars {
  readonly withholds: boolean;
  readonly #attack: Attack;
  readonly #nodes: readonly number[];
  readonly #nameOf: (node: number) => string;
  readonly #uniform: () => number;
  readonly #held = new Set<string>();
  readonly #early: string[] = [];
  readonly #attested = new Map<number, readonly string[]>();
  #private: Option | null = null;

  constructor(attack: Attack, nodes: readonly number[], nameOf: (node: number) => string, uniform: () => number) {
    this.#attack = attack;
    this.#nodes = nodes;
    this.#nameOf = nameOf;
    this.#uniform = uniform;
    this.withholds = attack === 'withhold';
  }

  get privateOption(): Option | null {
    return this.#private;
  }

  hold(id: string): void {
    this.#held.add(id);
  }

  /** A contribution so early that every honest node will hold it. */
  sawEarly(id: string): void {
    this.#early.push(id);
    this.#held.add(id);
  }

  held(): ReadonlySet<string> {
    return this.withholds ? new Set() : new Set(this.#held);
  }

  /** What liar `from` tells `to`, `sinceMs` after the freeze; `ranking`: where the honest stand, most popular first. */
  say(from: number, to: number, sinceMs: number, ranking: readonly StanceView[]): Said {
    if (this.#attack === 'none' || this.#attack === 'silent') return { attests: [], stances: [] };
    const attests = this.#attest(from, to, sinceMs);
    const option = this.#option(from, to, ranking);
    // All who listen within 100 ms are told the same seq; an evader has one for each of its faces.
    const round = Math.max(0, Math.floor(sinceMs / 100));
    const shown = this.#attack === 'evade' ? 2 * round + (to & 1) : round;
    const stance = {
      node: this.#nameOf(from),
      seq: shown,
      option: option.digest,
      optionIds: option.ids,
      prefs: [[option.digest, 65_535] as const],
    };
    return { attests, stances: [stance] };
  }

  #attest(from: number, to: number, sinceMs: number): readonly Attestation[] {
    const ids = this.#attested.get(from) ?? (this.#attack === 'private' ? this.#privately().ids : [...this.#held]);
    this.#attested.set(from, ids);
    const node = this.#nameOf(from);
    if (this.#attack === 'equivocate' || this.#attack === 'evade') return [{ node, ids: to & 1 ? ids.filter((_, i) => i % 2 === 0) : ids }];
    if (this.#attack === 'drip' || this.#attack === 'withhold') {
      const dueMs = 200 + ((150 * this.#nodes.indexOf(from)) % 3_000);
      if (sinceMs < dueMs || (sinceMs < dueMs + 300 && (to & 1) === 1)) return [];
    }
    return [{ node, ids }];
  }

  #option(from: number, to: number, ranking: readonly StanceView[]): Option {
    const [best, second] = ranking;
    const named = (stance: StanceView | undefined): Option => (stance === undefined ? this.#privately() : optionOf(stance.optionIds));
    if (this.#attack === 'private') return this.#privately();
    if (this.#attack === 'equivocate' || this.#attack === 'evade') return named((from + to) & 1 ? best : second);
    return named(second);
  }

  #privately(): Option {
    this.#private ??= optionOf(this.#early.filter(() => this.#uniform() < 0.7));
    return this.#private;
  }
}
