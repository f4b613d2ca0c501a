/**
 * What owners of segments say that they found, step by step: sums that all need before anybody goes on (`join` of a rule), and in the end
 * hashes of what was made. Where all owners of a segment say the same, an honest one does; what they say differently each member finds
 * out by itself, and knows then who lied.
 */
import { ownersOf, type Rank } from '../../../aggregation/schedule/index.ts';
import { type Fingerprint, KIB } from '../../../spec/index.ts';
import { decode, encode, readBytes, readInt, readList, readTuple } from '../../../wire/index.ts';
import { type AskWorld, ask } from '../ask.ts';
import { type ExchangeWorld, pause } from '../world.ts';
import { isFilled, type RuleLayout, segmentsOwnedBy } from './layout.ts';

/** Ms until a member is asked again that did not say it yet. */
const AGAIN_MS = 50;
/** Deadlines that an owner has to say a step from when this node has said it, and to answer anything at all. */
const PATIENCE = { answers: 3, silent: 1 } as const;
/** Bytes of what is said of one segment: distances of every two of 32 rows take 20 KiB, hashes of half of the largest model 70. */
const SAID_MAX_BYTES = 80 * KIB;
/** Of all segments of an owner: the former of eleven, the latter of two. */
const STATEMENT_MAX_BYTES = 256 * KIB;

export type StatementsWorld = AskWorld & Pick<ExchangeWorld, 'clock'>;

export interface StatementsInput {
  readonly layout: RuleLayout;
  readonly deadlineMs: () => number;
  readonly signal: AbortSignal;
  /** Works a segment out here, if that is not under way; what it says comes by `say`. */
  readonly workOut: (segment: number) => void;
  /** An owner said what is not so. */
  readonly lied: (rank: Rank) => void;
  /** An owner said nothing in time. */
  readonly silent: (rank: Rank) => void;
}

export class Statements {
  readonly #world: StatementsWorld;
  readonly #input: StatementsInput;
  /** By step and segment: what this node found. */
  readonly #own = new Map<string, PromiseWithResolvers<Uint8Array>>();
  readonly #settled = new Map<number, Promise<ReadonlyMap<number, Uint8Array>>>();
  readonly #owned: readonly number[];
  readonly #said = new Set<string>();
  /** Who said nothing at an earlier step is not waited for again. */
  readonly #silent = new Set<Rank>();

  constructor(world: StatementsWorld, input: StatementsInput) {
    this.#world = world;
    this.#input = input;
    this.#owned = segmentsOwnedBy(input.layout, input.layout.rank);
  }

  /** This node has found that of a segment. */
  say(step: number, segment: number, said: Uint8Array): void {
    this.#said.add(`${step} ${segment}`);
    this.#place(step, segment).resolve(said);
  }

