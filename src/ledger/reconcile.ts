import { type Hex, StarlingError } from '../spec/index.ts';
import { type Frontier, KEY_DIGITS, type Point, pointOf, tagOf } from './frontier.ts';
import type { Placed } from './graph.ts';

/**
 * Set reconciliation over the frontier (range-based, after arXiv:2212.13567): where two frontiers are equal a tag of
 * the range says so, where they differ the range is cut into sixteen, until it is short enough to be listed. Costs
 * O(differences x log authors) bytes. Ranges are prefixes of places, so both sides cut at the same borders.
 */
export interface RangeAsk {
  /** Hex digits that the places in the range start with; none for the whole frontier. */
  readonly prefix: Hex;
  /** Whether a long list is welcome: for the whole frontier, and where the asker has nothing. */
  readonly full: boolean;
}

export type RangeAnswer =
  | { readonly kind: 'tips'; readonly tips: readonly Point[] }
  /** A tag for each of the sixteen next digits; `undefined` where nothing is. */
  | { readonly kind: 'split'; readonly tags: readonly (Hex | undefined)[] };

/** Parts of a range: one more hex digit. */
export const FAN_OUT = 16;
/** Tips up to which a range is listed: sixteen tags take as many bytes as eight tips, and a round less is worth eight. */
const SHORT_LIST = 16;
/** The same where a long list is welcome: frontiers of up to a thousand authors are told whole, in one round. */
const FULL_LIST = 1_024;
/** Ranges in one request: 150 KiB at most. */
export const MAX_ASKS = 4_096;
/** Ranges and tips that one exchange takes from a peer: a quarter of a million authors fit, a peer that never ends does not. */
const MAX_RANGES = 2 ** 16;
const MAX_TIPS = 2 ** 18;

export const WHOLE_FRONTIER: RangeAsk = { prefix: '', full: true };

/** Answers `asks` in their order, as many as make at most `maxTips` tips and tags, one at least. */
export function answerRanges(frontier: Frontier, salt: Hex, asks: readonly RangeAsk[], maxTips: number): RangeAnswer[] {
  const answers: RangeAnswer[] = [];
  let room = maxTips;
  for (const { prefix, full } of asks) {
    const heads = frontier.within(prefix);
    const listed = heads.length <= (full ? FULL_LIST : SHORT_LIST);
    room -= listed ? heads.length : FAN_OUT;
    if (room < 0 && answers.length > 0) break;
    answers.push(
      listed
        ? { kind: 'tips', tips: heads.map((head) => pointOf(salt, head)) }
        : { kind: 'split', tags: parts(prefix).map((part) => rangeTag(salt, frontier.within(part))) },
    );
  }
  return answers;
}

/** The asking side: which branch ends a peer has. */
export class Reconciliation {
  readonly #frontier: Frontier;
  readonly #salt: Hex;
  /** Ends of own branches that stand in ranges which are equal. */
  readonly same: Placed[] = [];
  /** What the peer listed. */
  readonly tips: Point[] = [];
  /** Ranges that differ, ascending, none inside another. */
  #open: readonly RangeAsk[] = [WHOLE_FRONTIER];
  #ranges = 0;

  constructor(frontier: Frontier, salt: Hex) {
    this.#frontier = frontier;
    this.#salt = salt;
  }

  /** What to ask next; empty when all is known. */
  asks(): readonly RangeAsk[] {
    return this.#open.slice(0, MAX_ASKS);
  }

  /** Takes answers to the first of `asks()`. Throws PROTOCOL_VIOLATION for what is none. */
  learn(answers: readonly RangeAnswer[]): void {
    if (answers.length === 0 || answers.length > this.asks().length) throw violation(`answered ${answers.length} ranges`, 'sync.ranges');
    const parted = answers.flatMap((answer, i) => {
      const { prefix } = this.#open[i] as RangeAsk;
      return answer.kind === 'tips' ? this.#list(prefix, answer.tips) : this.#differing(prefix, answer.tags);
    });
    this.#open = [...parted, ...this.#open.slice(answers.length)];
    this.#ranges += answers.length;
    if (this.#ranges > MAX_RANGES) throw violation(`cut its frontier into more than ${MAX_RANGES} ranges`, 'sync.ranges');
    if (this.tips.length > MAX_TIPS) throw violation(`listed more than ${MAX_TIPS} tips`, 'sync.tips');
  }

  #list(prefix: Hex, tips: readonly Point[]): RangeAsk[] {
    const key = prefix.slice(0, KEY_DIGITS);
    if (!tips.every((tip) => tip.key.startsWith(key))) throw violation(`listed a tip outside of range '${prefix}'`, 'sync.tips');
    for (const tip of tips) this.tips.push(tip);
    return [];
  }

  #differing(prefix: Hex, tags: readonly (Hex | undefined)[]): RangeAsk[] {
    return parts(prefix).flatMap((part, i) => {
      const own = this.#frontier.within(part);
      const tag = tags[i];
      if (tag === undefined) return [];
      if (tag !== rangeTag(this.#salt, own)) return { prefix: part, full: own.length === 0 };
      this.same.push(...own);
      return [];
    });
  }
}

const DIGITS = [...'0123456789abcdef'];
const parts = (prefix: Hex): Hex[] => DIGITS.map((digit) => prefix + digit);

const rangeTag = (salt: Hex, heads: readonly Placed[]): Hex | undefined =>
  heads.length === 0
    ? undefined
    : tagOf(
        salt,
        heads.map(({ id }) => id),
      );

/** A peer that does what the protocol of sync does not know. Whoever knows its name adds it. */
export const violation = (what: string, field: string): StarlingError =>
  new StarlingError('PROTOCOL_VIOLATION', `the peer ${what}`, {
    phase: 'sync',
    field,
    fix: 'sync with another peer; this one runs other software',
  });
