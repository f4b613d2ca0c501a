/** What a schedule is made of. Ranges count elements of the concatenated tensors, ranks count from 0. */
import { CHUNK_BYTES, StarlingError, type TransferPhase, WEIGHT_TOTAL } from '../../spec/index.ts';
import { type Width, widthFor } from './packing.ts';

export type Rank = number;

/** How the integers of a transfer are written. Both ends derive it from the plan; none of it is on the wire. */
export interface Encoding {
  readonly width: Width;
  /** No value is larger: sum of |W_i| * qmax over those who are in it. */
  readonly bound: number;
  /** For a row that nobody has added to yet: it travels as it is, in the width of its type, and the receiver weighs it. */
  readonly weight: number | undefined;
}

/** Elements [start, end) going over one edge in one step, in chunks. (step, from, to) names it within its plan. */
export interface Transfer {
  readonly step: number;
  readonly phase: TransferPhase;
  readonly from: Rank;
  readonly to: Rank;
  readonly start: number;
  readonly end: number;
  /** add: to what is held. set: in its place. */
  readonly mode: 'add' | 'set';
  readonly encoding: Encoding;
}

/** What one member does in a schedule: by step, ascending. Empty transfers are left out at both ends alike. */
export interface Plan {
  readonly rank: Rank;
  /** Steps of the schedule, the same for every member. */
  readonly steps: number;
  readonly sends: readonly Transfer[];
  readonly receives: readonly Transfer[];
}

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** What is averaged, one weight a rank. */
export interface Summands {
  readonly elements: number;
  readonly weights: readonly number[];
  /** Largest magnitude in any row: 32,767 or 127. */
  readonly qmax: number;
}

/** Part i of n: lengths differ by at most one, and parts of fewer elements than n may be empty. */
export function partOf({ start, end }: Range, n: number, i: number): Range {
  const at = (k: number): number => start + Math.floor(((end - start) * k) / n);
  return { start: at(i), end: at(i + 1) };
}

/** Elements of a chunk in that width: as many as CHUNK_BYTES hold. */
export const chunkElements = (width: Width): number => Math.floor(CHUNK_BYTES / width);

export const chunksOf = ({ start, end, encoding }: Transfer): number => Math.ceil((end - start) / chunkElements(encoding.width));

/** Chunk i of a transfer. Throws MALFORMED for one that is not there. */
export function chunkRange(transfer: Transfer, i: number): Range {
  const size = chunkElements(transfer.encoding.width);
  if (!Number.isSafeInteger(i) || i < 0 || i >= chunksOf(transfer))
    throw new StarlingError('MALFORMED', `chunk ${i} of ${chunksOf(transfer)}`, {
      field: 'chunk',
      phase: transfer.phase,
      step: transfer.step,
    });
  const start = transfer.start + i * size;
  return { start, end: Math.min(transfer.end, start + size) };
}

/** Payload bytes of some transfers, without frames. */
export const bytesIn = (transfers: readonly Transfer[]): number =>
  transfers.reduce((sum, { start, end, encoding }) => sum + (end - start) * encoding.width, 0);

/**
 * Weights divided by their greatest common divisor: sums over the wire are that much smaller, and so are often a byte narrower
 * (equal weights become 1). `unit` brings them back, exactly. All zero: unit 1. Throws BOUNDS_EXCEEDED for a total beyond 65,536: a
 * sum that fits int32 on the way might not when it is brought back.
 */
export function reduced(weights: readonly number[]): { readonly weights: readonly number[]; readonly unit: number } {
  const total = weights.reduce((a, b) => a + b, 0);
  if (total > WEIGHT_TOTAL)
    throw new StarlingError('BOUNDS_EXCEEDED', `weights add up to ${total}, at most ${WEIGHT_TOTAL}`, {
      field: 'weights',
      phase: 'average',
    });
  const unit = weights.reduce(greatestCommonDivisor, 0);
  return unit <= 1 ? { weights, unit: 1 } : { weights: weights.map((w) => w / unit), unit };
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));

/** How a partial sum over `contributors` travels. Throws BOUNDS_EXCEEDED where it could leave int32. */
export function encodingOf(contributors: readonly Rank[], { weights, qmax }: Summands): Encoding {
  const [only] = contributors;
  if (contributors.length === 1) return { width: widthFor(qmax), bound: qmax, weight: weights[only as number] as number };
  const bound = contributors.reduce((sum, rank) => sum + (weights[rank] as number), 0) * qmax;
  return { width: widthFor(bound), bound, weight: undefined };
}

/** How the whole sum travels. */
export function totalEncoding({ weights, qmax }: Summands): Encoding {
  const bound = weights.reduce((a, b) => a + b, 0) * qmax;
  return { width: widthFor(bound), bound, weight: undefined };
}

/** Throws MALFORMED, BOUNDS_EXCEEDED for what no schedule can be made of. */
export function checkSummands({ elements, weights, qmax }: Summands): void {
  const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (!whole(elements) || weights.length === 0 || !weights.every(whole) || !whole(qmax) || qmax === 0)
    throw new StarlingError('MALFORMED', 'a schedule needs members with whole weights, a whole number of elements and a bound', {
      field: 'summands',
      phase: 'average',
    });
  totalEncoding({ elements, weights, qmax });
}
