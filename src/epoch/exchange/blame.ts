/** Who made a sum wrong: the block by halving, then its rows, then the chunks that carried them, back to the first that was wrong. */
import { findBlame } from '../../aggregation/blame.ts';
import { dtypeBytes } from '../../aggregation/index.ts';
import { chunkRange, chunksOf, packInts, type Range, type Transfer } from '../../aggregation/schedule/index.ts';
import { ED25519_SIGNATURE_BYTES, sha256, sis, toHex, verifyEd25519 } from '../../crypto/index.ts';
import { CHUNK_BYTES, type EntryId, type Fingerprint, QMAX } from '../../spec/index.ts';
import { chunkBytes, type OpeningKind } from '../../wire/index.ts';
import { open } from './ask.ts';
import { encodeReceipt } from './lane.ts';
import { BLOCKS_A_TURN, OwnOpenings, readRho, readRow } from './openings.ts';
import type { Run } from './run.ts';
import type { Sums } from './work.ts';
import { type Contribution, type ExchangeWorld, type OwnRow, turn } from './world.ts';

/** culprit: it lied. silent: it did not answer, which is no lie. */
export type Found = { readonly culprit: Fingerprint; readonly why: string } | { readonly silent: Fingerprint };

/** Ends a search: what was found stands. */
class Ended extends Error {
  readonly found: Found;
  constructor(found: Found) {
    super('found');
    this.found = found;
  }
}

export interface BlameInput {
  readonly run: Run;
  readonly own: OwnRow;
  readonly sums: Sums;
  readonly commitmentOf: (id: EntryId) => sis.Commitment;
  readonly signal: AbortSignal;
}

/**
 * Questions to all authors, a few per doubling of the row, then chunks of 256 KiB of everyone's row. Names nobody honest that answers: an
 * author is named by what it opened itself, a hop by its signature under a chunk that is not what right chunks and its own row add up to.
 * Undefined where nothing wrong was found.
 */
export async function blame(world: ExchangeWorld, input: BlameInput): Promise<Found | undefined> {
  const search = new Search(world, input);
  try {
    return await search.run();
  } catch (error) {
    if (error instanceof Ended) return error.found;
    throw error;
  }
}

class Search {
  readonly #world: ExchangeWorld;
  readonly #input: BlameInput;
  readonly #own: OwnOpenings;
  /** Opened integers, by lane, rank and chunk. */
  readonly #opened = new Map<string, Promise<Int32Array>>();

  constructor(world: ExchangeWorld, input: BlameInput) {
    this.#world = world;
    this.#input = input;
    this.#own = new OwnOpenings(world, input.own);
  }

