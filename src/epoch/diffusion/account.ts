/**
 * The part of what this node has learned, and no block holds, that mixes with its neighbours': integers on a grid that never changes,
 * beside the residual, in which the rest of it lies. Survives a crash at any moment: an edge counts at once with the row that it
 * changed, and values move between here and the residual at once.
 */
import { bytesOf, DIFFUSION_MAX, diffuse, type EdgeEnd, int32Of, mayDiffuse, type TensorSpan } from '../../aggregation/index.ts';
import { CHUNK_BYTES, type Fingerprint, StarlingError } from '../../spec/index.ts';
import type { NodeStore } from '../ports.ts';
import type { Residual } from '../residual.ts';
import type { Turn } from '../turns.ts';
import { decodePiece, type Edge, encodePiece, NO_PIECE, type PieceRecord } from './edges.ts';

/** Elements of a piece: what one message carries. Pieces mix each for itself. */
const PIECE = CHUNK_BYTES / Int32Array.BYTES_PER_ELEMENT;
/**
 * Units are this power of two smaller than the first scales, so that what is too small to flow is far below what is sent; values of four
 * times what int16 saturates at still diffuse.
 */
const UNIT_BITS = 8;
/** Norm of a row against that of a contribution: rounding, and what comes late, take an honest one a little beyond it. */
const NORM_ROOM = 2;

const AT = 'diffusion/at/';
const ROWS = 'diffusion/rows/';
const atKey = (generation: number, piece: number): string => `${AT}${generation}/${piece}`;
const rowKey = (piece: number, version: number): string => `${ROWS}${piece}/${version}`;

export interface AccountInit {
  readonly store: NodeStore;
  readonly residual: Residual;
  readonly spans: readonly TensorSpan[];
  /** First scale of each tensor, as a power of two. */
  readonly scaleExponents: readonly number[];
  /** L2 norm of a contribution at most. */
  readonly clipNorm: number;
  /** Taken in the midst of large rows. */
  readonly turn: Turn;
}

/** A part of the residual, from element `start` on: whole pieces, but for the last. */
interface Part {
  readonly start: number;
  readonly values: Float32Array;
}

export class Account {
  /** Pieces of a row. */
  readonly pieces: number;
  readonly #init: AccountInit;
  readonly #elements: number;
  readonly #records: PieceRecord[];
  /** Moves between here and the residual that have begun. */
  #moves = 0;
  /** Versions that the present round started from. */
  #frozen: readonly number[] = [];

  constructor(init: AccountInit) {
    this.#init = init;
    this.#elements = init.spans.at(-1)?.end ?? 0;
    this.pieces = Math.ceil(this.#elements / PIECE);
    const { store } = init;
    const { generation } = init.residual;
    this.#records = Array.from({ length: this.pieces }, (_, piece) => {
      const saved = store.get(atKey(generation, piece));
      return saved === undefined ? NO_PIECE : decodePiece(saved);
    });
    // What a crash left half written, or not yet removed.
    this.#forgetOthers(generation);
    const wanted = new Set(this.#records.flatMap((record, piece) => versionsOf(record).map((version) => rowKey(piece, version))));
    for (const key of store.keys(ROWS)) if (!wanted.has(key)) store.delete(key, 'soon');
  }

  /** Nothing is here but what neighbours may still owe. */
  get isEmpty(): boolean {
    return this.#records.every(({ version }) => version === 0);
  }

  /** Values are on their way to or from the residual: no edge may be marked, and nothing flow. */
  get isMoving(): boolean {
    return this.#moves > 0;
  }

  /** The rows of this moment are those that a round computes from. */
  freeze(): void {
    const before = this.#frozen;
    this.#frozen = this.#records.map(({ version }) => version);
    for (const [piece, version] of before.entries()) this.#drop(piece, [version]);
  }

  /** The row of the round, and how it is named; undefined where it may not diffuse. */
  frozen(piece: number): { readonly version: number; readonly values: Int32Array } | undefined {
    const version = this.#frozen[piece] ?? 0;
    const values = this.rowOf(piece, version);
    return this.isSound(piece, values) ? { version, values } : undefined;
  }

