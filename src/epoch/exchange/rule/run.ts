/**
 * One attempt under a rule that needs every row of a coordinate, as one of its members (PROTOCOL section 6, butterfly): it gets everyone's
 * rows of the segments that it owns, makes of them what the rule says, and takes what was made of the other segments from their owners.
 * Nothing is taken on the word of fewer members than may lie: the rest each member works out from the rows itself.
 */
import { aggregate, distancesOfMoved, inPieces, type TensorSpan } from '../../../aggregation/index.ts';
import { ownersOf, packInts, type Range, type Rank, unpackInts, type Width, widthFor } from '../../../aggregation/schedule/index.ts';
import { sha256 } from '../../../crypto/index.ts';
import { asStarlingError, CHUNK_BYTES, type Fingerprint, QMAX } from '../../../spec/index.ts';
import type { AccusedEdge, OpeningKind } from '../../../wire/index.ts';
import { type AskWorld, open } from '../ask.ts';
import type { OwnOpenings } from '../openings.ts';
import type { Work, WorkListener } from '../work.ts';
import { type ExchangeWorld, type OwnRow, pause, turn } from '../world.ts';
import { isFilled, type RuleLayout, segmentsOwnedBy } from './layout.ts';
import { Rows } from './rows.ts';
import { decodeMade, decodeNumbers, encodeMade, encodeNumbers, Statements } from './statements.ts';
import { Waits } from './waits.ts';

/** Chunks of what was made that are asked for at once. */
const WINDOW = 4;
/** Looks at the clock in a deadline, at most so far apart. */
const TICKS = 16;
const TICK_MAX_MS = 250;
/** Elements of a chunk of what was made: in the widest of its encodings it fits into a chunk. */
const MADE_ELEMENTS = CHUNK_BYTES / Int32Array.BYTES_PER_ELEMENT;

export type RuleWorld = AskWorld &
  Pick<ExchangeWorld, 'clock' | 'compute' | 'identity' | 'genesis' | 'elements' | 'spans' | 'contribution' | 'journal'>;

export interface RuleRunInput {
  readonly layout: RuleLayout;
  readonly own: OwnRow;
  readonly opens: Pick<OwnOpenings, 'row'>;
  /** Of the base's tensors. */
  readonly exponents: readonly number[];
  readonly deadlineMs: () => number;
  readonly needed: (ms: number) => void;
}

/** What a segment came to. */
interface Segment {
  readonly sum: Int32Array;
  readonly weightTotal: number;
  readonly distances: readonly bigint[];
}

export class RuleRun implements Work {
  readonly #world: RuleWorld;
  readonly #input: RuleRunInput;
  readonly #listener: WorkListener;
  readonly #abort = new AbortController();
  readonly #waits = new Waits();
  readonly #rows: Rows;
  readonly #statements: Statements;
  readonly #segments = new Map<number, Promise<Segment>>();
  readonly #made = new Map<number, Segment>();
  readonly #accused = new Set<Rank>();
  /** Owners that did not give a chunk of what was made, or another one. */
  readonly #failing = new Set<Rank>();
  #isOver = false;
  #hasLiar = false;
  #isDone = false;