  get #order(): readonly Fingerprint[] {
    return this.#input.run.layout.order;
  }

  async run(): Promise<Found | undefined> {
    const { run, sums, commitmentOf } = this.#input;
    const { seed, genesis, elements, clock } = this.#world;
    const { ids, weights } = run.layout;
    const found = await findBlame(
      {
        seed,
        commitments: ids.map(commitmentOf),
        weights,
        blocks: sis.rowBlocks(elements),
        maxValue: QMAX[genesis.updateDtype],
        sum: async (block) => {
          if (block % BLOCKS_A_TURN === 0) await turn(clock);
          const { lane, start, end } = this.#blockRange(block);
          return (lane === 0 ? sums.rhoSum : sums.sum).subarray(start, end);
        },
      },
      {
        part: (rank, from, to) => this.#part(rank, from, to),
        row: async (rank, block) => {
          const { lane, start, end } = this.#blockRange(block);
          return this.#values(lane, rank, { start, end });
        },
        // The hops are looked for below, a chunk at a time: what is signed is the hash of a chunk.
        hops: () => [0],
        partialSum: async () => undefined,
      },
    );
    if (found === undefined) return undefined;
    if (found.role === 'author') return { culprit: this.#order[found.author] as Fingerprint, why: found.reason };
    const { lane, start, end } = this.#blockRange(found.block);
    return this.#trace(lane, run.lanes[lane]?.plan.rank ?? 0, Number.POSITIVE_INFINITY, { start, end });
  }

  async #part(rank: number, from: number, to: number): Promise<sis.Commitment> {
    const bytes = await this.#ask(rank, 'part', [from, to], () => this.#own.part(from, to));
    try {
      return sis.decodeCommitment(bytes);
    } catch {
      throw new Ended({ culprit: this.#order[rank] as Fingerprint, why: 'opens no commitment' });
    }
  }

  /** Goes back from what `rank` holds before a step to whoever sent something wrong although all that it had received was right. */
  async #trace(lane: number, rank: number, before: number, range: Range): Promise<Found | undefined> {
    const { run } = this.#input;
    for (const transfer of this.#receives(lane, rank, before, range)) {
      for (const chunk of chunksAcross(transfer, range)) {
        const sent = await this.#sentHash(lane, transfer, chunk);
        const part = chunkRange(transfer, chunk);
        if (sent !== (await this.#expectedHash(lane, transfer, part))) return this.#trace(lane, transfer.from, transfer.step, part);
      }
    }
    const culprit = this.#order[rank] as Fingerprint;
    return rank === run.lanes[lane]?.plan.rank ? undefined : { culprit, why: 'sent a wrong sum' };
  }

  /** What a rank receives before a step that overlaps a range. */
  #receives(lane: number, rank: number, before: number, { start, end }: Range): Transfer[] {
    const plan = this.#input.run.layout.lanes[lane]?.planOf(rank);
    return (plan?.receives ?? []).filter((t) => t.step < before && t.start < end && start < t.end);
  }

  /** The hash that its sender signed, as its receiver shows. */
  async #sentHash(lane: number, transfer: Transfer, chunk: number): Promise<string> {
    const { run } = this.#input;
    const [from, to] = [this.#order[transfer.from] as Fingerprint, this.#order[transfer.to] as Fingerprint];
    const bytes = await this.#ask(transfer.to, 'sent', [lane, transfer.step, transfer.from, chunk], async () => {
      const receipt = run.lanes[lane]?.receipt(transfer, chunk);
      return receipt === undefined ? undefined : encodeReceipt(receipt);
    });
    const hash = toHex(bytes.subarray(0, 32));
    const signed = chunkBytes({ attempt: run.id, lane, step: transfer.step, from, to, chunk, hash });
    const key = this.#world.keyOf(from);
    const isSigned = bytes.byteLength === RECEIPT_BYTES && key !== undefined && verifyEd25519(signed, bytes.subarray(32), key);
    if (!isSigned) throw new Ended({ culprit: to, why: 'shows no signature for what it received' });
    return hash;
  }

  async #expectedHash(lane: number, transfer: Transfer, range: Range): Promise<string> {
    const { width, bound, weight } = transfer.encoding;
    const values =
      weight === undefined ? await this.#holds(lane, transfer.from, transfer.step, range) : await this.#values(lane, transfer.from, range);
    await turn(this.#world.clock);
    return toHex(sha256(packInts(values, 0, range.end - range.start, width, bound)));
  }

  /** What a rank holds of a range before a step, if nobody lied: its own row, and what it was sent. */
  async #holds(lane: number, rank: number, before: number, range: Range): Promise<Int32Array> {
    const sum = await this.#weighed(lane, rank, range);
    for (const transfer of this.#receives(lane, rank, before, range)) {
      const part = { start: Math.max(range.start, transfer.start), end: Math.min(range.end, transfer.end) };
      const at = part.start - range.start;
      if (transfer.mode === 'set') sum.set(await this.#total(lane, part), at);
      else {
        const added = await this.#holds(lane, transfer.from, transfer.step, part);
        for (let i = 0; i < added.length; i++) sum[at + i] = (sum[at + i] as number) + (added[i] as number);
      }
    }
    await turn(this.#world.clock);
    return sum;
  }

  async #total(lane: number, range: Range): Promise<Int32Array> {
    const rows = await Promise.all(this.#order.map((_, rank) => this.#weighed(lane, rank, range)));
    return rows.reduce((sum, row) => sum.map((value, i) => value + (row[i] as number)));
  }

  /** In the units that go over the wire. */
  async #weighed(lane: number, rank: number, range: Range): Promise<Int32Array> {
    const { weights, unit } = this.#input.run.layout;
    const weight = (weights[rank] as number) / unit;
    return (await this.#values(lane, rank, range)).map((value) => weight * value);
  }

  /** Integers of a rank's row as it opens them. */
  async #values(lane: number, rank: number, { start, end }: Range): Promise<Int32Array> {
    const dtype = this.#world.genesis.updateDtype;
    const size = lane === 0 ? sis.RHO_ROW_LENGTH : CHUNK_BYTES / dtypeBytes(dtype);
    const values = new Int32Array(end - start);
    for (let i = Math.floor(start / size); i * size < end; i++) {
      const chunk = await this.#chunk(lane, rank, i);
      const [from, to] = [Math.max(start, i * size), Math.min(end, (i + 1) * size)];
      values.set(chunk.subarray(from - i * size, to - i * size), from - start);
    }
    return values;
  }

  #chunk(lane: number, rank: number, i: number): Promise<Int32Array> {
    const key = `${lane} ${rank} ${i}`;
    const before = this.#opened.get(key);
    if (before !== undefined) return before;
    const opened = this.#openChunk(lane, rank, i);
    this.#opened.set(key, opened);
    return opened;
  }

  async #openChunk(lane: number, rank: number, i: number): Promise<Int32Array> {
    const culprit = this.#order[rank] as Fingerprint;
    if (lane === 0) {
      const rho = readRho(await this.#ask(rank, 'rho', [], async () => this.#own.rho()));
      if (rho === undefined) throw new Ended({ culprit, why: 'opens no rho' });
      return rho;
    }
    const opened = await this.#ask(rank, 'row', [i], () => this.#own.row(i));
    const contribution = this.#world.contribution(this.#input.run.layout.ids[rank] as EntryId) as Contribution;
    try {
      return readRow(opened, i, contribution, this.#world.elements, this.#world.genesis.updateDtype);
    } catch {
      throw new Ended({ culprit, why: 'opens another row' });
    }
  }

  /** Throws Ended where a member does not answer. */
  async #ask(rank: number, what: OpeningKind, at: readonly number[], own: () => Promise<Uint8Array | undefined>): Promise<Uint8Array> {
    const node = this.#order[rank] as Fingerprint;
    const { run, signal } = this.#input;
    const isOwn = node === this.#world.identity.fingerprint;
    const bytes = isOwn ? await own() : await open(this.#world, node, run.id, what, at, { signal });
    if (bytes === undefined) throw new Ended({ silent: node });
    return bytes;
  }

  #blockRange(block: number): Range & { readonly lane: number } {
    const lane = block < sis.RHO_BLOCKS ? 0 : 1;
    const start = (block - lane * sis.RHO_BLOCKS) * sis.DEGREE;
    return { lane, start, end: Math.min(start + sis.DEGREE, lane === 0 ? sis.RHO_ROW_LENGTH : this.#world.elements) };
  }
}

const RECEIPT_BYTES = 32 + ED25519_SIGNATURE_BYTES;

/** Chunks of a transfer that overlap a range. */
function chunksAcross(transfer: Transfer, range: Range): number[] {
  return Array.from({ length: chunksOf(transfer) }, (_, i) => i).filter((i) => {
    const { start, end } = chunkRange(transfer, i);
    return start < range.end && range.start < end;
  });
}
