/** What an author shows of its row, and a member of what it received, when a sum was refused (PROTOCOL section 6); and how it is checked. */
import { bytesOf, dtypeBytes, integersOf } from '../../aggregation/index.ts';
import type { IntRow } from '../../compute/api.ts';
import { chunkAt, chunkCount, merkleRoot, sis, toHex } from '../../crypto/index.ts';
import { CHUNK_BYTES, MAX_PARAMETERS, QMAX, StarlingError, type UpdateDtype } from '../../spec/index.ts';
import { decode, encode, readBytes, readList, readTuple, SALT_BYTES, updateLeaf } from '../../wire/index.ts';
import type { Clock } from '../ports.ts';
import { leavesInTurns } from '../served.ts';
import type { Contribution, ExchangeWorld, OwnRow } from './world.ts';
import { turn } from './world.ts';

/** Chunks of the largest row. */
const MAX_LEAVES = (2 * MAX_PARAMETERS) / CHUNK_BYTES;
/** Bytes of an opened chunk: itself, the leaves of its row, the salt. */
const OPENED_MAX_BYTES = CHUNK_BYTES + 40 * MAX_LEAVES + 1_024;

/** Items of an opened chunk beside the leaves: the tuple, salt, list and chunk. */
const OPENED_ITEMS = 4;

/** The own row, opened a part at a time. */
export class OwnOpenings {
  readonly #clock: Clock;
  readonly #seed: Uint8Array;
  readonly #own: OwnRow;
  readonly #bytes: Uint8Array;
  #leaves: Promise<Uint8Array[]> | undefined;

  constructor({ clock, seed }: Pick<ExchangeWorld, 'clock' | 'seed'>, own: OwnRow) {
    this.#clock = clock;
    this.#seed = seed;
    this.#own = own;
    this.#bytes = bytesOf(own.values);
  }

  /** sis.commitRange of the blocks [from, to) of the row, 16 KiB. */
  async part(from: number, to: number): Promise<Uint8Array | undefined> {
    const blocks = sis.rowBlocks(this.#own.values.length);
    if (from >= to || to > blocks) return undefined;
    const rho = sis.rhoRow(this.#own.rho);
    const committer = new sis.Committer(this.#seed, from);
    for (let block = from; block < to; block++) {
      const isRho = block < sis.RHO_BLOCKS;
      const at = (isRho ? block : block - sis.RHO_BLOCKS) * sis.DEGREE;
      committer.update((isRho ? rho : this.#own.values).subarray(at, at + sis.DEGREE));
      if (block % BLOCKS_A_TURN === 0) await turn(this.#clock);
    }
    return sis.encodeCommitment(committer.finish());
  }

  /** All digits of rho, int16. */
  rho(): Uint8Array {
    return bytesOf(sis.rhoRow(this.#own.rho));
  }

  /** Chunk `i` of the integers' bytes, with what shows that the update hash is over it. */
  async row(i: number): Promise<Uint8Array | undefined> {
    if (i >= chunkCount(this.#bytes.byteLength)) return undefined;
    this.#leaves ??= leavesInTurns(this.#clock, this.#bytes, (chunk) => updateLeaf(this.#own.salt, chunk));
    return encode([this.#own.salt, await this.#leaves, chunkAt(this.#bytes, i)]);
  }
}

/** What shows that a chunk is of a row. */
export interface Proof {
  readonly salt: Uint8Array;
  readonly leaves: readonly Uint8Array[];
}

/** A chunk of somebody's row as `OwnOpenings.row` gives it. */
export const openedRow = ({ salt, leaves }: Proof, values: IntRow): Uint8Array => encode([salt, leaves, bytesOf(values)]);

/** Blocks of 2048 integers that are committed to between two turns: some milliseconds. */
export const BLOCKS_A_TURN = 16;

/** The integers of an opened chunk. Throws as `readOpened` does. */
export const readRow = (...input: Parameters<typeof readOpened>): Int32Array => Int32Array.from(readOpened(...input).values);

/**
 * The integers of an opened chunk, with what shows whose they are. Throws HASH_MISMATCH or BOUNDS_EXCEEDED where it is not of the row that the ledger names, or no honest
 * one; MALFORMED for what cannot be read. `elements`: integers of the whole row.
 */
export function readOpened(
  opened: Uint8Array,
  i: number,
  contribution: Contribution,
  elements: number,
  dtype: UpdateDtype,
): { readonly values: IntRow; readonly proof: Proof } {
  const [saltValue, leavesValue, chunkValue] = readTuple(
    decode(opened, 'opened', OPENED_MAX_BYTES, chunkCount(elements * dtypeBytes(dtype)) + OPENED_ITEMS),
    'opened',
    3,
  );
  const salt = readBytes(saltValue, 'opened.salt', SALT_BYTES);
  const leaves = readList(leavesValue, 'opened.leaves', MAX_LEAVES, (leaf, field) => readBytes(leaf, field, 32));
  const chunk = readBytes(chunkValue, 'opened.chunk', 0, CHUNK_BYTES);
  const sizeBytes = elements * dtypeBytes(dtype);
  const isWhole = leaves.length === chunkCount(sizeBytes) && chunk.byteLength === Math.min(CHUNK_BYTES, sizeBytes - i * CHUNK_BYTES);
  const leaf = updateLeaf(salt, chunk);
  if (!isWhole || toHex(merkleRoot(leaves)) !== contribution.updateHash || Buffer.compare(leaf, leaves[i] as Uint8Array) !== 0)
    throw new StarlingError('HASH_MISMATCH', 'an opened row is not the one that its ledger entry names', {
      node: contribution.author,
      phase: 'average',
    });
  const values = integersOf(chunk.slice(), dtype);
  if (values.some((value) => Math.abs(value) > QMAX[dtype]))
    throw new StarlingError('BOUNDS_EXCEEDED', 'an opened row has an integer that no update has', {
      node: contribution.author,
      phase: 'average',
    });
  return { values, proof: { salt, leaves } };
}

/** rho's digits as `OwnOpenings.rho` gives them; undefined where they are not that. */
export function readRho(bytes: Uint8Array): Int32Array | undefined {
  if (bytes.byteLength !== 2 * sis.RHO_ROW_LENGTH) return undefined;
  const digits = Int32Array.from(integersOf(bytes.slice(), 'int16'));
  return digits.every((digit) => Math.abs(digit) <= sis.RHO_DIGIT_BOUND) ? digits : undefined;
}
