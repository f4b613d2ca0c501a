/**
 * Everyone's rows, a segment at a time: asked of their authors, or of whoever owns the same segment, and held against the update hashes that
 * the ledger names before anything is made of them.
 */
import { ownersOf, type Range, type Rank, rowChunkElements } from '../../../aggregation/schedule/index.ts';
import type { IntRow } from '../../../compute/api.ts';
import { type Fingerprint, StarlingError } from '../../../spec/index.ts';
import { type AskWorld, open } from '../ask.ts';
import { type OwnOpenings, openedRow, type Proof, readOpened } from '../openings.ts';
import type { ExchangeWorld, OwnRow } from '../world.ts';
import { pause } from '../world.ts';
import type { RuleLayout } from './layout.ts';
import type { Waits } from './waits.ts';

/** Chunks asked for at once, of one author and of all: 4 MiB are on their way to a member, and as much waits for each uplink. */
const WINDOW_MAX = 4;
const WINDOWS = 16;
/** Ms until somebody is asked again who did not give it. */
const AGAIN_MS = 100;
/** Parts of a deadline that one takes, at most, who may have a chunk of another's row, and that it takes to ask its author for that. */
const ASKED_SHARE = 4;
const RELAYED_SHARE = 8;

export type RowsWorld = AskWorld & Pick<ExchangeWorld, 'clock' | 'genesis' | 'elements' | 'contribution'>;

export interface RowsInput {
  readonly layout: RuleLayout;
  readonly own: OwnRow;
  readonly opens: Pick<OwnOpenings, 'row'>;
  readonly waits: Waits;
  readonly deadlineMs: () => number;
  /** A chunk was awaited for that long. */
  readonly needed: (ms: number) => void;
  readonly signal: AbortSignal;
}

interface Segment {
  /** By rank; filled as chunks come. */
  readonly rows: readonly IntRow[];
  /** "rank chunk" of what is there, but for the own row. */
  readonly has: Set<string>;
  readonly ready: Promise<unknown>;
}

export class Rows {
  readonly #world: RowsWorld;
  readonly #input: RowsInput;
  readonly #segments = new Map<number, Segment>();
  /** By rank: what shows that chunks are of that row. */
  readonly #proofs: (Proof | undefined)[] = [];
  /** By rank: chunks that wait for their turn, and those under way. */
  readonly #queues = new Map<Rank, { readonly waiting: (() => Promise<void>)[]; running: number }>();

  constructor(world: RowsWorld, input: RowsInput) {
    this.#world = world;
    this.#input = input;
  }

  /** The rows of a segment by rank, once all of them are there. Never, where the attempt ends before. */
  async of(segment: number): Promise<readonly IntRow[]> {
    const { ready, rows } = this.#segments.get(segment) ?? this.#begin(segment);
    await ready;
    return rows;
  }