  constructor(world: RuleWorld, input: RuleRunInput, listener: WorkListener) {
    this.#world = world;
    this.#input = input;
    this.#listener = listener;
    const { layout, own, opens, deadlineMs, needed } = input;
    const { signal } = this.#abort;
    this.#rows = new Rows(world, { layout, own, opens, waits: this.#waits, deadlineMs, needed, signal });
    this.#statements = new Statements(world, {
      layout,
      deadlineMs,
      signal,
      workOut: (segment) => this.#begin(segment),
      lied: (rank) => this.#lied(rank),
      silent: (rank) =>
        world.journal.log('warn', 'epoch', 'a member did not say what it made; others work it out', { node: layout.order[rank] }),
    });
    void this.#run();
    void this.#tick();
  }

  get order(): readonly Fingerprint[] {
    return this.#input.layout.order;
  }

  get probeBytes(): number {
    return CHUNK_BYTES / 2;
  }

  /** Others ask for what they lack. */
  get isSent(): boolean {
    return true;
  }

  get isComparing(): boolean {
    return !this.#hasLiar && !this.#isDone && this.overdue(1).length === 0;
  }

  /** Nothing was sent to its process before this one that cannot be asked for again. */
  restarted(): readonly AccusedEdge[] {
    return [];
  }

  overdue(share: number): AccusedEdge[] {
    return this.#waits.over(share * this.#input.deadlineMs(), this.#world.clock.nowMs()).map((wait) => this.#edge(wait, 'silent'));
  }

  async receive(): Promise<boolean> {
    return false;
  }

  excused(): void {}

  async open(from: Fingerprint, what: OpeningKind, [first = 0, second = 0]: readonly number[]): Promise<Uint8Array | undefined> {
    if (what === 'row') return await this.#rows.show(from, first, second);
    if (what === 'stated') return await this.#statements.show(first);
    if (what !== 'made') return undefined;
    const made = this.#made.get(first);
    if (made === undefined || second * MADE_ELEMENTS >= made.sum.length) return undefined;
    return this.#packed(made, second);
  }

  stop(): void {
    this.#isOver = true;
    this.#abort.abort(new Error('the attempt is over'));
  }

  letGo(): void {
    this.#rows.letGo();
    this.#segments.clear();
    this.#made.clear();
  }

  async #run(): Promise<void> {
    try {
      // The first turn lets whoever made this know it.
      await turn(this.#world.clock);
      const { layout } = this.#input;
      for (const segment of segmentsOwnedBy(layout, layout.rank)) this.#begin(segment);
      const result = await this.#assembled();
      this.#isDone = true;
      // With a liar among the members none says that it holds this: they name it, and begin again without it.
      if (!this.#isOver && !this.#hasLiar) this.#listener.exchanged(result);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (!this.#isOver) this.#world.journal.log('error', 'epoch', 'an average is in trouble', asStarlingError(error).toJSON());
  }

  async #tick(): Promise<void> {
    const { deadlineMs } = this.#input;
    while (!this.#isOver) {
      await pause(this.#world.clock, Math.min(TICK_MAX_MS, deadlineMs() / TICKS));
      if (this.#isOver) return;
      if (this.overdue(1 / 2).length > 0) this.#listener.late();
      const late = this.#waits.over(deadlineMs(), this.#world.clock.nowMs()).filter(({ rank }) => !this.#accused.has(rank));
      for (const { rank } of late) this.#accused.add(rank);
      if (late.length > 0) this.#listener.accused(late.map((wait) => this.#edge(wait, 'silent')));
    }
  }

  #edge({ rank, chunk }: { readonly rank: Rank; readonly chunk: number }, reason: string): AccusedEdge {
    return { phase: 'reduceScatter', from: this.order[rank] as Fingerprint, to: this.#world.identity.fingerprint, chunk, reason };
  }

  #lied(rank: Rank): void {
    this.#hasLiar = true;
    this.#listener.lied(this.order[rank] as Fingerprint, 'said what its segment does not come to');
    this.#listener.accused([this.#edge({ rank, chunk: 0 }, 'said what is not so')]);
  }

  #begin(segment: number): void {
    this.#worked(segment).catch((error: unknown) => this.#failed(error));
  }

  /** What the rule makes of a segment, from everyone's rows of it. */
  #worked(segment: number): Promise<Segment> {
    const before = this.#segments.get(segment);
    if (before !== undefined) return before;
    const worked = this.#work(segment);
    this.#segments.set(segment, worked);
    return worked;
  }

  async #work(segment: number): Promise<Segment> {
    const { layout, exponents } = this.#input;
    const { genesis, compute, clock, spans } = this.#world;
    const byRank = await this.#rows.of(segment);
    const range = layout.segments[segment] as Range;
    // The roster's order, which settles ties between rows as it does where everyone sees all.
    const ranks = [...layout.ids.keys()].sort((a, b) => ((layout.ids[a] as string) < (layout.ids[b] as string) ? -1 : 1));
    const rows = ranks.map((rank) => byRank[rank] as (typeof byRank)[number]);
    const weights = ranks.map((rank) => layout.weights[rank] as number);
    const parts = spans.map((span) => clipped(span, range));
    let step = 0;
    const join = async (partial: readonly bigint[]): Promise<readonly bigint[]> => {
      const at = step++;
      this.#statements.say(at, segment, encodeNumbers(partial));
      const all = await this.#statements.settled(at);
      const numbers = [...all.values()].map((said) => decodeNumbers(said, partial.length));
      return partial.map((_, i) => numbers.reduce((sum, one) => sum + (one[i] as bigint), 0n));
    };
    const turns = (): Promise<void> => turn(clock);
    const input = { rows, weights, spans: parts, exponents, join };
    const { sum, weightTotal } = await aggregate(genesis.aggregation, inPieces(compute, turns), input);
    const distances = await distancesOfMoved(rows, parts, exponents, join, turns);
    const made = { sum, weightTotal, distances };
    const hashes: Uint8Array[] = [];
    for (let i = 0; i * MADE_ELEMENTS < sum.length; i++) {
      hashes.push(sha256(this.#packed(made, i)));
      if (i % 4 === 3) await turn(clock);
    }
    this.#made.set(segment, made);
    this.#statements.say(step, segment, encodeMade({ weightTotal, hashes }));
    this.#steps.resolve({ last: step, distances, weightTotal });
    return made;
  }

  /** Of the first segment that was worked out here: the same for all. */
  readonly #steps = Promise.withResolvers<{ readonly last: number; readonly distances: readonly bigint[]; readonly weightTotal: number }>();

  #width(weightTotal: number): { readonly width: Width; readonly bound: number } {
    const bound = weightTotal * QMAX[this.#world.genesis.updateDtype];
    return { width: widthFor(bound), bound };
  }

  #packed({ sum, weightTotal }: Segment, chunk: number): Uint8Array {
    const { width, bound } = this.#width(weightTotal);
    return packInts(sum, chunk * MADE_ELEMENTS, Math.min(sum.length, (chunk + 1) * MADE_ELEMENTS), width, bound);
  }

  /** The whole, once all segments are known. */
  async #assembled() {
    const { layout } = this.#input;
    const owned = segmentsOwnedBy(layout, layout.rank);
    // With fewer segments than members some own nothing: they work one out, as they could not tell how many steps there are.
    if (owned.length === 0) this.#begin(layout.segments.findIndex(isFilled));
    const { last, distances, weightTotal } = await this.#steps.promise;
    const settled = await this.#statements.settled(last);
    const sum = new Int32Array(this.#world.elements);
    await Promise.all([...settled].map(([segment, said]) => this.#take(segment, said, sum)));
    return { rhoSum: new Int32Array(), sum, ruled: { weightTotal, distances } };
  }

  /** Puts what was made of a segment in its place: from owners, or worked out here. */
  async #take(segment: number, said: Uint8Array, sum: Int32Array): Promise<void> {
    const { layout, deadlineMs } = this.#input;
    const { start, end } = layout.segments[segment] as Range;
    const own = this.#made.get(segment);
    if (own !== undefined) return void sum.set(own.sum, start);
    const count = Math.ceil((end - start) / MADE_ELEMENTS);
    const { weightTotal, hashes } = decodeMade(said, count);
    const { width, bound } = this.#width(weightTotal);
    const owners = ownersOf(segment, layout.order.length, layout.owners).filter((rank) => !layout.isBroken(rank));
    let next = 0;
    let isLost = false;
    const pull = async (): Promise<void> => {
      while (next < count && !isLost) {
        const chunk = next++;
        const place = sum.subarray(start + chunk * MADE_ELEMENTS, Math.min(end, start + (chunk + 1) * MADE_ELEMENTS));
        const values = await this.#pulled(segment, chunk, owners, hashes[chunk], deadlineMs());
        if (values === undefined) isLost = true;
        else place.set(unpackInts(values, place.length, width, bound));
      }
    };
    await Promise.all(Array.from({ length: WINDOW }, pull));
    if (isLost) sum.set((await this.#worked(segment)).sum, start);
  }

  /** A chunk of what was made, as its owners have said; undefined where none gives it. */
  async #pulled(
    segment: number,
    chunk: number,
    owners: readonly Rank[],
    hash: Uint8Array | undefined,
    timeoutMs: number,
  ): Promise<Uint8Array | undefined> {
    const { layout } = this.#input;
    // Members begin with different owners, and all with those that have not failed them.
    const turned = owners.map((_, i) => owners[(layout.rank + chunk + i) % owners.length] as Rank);
    for (const rank of turned.sort((a, b) => Number(this.#failing.has(a)) - Number(this.#failing.has(b)))) {
      const node = layout.order[rank] as Fingerprint;
      this.#abort.signal.throwIfAborted();
      const bytes = await open(this.#world, node, layout.attempt, 'made', [segment, chunk], { signal: this.#abort.signal, timeoutMs });
      if (bytes !== undefined && hash !== undefined && Buffer.compare(sha256(bytes), hash) === 0) return bytes;
      this.#failing.add(rank);
    }
    return undefined;
  }
}

/** The part of a tensor that lies in a segment, counted from the segment's start; empty where none does. */
function clipped({ name, start, end }: TensorSpan, range: Range): TensorSpan {
  const within = (at: number): number => Math.max(0, Math.min(range.end, at) - range.start);
  return { name, start: within(start), end: within(end) };
}
