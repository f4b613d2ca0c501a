/** How far the transfers of one member have come. */
import { chunkElements, chunksOf, type Range, type Transfer } from './plan.ts';

export interface Arrivals {
  readonly transfer: Transfer;
  /** One a chunk. 0: awaited, 1: came, 2: taken in. */
  readonly state: Uint8Array;
  /** Chunks not taken in. */
  left: number;
}

export interface Departures {
  readonly transfer: Transfer;
  readonly chunks: number;
  /** Earlier arrivals that a chunk of this may sum up. */
  readonly needs: readonly Arrivals[];
  /** First chunk not sent: they leave in order. */
  next: number;
}

export function arrivalsOf(transfer: Transfer): Arrivals {
  const chunks = chunksOf(transfer);
  return { transfer, state: new Uint8Array(chunks), left: chunks };
}

export function departuresOf(transfer: Transfer, receives: readonly Arrivals[]): Departures {
  const needs = receives.filter((arrivals) => arrivals.transfer.step < transfer.step && overlapping(arrivals.transfer, transfer));
  return { transfer, chunks: chunksOf(transfer), needs, next: 0 };
}

export const overlapping = (a: Range, b: Range): boolean => a.start < b.end && b.start < a.end;

/** Whether what this transfer brings of `range` was taken in. */
export function isIn({ transfer, state }: Arrivals, range: Range): boolean {
  const [first, end] = chunksAcross(transfer, range);
  for (let i = first; i < end; i++) if (state[i] !== 2) return false;
  return true;
}

/** Whether what this transfer takes of `range` was sent. */
export const isOut = ({ transfer, next }: Departures, range: Range): boolean => next >= chunksAcross(transfer, range)[1];

/** Chunks [first, end) of a transfer that overlap a range. */
function chunksAcross({ start, end, encoding }: Transfer, range: Range): readonly [first: number, end: number] {
  const size = chunkElements(encoding.width);
  const [from, to] = [Math.max(start, range.start), Math.min(end, range.end)];
  return from >= to ? [0, 0] : [Math.floor((from - start) / size), Math.ceil((to - start) / size)];
}
