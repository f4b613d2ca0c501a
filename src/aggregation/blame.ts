import { sis } from '../crypto/index.ts';
import { StarlingError } from '../spec/index.ts';

/** A sum that sis.verifySum refused, its authors numbered as `weights` are. */
export interface RefusedSum {
  readonly seed: Uint8Array;
  readonly commitments: readonly sis.Commitment[];
  readonly weights: readonly number[];
  /** Blocks of a row (sis.rowBlocks). */
  readonly blocks: number;
  /** Largest magnitude of an update's value (QMAX). */
  readonly maxValue: number;
  /**
   * Integers of a block of the claimed sum: of rhoSum for the first sis.RHO_BLOCKS, then of S; the last may be short. Asked for every
   * block about twice, in order: whoever has others to serve lets them run in here.
   */
  sum(block: number): Promise<Int32Array>;
}

/**
 * What authors and hops show when asked, over signed messages; undefined is no answer in time. The caller MUST have checked rows
 * against the plaintext root of the author's update, and partial sums against what sender and receiver of the hop both signed: where
 * those two differ the edge is accused, and nobody here.
 */
export interface Openings {
  /** sis.commitRange of the blocks [from, to) of the author's row. */
  part(author: number, from: number, to: number): Promise<sis.Commitment | undefined>;
  row(author: number, block: number): Promise<sis.SisRow | undefined>;
  /** Authors in the order in which this block's sum was added up. */
  hops(block: number): readonly number[];
  /** The block's sum when `author` had added its row: the one that it sent on. */
  partialSum(author: number, block: number): Promise<Int32Array | undefined>;
}

/** Who made the sum wrong. An author's row is not the one that it committed to; a hop sent on what it did not add up. */
export interface Blame {
  readonly role: 'author' | 'hop';
  readonly author: number;
  readonly block: number;
  readonly reason: 'silent' | 'opens another row' | 'sent a wrong sum';
}

/**
 * Names whoever made a sum wrong, in member-readable mode (PROTOCOL section 6). Halves the row while the parts that authors claim do
 * not add up to the sum of that half, opens the rows of the one block that is left, and if those are as committed halves the hops.
 * ceil(log2 blocks) questions to every author, one row of each, ceil(log2 hops) partial sums. Nobody honest is named as long as its
 * answers arrive; undefined means that the sum was right. Throws MALFORMED without authors.
 */
export async function findBlame(sum: RefusedSum, openings: Openings): Promise<Blame | undefined> {
  if (sum.weights.length === 0) throw new StarlingError('MALFORMED', 'a sum of no authors has nobody to blame', { field: 'weights' });
  const found = await wrongBlock(sum, openings);
  if (found === undefined || 'role' in found) return found;
  const { block, parts } = found;
  const rows = await Promise.all(parts.map((_, author) => openings.row(author, block)));
  const { length } = await sum.sum(block);
  const bound = block < sis.RHO_BLOCKS ? sis.RHO_DIGIT_BOUND : sum.maxValue;
  for (const [author, row] of rows.entries()) {
    if (row === undefined) return { role: 'author', author, block, reason: 'silent' };
    const opens = isRow(row, length, bound) && sis.equalCommitments(sis.commitRange(sum.seed, block, row), parts[author] as sis.Commitment);
    if (!opens) return { role: 'author', author, block, reason: 'opens another row' };
  }
  return wrongHop(sum, openings, block, rows as sis.SisRow[]);
}

/** A block whose sum is wrong, and what each author says its commitment to that block is. */
interface WrongBlock {
  readonly block: number;
  readonly parts: readonly sis.Commitment[];
}

async function wrongBlock(sum: RefusedSum, openings: Openings): Promise<WrongBlock | Blame | undefined> {
  let [from, to] = [0, sum.blocks];
  let parts = sum.commitments;
  if (await addsUp(sum, from, to, parts)) return outOfBounds(sum, openings);
  while (to - from > 1) {
    const middle = (from + to) >> 1;
    const left = await partsOf(sum, openings, from, middle);
    if ('role' in left) return left;
    // The right half is what is left over, so that the two halves of every author add up whatever it answers.
    if (await addsUp(sum, from, middle, left)) {
      parts = parts.map((whole, author) => sis.subtractCommitments(whole, left[author] as sis.Commitment));
      from = middle;
    } else {
      parts = left;
      to = middle;
    }
  }
  return { block: from, parts };
}

/** Only sums of rho can be out of bounds: those of values are int32s. */
async function outOfBounds(sum: RefusedSum, openings: Openings): Promise<WrongBlock | Blame | undefined> {
  const bound = sis.RHO_DIGIT_BOUND * sis.totalWeight(sum.weights);
  for (let block = 0; block < sis.RHO_BLOCKS; block++) {
    if ((await sum.sum(block)).every((digit) => Math.abs(digit) <= bound)) continue;
    const parts = await partsOf(sum, openings, block, block + 1);
    return 'role' in parts ? parts : { block, parts };
  }
  return undefined;
}

async function addsUp(sum: RefusedSum, from: number, to: number, parts: readonly sis.Commitment[]): Promise<boolean> {
  const committer = new sis.Committer(sum.seed, from);
  for (let block = from; block < to; block++) committer.update(await sum.sum(block));
  return sis.equalCommitments(committer.finish(), sis.combineCommitments(parts, sum.weights));
}

async function partsOf(sum: RefusedSum, openings: Openings, from: number, to: number): Promise<sis.Commitment[] | Blame> {
  const parts = await Promise.all(sum.weights.map((_, author) => openings.part(author, from, to)));
  const author = parts.indexOf(undefined);
  return author < 0 ? (parts as sis.Commitment[]) : { role: 'author', author, block: from, reason: 'silent' };
}

/** Whether the row has the block's length and no integer beyond its bound. */
const isRow = (row: sis.SisRow, length: number, bound: number): boolean =>
  row.length === length && row.every((value) => Math.abs(value) <= bound);

/** The first hop whose sum is not that of the rows up to its own, if the last one's is not. */
async function wrongHop(sum: RefusedSum, openings: Openings, block: number, rows: readonly sis.SisRow[]): Promise<Blame> {
  const hops = openings.hops(block);
  let right = -1;
  let wrong = hops.length - 1;
  while (wrong - right > 1) {
    const middle = (right + wrong) >> 1;
    const author = hops[middle] as number;
    const partial = await openings.partialSum(author, block);
    if (partial === undefined) return { role: 'hop', author, block, reason: 'silent' };
    const expected = sumOf(hops.slice(0, middle + 1), sum.weights, rows);
    if (expected.length === partial.length && expected.every((value, i) => value === partial[i])) right = middle;
    else wrong = middle;
  }
  return { role: 'hop', author: hops[wrong] as number, block, reason: 'sent a wrong sum' };
}

function sumOf(authors: readonly number[], weights: readonly number[], rows: readonly sis.SisRow[]): Int32Array {
  const total = new Int32Array((rows[0] as sis.SisRow).length);
  for (const author of authors) {
    const row = rows[author] as sis.SisRow;
    const weight = weights[author] as number;
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + weight * (row[i] as number);
  }
  return total;
}