  /** What this node says of all its segments; undefined: not yet. */
  async show(step: number): Promise<Uint8Array | undefined> {
    if (!this.#owned.every((segment) => this.#said.has(`${step} ${segment}`))) return undefined;
    return encode(await Promise.all(this.#owned.map((segment) => this.#place(step, segment).promise)));
  }

  /** What is so of every segment at that step, once that is known. */
  settled(step: number): Promise<ReadonlyMap<number, Uint8Array>> {
    const before = this.#settled.get(step);
    if (before !== undefined) return before;
    const settled = this.#settle(step);
    this.#settled.set(step, settled);
    return settled;
  }

  async #settle(step: number): Promise<ReadonlyMap<number, Uint8Array>> {
    const { layout } = this.#input;
    const own = Promise.all(this.#owned.map((segment) => this.#place(step, segment).promise));
    const heard = new Map<Rank, ReadonlyMap<number, Uint8Array>>();
    await Promise.all([
      own.then((said) => void heard.set(layout.rank, new Map(said.map((one, i) => [this.#owned[i] as number, one])))),
      ...layout.order.map(async (_, rank) => {
        if (rank === layout.rank || segmentsOwnedBy(layout, rank).length === 0) return;
        const said = await this.#hear(rank, step, own);
        if (said !== undefined) heard.set(rank, said);
      }),
    ]);
    const filled = [...layout.segments.keys()].filter((segment) => isFilled(layout.segments[segment]));
    const found = await Promise.all(filled.map(async (segment) => [segment, await this.#found(step, segment, heard)] as const));
    return new Map(found);
  }

  async #found(step: number, segment: number, heard: ReadonlyMap<Rank, ReadonlyMap<number, Uint8Array>>): Promise<Uint8Array> {
    const { layout, workOut, lied } = this.#input;
    const owners = ownersOf(segment, layout.order.length, layout.owners);
    const said = owners.map((rank) => heard.get(rank)?.get(segment));
    const [first] = said;
    if (first !== undefined && said.every((one) => one !== undefined && Buffer.compare(one, first) === 0)) return first;
    workOut(segment);
    const own = await this.#place(step, segment).promise;
    for (const [i, rank] of owners.entries()) {
      const one = said[i];
      if (one !== undefined && Buffer.compare(one, own) !== 0) lied(rank);
    }
    return own;
  }

  /** Undefined where it says nothing in time, or what cannot be read. */
  async #hear(rank: Rank, step: number, own: Promise<unknown>): Promise<ReadonlyMap<number, Uint8Array> | undefined> {
    const { layout, deadlineMs, signal, silent } = this.#input;
    const { clock } = this.#world;
    const segments = segmentsOwnedBy(layout, rank);
    const never = Number.POSITIVE_INFINITY;
    let [ownMs, unheardMs] = [never, never];
    void own.then(() => {
      ownMs = clock.nowMs();
    });
    if (layout.isBroken(rank) || this.#silent.has(rank)) return undefined;
    for (;;) {
      signal.throwIfAborted();
      const question = { kind: 'open', attempt: layout.attempt, what: 'stated', at: [step] } as const;
      const askedMs = clock.nowMs();
      const answer = await ask(this.#world, layout.order[rank] as Fingerprint, question, { signal, timeoutMs: deadlineMs() });
      const isSaid = answer?.kind === 'taken';
      const said = isSaid ? read(answer.bytes, segments) : undefined;
      if (said !== undefined) return said;
      const nowMs = clock.nowMs();
      unheardMs = answer === undefined ? Math.min(unheardMs, askedMs) : never;
      const isLate = nowMs - ownMs > PATIENCE.answers * deadlineMs() || nowMs - unheardMs > PATIENCE.silent * deadlineMs();
      if (isSaid || isLate) {
        if (!this.#silent.has(rank)) silent(rank);
        this.#silent.add(rank);
        return undefined;
      }
      await pause(clock, AGAIN_MS);
    }
  }

  #place(step: number, segment: number): PromiseWithResolvers<Uint8Array> {
    const key = `${step} ${segment}`;
    const place = this.#own.get(key) ?? Promise.withResolvers<Uint8Array>();
    this.#own.set(key, place);
    return place;
  }
}

/** One byte string a segment. */
function read(bytes: Uint8Array, segments: readonly number[]): ReadonlyMap<number, Uint8Array> | undefined {
  try {
    const said = readList(
      decode(bytes, 'statement', STATEMENT_MAX_BYTES, segments.length + 1),
      'statement',
      segments.length,
      (one, field) => readBytes(one, field, 0, SAID_MAX_BYTES),
    );
    return said.length === segments.length ? new Map(said.map((one, i) => [segments[i] as number, one.slice()])) : undefined;
  } catch {
    return undefined;
  }
}

/** Whole numbers from 0, as long as they are. */
export const encodeNumbers = (numbers: readonly bigint[]): Uint8Array =>
  encode(numbers.map((n) => Buffer.from(n.toString(16).padStart(2 * Math.ceil(n.toString(16).length / 2), '0'), 'hex')));

/** Throws MALFORMED. Only of what an honest member says. */
export const decodeNumbers = (said: Uint8Array, count: number): bigint[] =>
  readList(decode(said, 'numbers', SAID_MAX_BYTES), 'numbers', count, (one, field) =>
    BigInt(`0x${Buffer.from(readBytes(one, field, 1, 64)).toString('hex')}`),
  );

/** What was made of a segment: D, and the hash of each chunk of the sum. */
export interface Made {
  readonly weightTotal: number;
  readonly hashes: readonly Uint8Array[];
}

export const encodeMade = ({ weightTotal, hashes }: Made): Uint8Array => encode([weightTotal, hashes]);

/** Throws MALFORMED. */
export function decodeMade(said: Uint8Array, count: number): Made {
  const [weightTotal, hashes] = readTuple(decode(said, 'made', SAID_MAX_BYTES), 'made', 2);
  return {
    weightTotal: readInt(weightTotal, 'made.weightTotal', 0, 2 ** 16),
    hashes: readList(hashes, 'made.hashes', count, (hash, field) => readBytes(hash, field, 32)),
  };
}
