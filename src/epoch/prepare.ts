/** Step 2, prepare: a trainer's delta becomes integers that every node can re-check (PROTOCOL section 4). */
import { dtypeBytes, sentOf, squaredNorm, type TensorSpan } from '../aggregation/index.ts';
import type { Compute, IntRow } from '../compute/api.ts';
import { type Genesis, QMAX, StarlingError } from '../spec/index.ts';
import type { Entropy } from './ports.ts';
import { noTurn, spansInTurns, TURN_ELEMENTS, type Turn } from './turns.ts';

export interface Prepared {
  /** Residual + delta, clipped, on the grid: what the integers stand for, and what stays behind. f32, P elements. */
  readonly values: Float32Array;
  /** What is sent of them: the others add up these, and `values` less these is left to the residual, exactly. */
  readonly integers: IntRow;
  /** Per tensor ceil(max |x| / scale), before saturation. */
  readonly maxAbs: readonly number[];
}

/** Attempts to get the rounded update under the norm bound; each shrinks by what it was over, so two nearly always suffice. */
const CLIP_ATTEMPTS = 8;
/** Kept in the first such attempt, so that rounding upwards does not undo it; each further one takes off twice as much. */
const CLIP_MARGIN = 0.999;

/** Bits. An f32 holds whole numbers up to 2^24; one bit less leaves room for the difference of two. */
const GRID_BITS = 23;

/** Some of what is owed: elements from `start` on. */
export interface ResidualPart {
  readonly start: number;
  readonly values: Float32Array;
}

export interface PrepareInput {
  readonly genesis: Genesis;
  readonly spans: readonly TensorSpan[];
  readonly exponents: readonly number[];
  /** What is owed, in parts (Residual.parts). */
  readonly residual: Iterable<ResidualPart> | AsyncIterable<ResidualPart>;
  /** Becomes `values`: there is memory for one of them. */
  readonly delta: Float32Array;
}

/** Elements that are rounded at a time. */
const PART = 2 ** 18;

/** Throws NON_FINITE naming the tensor and the element. `delta` is used up. `turn` is taken in the midst of large updates. */
export async function prepare(input: PrepareInput, compute: Compute, entropy: Entropy, turn: Turn = noTurn): Promise<Prepared> {
  const { genesis, spans } = input;
  const values = input.delta;
  await screen(values, spans, turn);
  for await (const { start, values: owed } of input.residual) {
    values.set(await compute.axpy(owed, values.subarray(start, start + owed.length), 1), start);
    if (start > 0 && start % TURN_ELEMENTS === 0) await turn();
  }
  // Diverged training can overflow the sum even where both summands are finite.
  await screen(values, spans, turn);
  let squares = 0;
  for await (const { start, end } of spansInTurns(spans, turn)) squares += await compute.sqNorm(values.subarray(start, end));
  const norm = Math.sqrt(squares);
  if (norm > genesis.clipNorm) await scale(values, genesis.clipNorm / norm, input, turn);
  for (let attempt = 0; attempt < CLIP_ATTEMPTS; attempt++) {
    const largest = await maxima(values, input, turn);
    const maxAbs = largest.map((max, t) => Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(max / scaleOf(input, t))));
    await putOnGrid(values, largest, input, turn);
    const integers = sentOf(await quantise(values, input, compute, entropy, turn), spans, genesis);
    const rounded = await roundedNorm(integers, input, turn);
    if (rounded <= genesis.clipNorm) return { values, integers, maxAbs };
    await scale(values, (CLIP_MARGIN ** (2 ** attempt) * genesis.clipNorm) / rounded, input, turn);
  }
  throw new StarlingError('BOUNDS_EXCEEDED', 'the update cannot be rounded to fit the norm bound', {
    field: 'clipNorm',
    phase: 'prepare',
    fix: 'the swarm is configured with a clip norm below the rounding noise of its scale: found it anew with a larger one',
  });
}

/** L2 norm of rounded integers in the model's units; exact up to one rounding of the square root. */
export function integerNorm(integers: IntRow, input: Pick<PrepareInput, 'spans' | 'exponents'>): number {
  const { value, exponent } = squaredNorm(integers, input.spans, input.exponents);
  return Math.sqrt(Number(value)) * 2 ** exponent;
}