  /**
   * A chunk of somebody's row, with its proof: of the own at any time, of others' where it is here. For a member whose link to the author
   * has failed it is asked of the author.
   */
  async show(from: Fingerprint, chunk: number, rank: Rank): Promise<Uint8Array | undefined> {
    const { layout, opens, deadlineMs } = this.#input;
    if (rank === layout.rank) return await opens.row(chunk);
    const size = rowChunkElements(this.#world.genesis.updateDtype);
    const segment = layout.segments.findIndex(({ start, end }) => start <= chunk * size && chunk * size < end);
    const { rows, has } = this.#segments.get(segment) ?? {};
    const proof = this.#proofs[rank];
    if (rows !== undefined && proof !== undefined && has?.has(`${rank} ${chunk}`) === true) {
      const at = chunk * size - (layout.segments[segment] as Range).start;
      return openedRow(proof, (rows[rank] as IntRow).subarray(at, at + size));
    }
    const author = layout.order[rank];
    const mayRelay = author !== undefined && layout.areApart(from, author) && !layout.isBroken(rank);
    return mayRelay ? await this.#ask(rank, chunk, rank, deadlineMs() / RELAYED_SHARE) : undefined;
  }

  letGo(): void {
    this.#segments.clear();
    this.#queues.clear();
  }

  #begin(segment: number): Segment {
    const { layout, own } = this.#input;
    const { updateDtype } = this.#world.genesis;
    const { start, end } = layout.segments[segment] as Range;
    const size = rowChunkElements(updateDtype);
    const rows = layout.order.map((_, rank): IntRow => {
      if (rank === layout.rank) return own.values.subarray(start, end);
      return updateDtype === 'int8' ? new Int8Array(end - start) : new Int16Array(end - start);
    });
    const has = new Set<string>();
    const fetched: Promise<void>[] = [];
    for (let chunk = start / size; chunk * size < end; chunk++)
      // Each begins with the author after it, so that none is everybody's first.
      for (let i = 1; i < layout.order.length; i++) {
        const rank = (layout.rank + i) % layout.order.length;
        const take = async (): Promise<void> => {
          const { values, proof } = await this.#chunk(rank, chunk, segment);
          this.#proofs[rank] ??= proof;
          (rows[rank] as IntRow).set(values, chunk * size - start);
          has.add(`${rank} ${chunk}`);
        };
        fetched.push(this.#inTurn(rank, take));
      }
    const begun = { rows, has, ready: Promise.all(fetched) };
    this.#segments.set(segment, begun);
    return begun;
  }

  /** As many at a time as one author is asked for. */
  #inTurn(rank: Rank, take: () => Promise<void>): Promise<void> {
    const queue = this.#queues.get(rank) ?? { waiting: [], running: 0 };
    this.#queues.set(rank, queue);
    const most = Math.max(1, Math.min(WINDOW_MAX, Math.floor(WINDOWS / this.#input.layout.order.length)));
    return new Promise((resolve, reject) => {
      const next = (): void => {
        queue.running--;
        queue.waiting.shift()?.();
      };
      const run = async (): Promise<void> => {
        queue.running++;
        await take().then(resolve, reject);
        next();
      };
      if (queue.running < most) void run();
      else queue.waiting.push(run);
    });
  }

  /** From its author, and once that is late from those who may have it; over a link that has failed from the latter alone. */
  async #chunk(rank: Rank, chunk: number, segment: number): Promise<Opened> {
    const { clock } = this.#world;
    const { layout, waits, signal, needed, deadlineMs } = this.#input;
    const sinceMs = clock.nowMs();
    const end = waits.begin(rank, chunk, sinceMs);
    let found: Opened | undefined;
    const seek = async (sources: readonly Rank[], timeoutMs: () => number): Promise<void> => {
      while (found === undefined) {
        signal.throwIfAborted();
        for (const source of sources) {
          const opened = await this.#opened(source, chunk, rank, timeoutMs());
          found ??= opened;
          if (found !== undefined) return;
        }
        await pause(clock, AGAIN_MS);
      }
    };
    const others = this.#others(rank, segment);
    const askedMs = (): number => deadlineMs() / ASKED_SHARE;
    const seekAgain = async (): Promise<void> => {
      await pause(clock, deadlineMs() / 2);
      // Its author again, too: what was asked first may have been lost with its process.
      await seek([...others, rank], askedMs);
    };
    try {
      await (layout.isBroken(rank) ? seek(others, askedMs) : Promise.race([seek([rank], deadlineMs), seekAgain()]));
      needed(clock.nowMs() - sinceMs);
      return found ?? fail();
    } finally {
      end();
    }
  }

  /** Owners of the segment, and after them, for a link that has failed, whoever may reach the author. */
  #others(rank: Rank, segment: number): Rank[] {
    const { layout } = this.#input;
    const owners = ownersOf(segment, layout.order.length, layout.owners);
    const relays = layout.isBroken(rank) ? layout.order.keys() : [];
    const ranks = new Set([...owners, ...relays]);
    return [...ranks].filter((other) => other !== rank && other !== layout.rank && !layout.isBroken(other));
  }

  /** Undefined: it is not given, or not what the ledger names. */
  async #opened(source: Rank, chunk: number, rank: Rank, timeoutMs: number): Promise<Opened | undefined> {
    const { genesis, elements, contribution } = this.#world;
    const bytes = await this.#ask(source, chunk, rank, timeoutMs);
    const author = contribution(this.#input.layout.ids[rank] as string);
    if (bytes === undefined || author === undefined || author === null) return undefined;
    try {
      return readOpened(bytes, chunk, author, elements, genesis.updateDtype);
    } catch {
      return undefined;
    }
  }

  #ask(source: Rank, chunk: number, rank: Rank, timeoutMs: number): Promise<Uint8Array | undefined> {
    const { layout, signal } = this.#input;
    return open(this.#world, layout.order[source] as Fingerprint, layout.attempt, 'row', [chunk, rank], { signal, timeoutMs });
  }
}

type Opened = ReturnType<typeof readOpened>;

/** A race ends with what was found, or throws. */
function fail(): never {
  throw new StarlingError('INTERNAL', 'a chunk was sought and none found', { phase: 'average' });
}