  /** Whether an honest node's row can be this: what is beyond the norm of a contribution nobody could hand in. */
  isSound(piece: number, values: Int32Array): boolean {
    if (values.length !== this.#lengthOf(piece) || !mayDiffuse(values)) return false;
    let squares = 0;
    this.#walk(piece, (unit, i) => {
      squares += ((values[i] as number) * unit) ** 2;
    });
    return Math.sqrt(squares) <= NORM_ROOM * this.#init.clipNorm;
  }

  /** A piece of a row that is kept, alone in its memory. */
  rowOf(piece: number, version: number): Int32Array {
    const length = this.#lengthOf(piece);
    if (version === 0) return new Int32Array(length);
    const bytes = this.#init.store.get(rowKey(piece, version));
    if (bytes?.byteLength !== length * Int32Array.BYTES_PER_ELEMENT) throw lost(piece);
    return Int32Array.from(int32Of(bytes));
  }

  /** The row as it is now. */
  row(piece: number): Int32Array {
    return this.rowOf(piece, this.#record(piece).version);
  }

  edge(piece: number, node: Fingerprint): Edge | undefined {
    return this.#record(piece).edges.get(node);
  }

  /** Pieces and nodes of all edges over which something is open. */
  *open(): Generator<{ readonly piece: number; readonly node: Fingerprint; readonly edge: Edge }> {
    for (const [piece, { edges }] of this.#records.entries())
      for (const [node, edge] of edges) if (edge.version !== null) yield { piece, node, edge };
  }

  /** What is said of an edge from here on, with nothing flowing. Durable when it returns. */
  mark(piece: number, node: Fingerprint, edge: Edge): void {
    this.#save(piece, node, edge, undefined);
  }

  /** The edge counts: what flows to `own` from `other` is in the row, and `edge` said of it, at once. Durable when it returns. */
  flow(piece: number, node: Fingerprint, edge: Edge, own: EdgeEnd, other: EdgeEnd, eta: number): void {
    const row = this.row(piece);
    diffuse(row, own, other, eta);
    this.#save(piece, node, edge, row);
  }

  /** Adds what a trainer learned, f32, to all that is owed, clipped as a contribution is, and makes all of it diffuse that can. */
  async learn(delta: Float32Array): Promise<void> {
    let squares = 0;
    await this.#visit((part) =>
      this.#each(part, (unit, row, i, k) => {
        squares += (sumOf(unit, row, i, part.values, k) + (delta[part.start + k] as number)) ** 2;
      }),
    );
    const factor = Math.min(1, this.#init.clipNorm / Math.sqrt(squares));
    await this.#move((part) =>
      this.#each(part, (unit, row, i, k) => {
        const all = factor * (sumOf(unit, row, i, part.values, k) + (delta[part.start + k] as number));
        row[i] = Math.max(-DIFFUSION_MAX, Math.min(DIFFUSION_MAX, Math.round(all / unit)));
        part.values[k] = all - (row[i] as number) * unit;
      }),
    );
  }

  /** Moves all of it to the residual: into the next contribution. */
  async absorb(): Promise<void> {
    if (this.isEmpty) return;
    await this.#move((part) =>
      this.#each(part, (unit, row, i, k) => {
        part.values[k] = sumOf(unit, row, i, part.values, k);
        row[i] = 0;
      }),
    );
  }

  /** Adds `eta` times all that is owed to `model`, in its place. In turns: of a large one parts may be of different moments. */
  async addTo(model: Float32Array, eta: number): Promise<void> {
    await this.#visit((part) =>
      this.#each(part, (unit, row, i, k) => {
        model[part.start + k] = (model[part.start + k] as number) + eta * sumOf(unit, row, i, part.values, k);
      }),
    );
  }

  /** All parts of the residual, each read when its turn comes: its rows are of the same moment. */
  async #visit(visit: (part: Part) => unknown): Promise<void> {
    for await (const part of this.#init.residual.all()) {
      visit(part);
      if (part.start + part.values.length < this.#elements) await this.#init.turn();
    }
  }

  /** Visits the elements of a part of the residual: the k-th is the i-th of `row`, in steps of `unit`. Returns the rows as they are left. */
  #each({ start, values }: Part, visit: (unit: number, row: Int32Array, i: number, k: number) => void): Int32Array[] {
    const rows: Int32Array[] = [];
    for (let first = start; first < start + values.length; first += PIECE) {
      const row = this.row(first / PIECE);
      this.#walk(first / PIECE, (unit, i) => visit(unit, row, i, first - start + i));
      rows.push(row);
    }
    return rows;
  }

  /** The elements of a piece, each with its unit. */
  #walk(piece: number, visit: (unit: number, i: number) => void): void {
    const { spans, scaleExponents } = this.#init;
    const [first, end] = [piece * PIECE, piece * PIECE + this.#lengthOf(piece)];
    for (const [t, span] of spans.entries()) {
      const unit = 2 ** ((scaleExponents[t] as number) - UNIT_BITS);
      for (let k = Math.max(first, span.start); k < Math.min(end, span.end); k++) visit(unit, k - first);
    }
  }

  #lengthOf(piece: number): number {
    return Math.min(PIECE, this.#elements - piece * PIECE);
  }

  /** Values move between here and the residual: `change` answers with the rows of a part. */
  async #move(change: (part: Part) => readonly Int32Array[]): Promise<void> {
    const { residual, store } = this.#init;
    const after: PieceRecord[] = [];
    this.#moves++;
    const moved = residual.exchange(
      (values, start) => {
        for (const row of change({ start, values })) {
          const record = this.#with(after.length, row);
          store.set(atKey(residual.generation + 1, after.length), encodePiece(record), 'soon');
          after.push(record);
        }
      },
      () => {
        const before = this.#records.splice(0, after.length, ...after);
        this.#forgetOthers(residual.generation);
        for (const [piece, record] of before.entries()) this.#drop(piece, versionsOf(record));
      },
    );
    await moved.finally(() => this.#moves--);
  }

  #save(piece: number, node: Fingerprint, edge: Edge, row: Int32Array | undefined): void {
    const before = this.#record(piece);
    const { edges, ...record } = row === undefined ? before : this.#with(piece, row);
    const after = { ...record, edges: new Map(edges).set(node, edge) };
    this.#init.store.set(atKey(this.#init.residual.generation, piece), encodePiece(after));
    this.#records[piece] = after;
    this.#drop(piece, versionsOf(before));
  }

  /** The record with another row, which is written. */
  #with(piece: number, row: Int32Array): PieceRecord {
    const { next, edges } = this.#record(piece);
    if (row.every((v) => v === 0)) return { version: 0, next, edges };
    this.#init.store.set(rowKey(piece, next), bytesOf(row), 'soon');
    return { version: next, next: next + 1, edges };
  }

  /** Removes the rows of these versions that nothing names any more. */
  #drop(piece: number, versions: readonly number[]): void {
    const wanted = versionsOf(this.#record(piece));
    for (const version of new Set(versions))
      if (version > 0 && !wanted.includes(version) && this.#frozen[piece] !== version)
        this.#init.store.delete(rowKey(piece, version), 'soon');
  }

  #forgetOthers(generation: number): void {
    const { store } = this.#init;
    for (const key of store.keys(AT)) if (!key.startsWith(`${AT}${generation}/`)) store.delete(key, 'soon');
  }

  #record(piece: number): PieceRecord {
    const record = this.#records[piece];
    if (record === undefined)
      throw new StarlingError('BOUNDS_EXCEEDED', `piece ${piece} of ${this.pieces}`, { field: 'piece', phase: 'average' });
    return record;
  }
}

/** What is owed of an element, in the model's units. */
const sumOf = (unit: number, row: Int32Array, i: number, rest: Float32Array, k: number): number =>
  (rest[k] as number) + (row[i] as number) * unit;

const versionsOf = ({ version, edges }: PieceRecord): number[] => [
  version,
  ...[...edges.values()].flatMap((edge) => (edge.version === null ? [] : [edge.version])),
];

const lost = (piece: number): StarlingError =>
  new StarlingError('DATA_CORRUPT', `piece ${piece} of what diffuses is gone`, {
    field: 'diffusion',
    fix: 'stop the daemon and run `starling fsck --repair`',
  });