/** The same in turns. */
async function roundedNorm(integers: IntRow, { spans, exponents }: PrepareInput, turn: Turn): Promise<number> {
  const lowest = Math.min(...exponents);
  let square = 0n;
  for await (const { t, start, end } of spansInTurns(spans, turn)) {
    const exponent = exponents[t] as number;
    const span = { name: '', start: 0, end: end - start };
    square += squaredNorm(integers.subarray(start, end), [span], [exponent]).value << BigInt(2 * (exponent - lowest));
  }
  return Math.sqrt(Number(square)) * 2 ** lowest;
}

const scaleOf = ({ exponents }: PrepareInput, t: number): number => 2 ** (exponents[t] as number);

/** Throws NON_FINITE naming the tensor and the element. */
export async function screen(values: Float32Array, spans: readonly TensorSpan[], turn: Turn): Promise<void> {
  for await (const { t, start, end } of spansInTurns(spans, turn))
    for (let k = start; k < end; k++) {
      if (Number.isFinite(values[k])) continue;
      const { name, start: first } = spans[t] as TensorSpan;
      throw new StarlingError('NON_FINITE', `tensor ${name} holds ${values[k]} at element ${k - first}`, {
        field: name,
        phase: 'prepare',
        fix: 'training diverged: lower the learning rate and start again from the current model',
      });
    }
}

async function scale(values: Float32Array, factor: number, { spans }: PrepareInput, turn: Turn): Promise<void> {
  for await (const { start, end } of spansInTurns(spans, turn))
    for (let k = start; k < end; k++) values[k] = (values[k] as number) * factor;
}

/** The largest magnitude in each tensor. */
async function maxima(values: Float32Array, { spans }: PrepareInput, turn: Turn): Promise<number[]> {
  const largest = spans.map(() => 0);
  for await (const { t, start, end } of spansInTurns(spans, turn)) {
    let max = largest[t] as number;
    for (let k = start; k < end; k++) max = Math.max(max, Math.abs(values[k] as number));
    largest[t] = max;
  }
  return largest;
}

/**
 * Makes the values whole multiples of a step, a power of two: 2^-23 of the tensor's largest value or of its scale, whichever is more. What is
 * sent is a multiple of the scale, so a value less what is sent is an f32 again: what leaves the residual, and comes back to it when
 * the ledger's choice changes, is the same to the bit; up to values of 2^23 scales, 256 times what int16 saturates at.
 */
async function putOnGrid(values: Float32Array, largest: readonly number[], input: PrepareInput, turn: Turn): Promise<void> {
  for await (const { t, start, end } of spansInTurns(input.spans, turn)) {
    const step = 2 ** (Math.ceil(Math.log2(Math.max(scaleOf(input, t), largest[t] as number))) - GRID_BITS);
    // Adding 0 makes a negative zero a plain one.
    for (let k = start; k < end; k++) values[k] = Math.round((values[k] as number) / step) * step + 0;
  }
}

async function quantise(values: Float32Array, input: PrepareInput, compute: Compute, entropy: Entropy, turn: Turn): Promise<IntRow> {
  const limit = QMAX[input.genesis.updateDtype];
  const out = dtypeBytes(input.genesis.updateDtype) === 2 ? new Int16Array(values.length) : new Int8Array(values.length);
  for await (const { t, start: first, end } of spansInTurns(input.spans, turn))
    for (let start = first; start < end; start += PART) {
      const part = values.subarray(start, Math.min(start + PART, end));
      out.set(await compute.quantise(part, scaleOf(input, t), uniformRow(part.length, entropy), limit), start);
    }
  return out;
}

/** Uniform in [0, 1) with 24 bits: the most an f32 holds without rounding up to 1. */
function uniformRow(length: number, entropy: Entropy): Float32Array {
  const bytes = entropy.bytes(4 * length);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, length);
  // In the place of the words: as large as the model, they need not lie there twice.
  const row = new Float32Array(bytes.buffer, bytes.byteOffset, length);
  // Float32Array.from takes most of a second for ten million.
  for (let k = 0; k < length; k++) row[k] = ((words[k] as number) >>> 8) / 2 ** 24;
  return row;
}
